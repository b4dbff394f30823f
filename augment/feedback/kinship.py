"""Which pictures of feedback equal or look like a held-out picture of a run: they teach nothing, or tests mean nothing.

Pictures are compared as the dataset stage compares them: hashes and detail, crops, turned and offline copies.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from augment.data import duplicates
from augment.data.feedback import FEEDBACK, FeedbackRecord
from augment.data.image_store import ImageStore
from augment.data.perceptual_hash import Hashes, Pairs, perceptual_hash
from augment.data.split import TRAIN
from augment.evaluation.leaks import Seen, find_kin, packed_outline
from augment.record_types import DatasetRecord
from augment.settings import DataSettings
from edge_runtime.bundle.preprocess import Frame


def kin_of_held_out(
    records: Sequence[FeedbackRecord],
    pictures: Mapping[str, Path],
    dataset: Sequence[DatasetRecord],
    store: ImageStore,
    section: DataSettings,
) -> dict[str, str]:
    """Return by the id of a record why it is left out: it, or a picture of its burst, looks like a held-out picture.

    `pictures` are the files of the records by their id, `dataset` are the records of the run's newest split.
    """
    held = [record for record in dataset if record.split != TRAIN and record.origin != FEEDBACK]
    if not held or not records:
        return {}
    shown = [_seen(record.path, record.label, store.frame(record)) for record in held]
    shown += [_seen(record.path, "", store.read(pictures[record.id]).frame) for record in records]
    seen, hashes = [one for one, _ in shown], np.array([value for _, value in shown], np.uint64)
    pairs = _pairs(seen, hashes, section)
    bursts = [*[None] * len(held), *(record.group for record in records)]
    whole = np.concatenate([pairs, duplicates.same_value_pairs(bursts)])
    groups = duplicates.groups_of([str(at) for at in range(len(seen))], whole)
    near = {groups[at]: held[at] for at in range(len(held))}
    direct = {int(second): held[int(first)] for first, second in pairs if first < len(held) <= second}
    return {
        record.id: _reason(near[groups[at]], direct.get(at))
        for at, record in enumerate(records, len(held))
        if groups[at] in near
    }


def _pairs(seen: Sequence[Seen], hashes: Hashes, section: DataSettings) -> Pairs:
    thumbnails = duplicates.Thumbnails([one.thumbnail for one in seen])
    alike = duplicates.duplicate_pairs(hashes, thumbnails, section.duplicate_bits)
    return np.concatenate([alike, find_kin(seen, alike, section).copies])


def _seen(path: str, label: str, frame: Frame) -> tuple[Seen, int]:
    return Seen(path, label, duplicates.packed_thumbnail(frame), packed_outline(frame), {}), perceptual_hash(frame)


def _reason(near: DatasetRecord, direct: DatasetRecord | None) -> str:
    if direct is not None:
        return f"it shows the same as {direct.path} of the {direct.split} set, which stays unseen"
    return f"a picture of its burst shows the same as {near.path} of the {near.split} set, which stays unseen"
