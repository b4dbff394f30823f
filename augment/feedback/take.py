"""Takes archives of feedback into a run: what is new is kept, and RUN/feedback/records.json says what it teaches."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from augment.data.fault_groups import FaultGroups, can_tell_faults, resolve
from augment.data.feedback import (
    FEEDBACK,
    FeedbackDocument,
    FeedbackRecord,
    FeedbackSummary,
    read_feedback,
    write_feedback,
)
from augment.data.image_store import ImageStore
from augment.feedback.archive_reader import read_archive
from augment.feedback.kinship import kin_of_held_out
from augment.feedback.store import ReceivedFeedback
from augment.feedback.truths import (
    Labels,
    Truth,
    corrected,
    disagreements,
    judged_precision,
    truths,
    verdict_counts,
)
from augment.record_types import DatasetRecord, DatasetSummary, LeftOut
from augment.records import DATASET, Document, RunFolder
from augment.settings import Settings, load_settings
from augment.updates.fleet import Fleet
from edge_runtime.bundle.errors import InputError
from edge_runtime.judgements.records import Judgement

Dataset = Document[DatasetRecord, DatasetSummary]


@dataclass(frozen=True)
class Taken:
    """What a call has taken: new judgements and pictures, problems in sentences, and what RUN/feedback says now."""

    entries: int
    examples: int
    problems: Sequence[str]
    document: FeedbackDocument


def take_feedback(run: Path, archives: Iterable[Path], fleet: Path) -> Taken:
    """Take archives, or folders of them, into the run; a bad one is a problem and keeps no other back.

    `fleet` is the folder in which `rarefault enrol` keeps the keys of stations. InputError where the run has no split
    yet, which says what is held out, or where a file of it is damaged.
    """
    settings, dataset = load_settings(run / "pipeline.toml"), RunFolder(run).require(DATASET)
    keys = {station.name: station.key for station in Fleet(fleet).stations()}
    received, new, problems = ReceivedFeedback(run / FEEDBACK), Counter[str](), []
    for path in _files(archives):
        try:
            new += received.take(read_archive(path, keys))
        except InputError as error:
            problems.append(str(error))
    received.write()
    document = _document(received, settings, dataset)
    if read_feedback(received.folder) != document:
        write_feedback(received.folder, document)
    return Taken(new["entries"], new["examples"], problems, document)


def _files(archives: Iterable[Path]) -> Iterator[Path]:
    """Yield files, and of folders, such as a stick, every .zip in them or in their folder feedback."""
    for path in archives:
        if not path.is_dir():
            yield path
            continue
        found = sorted([*path.glob("*.zip"), *(path / FEEDBACK).glob("*.zip")])
        if not found:
            raise InputError(f"{path} holds no archive (*.zip); see `edge-station feedback --out`")
        yield from found


def _document(received: ReceivedFeedback, settings: Settings, dataset: Dataset) -> FeedbackDocument:
    """Return what all that was received teaches the run, and what it does not."""
    judged = received.judgements()
    found = truths(judged, received.examples, Labels(list(dataset.summary.classes), _groups(settings, dataset)))
    records = [truth.record for truth in found if truth.record is not None]
    pictures = {record.id: received.picture(record.id) for record in records}
    kin = kin_of_held_out(records, pictures, dataset.records, ImageStore(settings), settings.data)
    found = [_unless(truth, kin) for truth in found]
    kept = [truth.record for truth in found if truth.record is not None]
    return FeedbackDocument(records=kept, summary=_summary(received, judged, found, kept))


def _unless(truth: Truth, kin: dict[str, str]) -> Truth:
    """Return the truth without its record where that is kin of a held-out picture."""
    if truth.record is None or truth.record.id not in kin:
        return truth
    return replace(truth, record=None, reason=kin[truth.record.id])


def _groups(settings: Settings, dataset: Dataset) -> FaultGroups | None:
    data, labels = settings.data, list(dataset.summary.classes)
    return resolve(labels, data.faults, data.groups, data.kinds) if can_tell_faults(labels, data.faults) else None


def _summary(
    received: ReceivedFeedback,
    judged: Mapping[str, Sequence[Judgement]],
    found: Sequence[Truth],
    records: Sequence[FeedbackRecord],
) -> FeedbackSummary:
    return FeedbackSummary(
        archives=len(received.archives),
        judged=len(judged),
        verdicts=verdict_counts(judged),
        labels=dict(sorted(Counter(record.label for record in records).items())),
        left_out=[
            LeftOut(path=f"{truth.station} {truth.event}", reason=truth.reason) for truth in found if not truth.record
        ],
        unlabelled=sum(key not in judged for key in received.examples),
        disagreements=disagreements(judged),
        corrected=corrected(records),
        precision=judged_precision(judged),
    )
