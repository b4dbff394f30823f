"""Stage 6, curate: which generated images may teach the classifier, and why the others may not.

An image is judged in the order of the reasons below and told all that apply. What it is compared with comes from the
dataset document; no real image is opened.
"""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from numpy.typing import NDArray

from augment.hashing import HASH_BITS, Hashes, hamming_distances, perceptual_hash
from augment.progress import progress
from augment.records import Document, Record, RunFolder
from augment.settings import CurateSettings, Settings, as_json
from edge_runtime.images import read_image

STAGE = "curation"

BLANK = "blank"
DUPLICATE = "duplicate of another generated image"
COPY = "copy of a training image"
LOOKALIKE = "look-alike of a validation or test image"


def run(settings: Settings, folder: RunFolder) -> Document:
    """Judge every generated image: records `{id, label, path, kept, reasons, scores}`; a summary of what is missing."""
    synthetic, dataset = folder.require("synthetic"), folder.require("dataset")
    inputs = {
        "parent": synthetic.digest,
        "settings": {"dataset": dataset.digest, **as_json(settings.curate)},
        "models": {},
    }
    if done := folder.finished(STAGE, **inputs):
        return done
    painted = [record for record in synthetic.records if record["path"]]
    with ThreadPoolExecutor() as pool:
        seen = list(progress(pool.map(lambda record: look(folder, record), painted), len(painted), "images curated"))
    hashes = np.array([hash_ for hash_, _ in seen], np.uint64)
    spreads = np.array([spread for _, spread in seen])
    reasons, scores = judge(hashes, spreads, dataset.records, settings.curate)
    records = [
        {
            "id": record["id"],
            "label": record["label"],
            "method": record["method"],
            "path": record["path"],
            "kept": not why,
            "reasons": why,
            "scores": score,
        }
        for record, why, score in zip(painted, reasons, scores, strict=True)
    ]
    records += [
        {
            "id": record["id"],
            "label": record["label"],
            "method": record["method"],
            "path": None,
            "kept": False,
            "reasons": [record["blanked"]],
            "scores": {},
        }
        for record in synthetic.records
        if not record["path"]
    ]
    records.sort(key=lambda record: record["id"])
    return folder.write(Document(STAGE, records=records, summary=_summary(records, synthetic), **inputs))


def told(document: Document) -> str:
    """The stage in one line."""
    reasons = ", ".join(f"{count} {reason}" for reason, count in document.summary["rejected"].items())
    missing = sum(document.summary["missing"].values())
    return (
        f"{document.summary['kept']} of {len(document.records)} generated images kept"
        + (f"; rejected: {reasons}" if reasons else "")
        + (f"; {missing} still missing" if missing else "")
    )


def look(folder: RunFolder, record: Record) -> tuple[int, float]:
    """(64-bit perceptual hash, standard deviation of the brightness in grey levels) of a generated image."""
    frame = read_image(folder.path / record["path"]).frame
    return perceptual_hash(frame), float(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY).std())


def judge(
    hashes: Hashes, spreads: NDArray[np.float64], real: Sequence[Record], settings: CurateSettings
) -> tuple[list[list[str]], list[dict[str, float]]]:
    """Per generated image the reasons against it (none: keep), and its measurements.

    Of duplicates the first is kept. A distance is that to the nearest image, in bits of 64.
    """
    to_training = _nearest(hashes, _hashes(real, ("train",)))
    to_held_out = _nearest(hashes, _hashes(real, ("val", "test")))
    reasons: list[list[str]] = []
    kept: list[int] = []
    for index in range(len(hashes)):
        why = []
        if spreads[index] < settings.blank_std:
            why.append(BLANK)
        if _nearest(hashes[index : index + 1], hashes[kept])[0] <= settings.duplicate_bits:
            why.append(DUPLICATE)
        if to_training[index] <= settings.copy_bits:
            why.append(COPY)
        if to_held_out[index] <= settings.lookalike_bits:
            why.append(LOOKALIKE)
        if not why:
            kept.append(index)
        reasons.append(why)
    scores = [
        {"brightness_std": round(spread, 2), "bits_to_training": int(near), "bits_to_held_out": int(far)}
        for spread, near, far in zip(spreads.tolist(), to_training, to_held_out, strict=True)
    ]
    return reasons, scores


def _hashes(records: Sequence[Record], splits: tuple[str, ...]) -> Hashes:
    return np.array([int(record["phash"], 16) for record in records if record["split"] in splits], np.uint64)


def _nearest(hashes: Hashes, others: Hashes) -> NDArray[np.uint8]:
    """(N,) distance of each hash to the nearest of `others`; 64 where there are none."""
    if not len(others) or not len(hashes):
        return np.full(len(hashes), HASH_BITS, np.uint8)
    return hamming_distances(hashes, others).min(axis=1)


def _summary(records: Sequence[Record], synthetic: Document) -> dict[str, object]:
    kept = Counter(record["label"] for record in records if record["kept"])
    rejected = Counter(reason for record in records for reason in record["reasons"])
    found = Counter((record["method"], record["label"]) for record in records if record["kept"])
    missing: Counter[str] = Counter()
    for method, of_method in synthetic.summary["wanted"].items():
        missing.update({label: max(0, count - found[method, label]) for label, count in of_method.items()})
    return {
        "kept": sum(kept.values()),
        "kept_per_class": dict(sorted(kept.items())),
        "rejected": dict(sorted(rejected.items())),
        "missing": dict(missing),
    }
