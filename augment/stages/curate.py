"""Stage 6, curate: which generated images may teach the classifier, and why the others may not.

Two-sided: an image must show what its label says and be of this world, yet be no copy of a real image. Every image is
told all reasons against it, in the order of `REASONS`. Test images are not opened: what they are compared by, their
hashes and embeddings, was taken when the dataset stage read them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from augment.arrays import Labels, Numbers, Vectors
from augment.data.duplicates import DETAIL_SHIFT, SAME_DETAIL, detail, hash_pairs, shifted_correlation
from augment.data.image_store import ImageStore
from augment.data.perceptual_hash import Hashes, hamming_distances, perceptual_hash
from augment.evaluation.label_check import agreement, recall_with
from augment.evaluation.learning_curve import learning_curve
from augment.methods import parse_method
from augment.models.image_embedding import Fingerprints, nearest_distance
from augment.models.model_folders import pick_device
from augment.progress import progress
from augment.records import Document, Record, RunFolder, digest_of, item_seed
from augment.report import contact_sheets
from augment.settings import CurateSettings, Settings, as_json
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.preprocess import Frame
from edge_runtime.media.image_files import read_image

STAGE = "curation"

BLANK = "blank"
DUPLICATE = "duplicate of another generated image"
COPY = "copy of a training image"
LOOKALIKE = "look-alike of a validation or test image"
OUT_OF_WORLD = "unlike any training image"
NO_FAULT = "the fault cannot be seen"
WRONG_CLASS = "shows another class"
OVER_CAP = "beyond the class's cap"
REASONS = (BLANK, DUPLICATE, COPY, LOOKALIKE, OUT_OF_WORLD, NO_FAULT, WRONG_CLASS, OVER_CAP)
NEARLY_NOISE = 0.9  # of the distance of noise
MOST_PAIRS = 3000  # of real images whose detail is compared
BAR_MARGIN, HIGHEST_BAR = 0.01, 0.97  # correlations of detail
FEW = 8  # training images below which their distances say nothing


@dataclass(frozen=True)
class Seen:
    """Images as curation compares them, one row each."""

    hashes: Hashes  # (N,) 64-bit
    embeddings: Vectors  # (N, D) of unit length
    details: NDArray[np.float32]  # (N, 32, 32) of their thumbnails


@dataclass(frozen=True)
class Pool:
    """The generated images to judge."""

    seen: Seen
    mirrored: Hashes  # (N,) of the mirror images
    spreads: Numbers  # (N,) standard deviation of the brightness, grey levels
    changes: Numbers  # (N,) largest change to the host, grey levels; NaN where nothing was put into a host
    origins: Labels  # (N,) row of the training image it was put into, -1 if none
    ranks: Labels  # (N,) how many classes are clearly likelier than the label; 0 where no classifier is asked
    rivals: Sequence[str]  # the likeliest label
    labels: Sequence[str]
    methods: Sequence[str]


def run(settings: Settings, folder: RunFolder) -> Document:
    """Judge every generated image: records `{id, label, path, kept, reasons, scores}`; a summary of what is missing."""
    synthetic, dataset = folder.require("synthetic"), folder.require("dataset")
    fingerprints = Fingerprints(settings, folder, pick_device(settings.device))
    inputs = {
        "parent": synthetic.digest,
        "settings": {
            "seed": settings.seed,
            "dataset": dataset.digest,
            "faults": list(settings.data.faults),
            "hosts": dict(settings.generate.hosts),
            **as_json(settings.curate),
        },
        "models": {"embedder": fingerprints.identity},
    }
    if done := folder.finished(STAGE, **inputs):
        return done
    painted = [record for record in synthetic.records if record["path"]]
    real = {
        side: [record for record in dataset.records if record["split"] == side] for side in ("train", "val", "test")
    }
    seen = {side: _real(settings, fingerprints, records) for side, records in real.items()}
    pool = _pool(settings, folder, fingerprints, painted, real["train"], seen["train"])
    measure = Measure.of(
        settings.curate,
        seen["train"],
        [record["group"] for record in real["train"]],
        _noise(fingerprints, seen["train"]),
    )
    reasons, scores = judge(pool, seen["train"], _joined(seen["val"], seen["test"]), real["train"], settings, measure)
    records = [_record(record, why, score) for record, why, score in zip(painted, reasons, scores, strict=True)] + [
        _record(record, [record["blanked"]], {}) for record in synthetic.records if not record["path"]
    ]
    records.sort(key=lambda record: record["id"])
    kept = np.array([not why for why in reasons], bool)
    summary = {
        **_summary(records, synthetic),
        "validation_recall": _validation_recall(real, seen, painted, pool, kept),
        "learning_curve": _known_curve(folder, inputs) or _learning_curve(settings, real["train"], seen["train"]),
        "sheets": contact_sheets.write(folder, records),
    }
    return folder.write(Document(STAGE, records=records, summary=summary, **inputs))


def told(document: Document) -> str:
    """The stage in one line."""
    reasons = ", ".join(f"{count} {reason}" for reason, count in document.summary["rejected"].items())
    missing = sum(document.summary["missing"].values())
    return (
        f"{document.summary['kept']} of {len(document.records)} generated images kept"
        + (f"; rejected: {reasons}" if reasons else "")
        + (f"; {missing} still missing" if missing else "")
    )


# Looking


def _real(settings: Settings, fingerprints: Fingerprints, records: Sequence[Record]) -> Seen:
    store, by_id = ImageStore(settings), {record["id"]: record for record in records}

    def opened(image: str) -> Frame:
        if by_id[image]["split"] == "test":
            raise InputError("the embeddings of the test images are gone; run `rarefault dataset` again")
        return store.frame(by_id[image])

    hashes = np.array([int(record["phash"], 16) for record in records], np.uint64)
    return _seen(hashes, *fingerprints.of(list(by_id), opened))


def _seen(hashes: Hashes, embeddings: Vectors, thumbnails: NDArray[np.uint8]) -> Seen:
    details = np.array([detail(thumbnail) for thumbnail in thumbnails], np.float32)
    return Seen(hashes, embeddings, details)


def _joined(*parts: Seen) -> Seen:
    held = [part for part in parts if len(part.hashes)]
    if not held:
        return parts[0]
    return Seen(*(np.concatenate([getattr(part, item.name) for part in held]) for item in fields(Seen)))


def _pool(
    settings: Settings,
    folder: RunFolder,
    fingerprints: Fingerprints,
    painted: Sequence[Record],
    training: Sequence[Record],
    seen: Seen,
) -> Pool:
    store, by_id = ImageStore(settings), {record["id"]: record for record in training}
    row_of = {record["id"]: row for row, record in enumerate(training)}
    inserted = [parse_method(record["method"]).inserts for record in painted]

    def look(record: Record) -> tuple[int, int, float, float]:
        frame = read_image(folder.path / record["path"]).frame
        host = store.frame(by_id[record["host"]]) if parse_method(record["method"]).inserts else None
        spread = float(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY).std())
        return (
            perceptual_hash(frame),
            perceptual_hash(np.ascontiguousarray(frame[:, ::-1])),
            spread,
            np.nan if host is None else largest_change(frame, host),
        )

    with ThreadPoolExecutor() as workers:
        looks = list(progress(workers.map(look, painted), len(painted), "images curated"))
    paths = {record["id"]: record["path"] for record in painted}
    prints = fingerprints.of(list(paths), lambda image: read_image(folder.path / paths[image]).frame)
    own = _seen(np.array([found[0] for found in looks], np.uint64), *prints)
    labels = [record["label"] for record in painted]
    ranks, rivals = (
        agreement(settings.seed, training, seen.embeddings, painted, own.embeddings)
        if settings.curate.top_k
        else (np.zeros(len(painted), np.int64), labels)
    )
    return Pool(
        seen=own,
        mirrored=np.array([found[1] for found in looks], np.uint64),
        spreads=np.array([found[2] for found in looks]),
        changes=np.array([found[3] for found in looks]),
        origins=np.array(
            [row_of[r["host"]] if put else -1 for r, put in zip(painted, inserted, strict=True)], np.int64
        ),
        ranks=np.where(inserted, 0, ranks).astype(np.int64),  # of these the change speaks, and speaks better
        rivals=rivals,
        labels=labels,
        methods=[record["method"] for record in painted],
    )


def largest_change(frame: Frame, host: Frame) -> float:
    """The largest difference of two pictures of one size over a spot of 3 x 3 pixels, in grey levels."""
    if frame.shape != host.shape:
        raise InputError(
            f"a picture of {frame.shape[1]} x {frame.shape[0]} has a host of {host.shape[1]} x {host.shape[0]}"
        )
    return float(cv2.blur(cv2.absdiff(frame, host).max(axis=2).astype(np.float32), (3, 3)).max())


# Judging


def judge(
    pool: Pool, training: Seen, held_out: Seen, records: Sequence[Record], settings: Settings, measure: "Measure"
) -> tuple[list[list[str]], list[dict[str, float]]]:
    """Per generated image the reasons against it (none: keep), and its measurements.

    `records` are those of the training images. Of duplicates the first is kept. Distances are cosine distances of
    embeddings to the nearest image, a generated one's own host left out.
    """
    section, counts = settings.curate, Counter(record["label"] for record in records)
    rows = np.arange(len(pool.labels))
    copies = measure.same(pool, rows, training, section.copy_bits, pool.origins).any(axis=1)
    lookalikes = measure.same(pool, rows, held_out, section.lookalike_bits).any(axis=1)
    to_training, to_held_out = _nearest(pool, training, pool.origins), _nearest(pool, held_out)
    twins = _twins(pool, measure, section.duplicate_bits)
    reasons: list[list[str]] = []
    kept: set[int] = set()
    of_class: Counter[str] = Counter()
    for index, label in enumerate(pool.labels):
        why = set()
        if pool.spreads[index] < section.blank_std:
            why.add(BLANK)
        if kept & twins[index]:
            why.add(DUPLICATE)
        if copies[index]:
            why.add(COPY)
        if lookalikes[index]:
            why.add(LOOKALIKE)
        if to_training[index] > measure.ceiling:
            why.add(OUT_OF_WORLD)
        if pool.changes[index] < section.visible:
            why.add(NO_FAULT)
        if section.top_k and pool.ranks[index] >= section.top_k:
            why.add(NO_FAULT if _is_sound(pool.rivals[index], label, settings) else WRONG_CLASS)
        if not why and of_class[label] >= _limit(section, counts[label]):
            why.add(OVER_CAP)
        if not why:
            kept.add(index)
            of_class[label] += 1
        reasons.append([reason for reason in REASONS if reason in why])
    return reasons, [_scores(pool, to_training, to_held_out, index) for index in range(len(pool.labels))]


def _twins(pool: Pool, measure: "Measure", bits: int) -> list[set[int]]:
    """Of each generated image the rows of those that show the same, within its class and method."""
    twins: list[set[int]] = [set() for _ in pool.labels]
    kinds = list(zip(pool.labels, pool.methods, strict=True))
    for kind in set(kinds):
        rows = np.array([row for row, other in enumerate(kinds) if other == kind])
        for first, second in np.argwhere(measure.same(pool, rows, _rows(pool.seen, rows), bits)):
            twins[rows[first]].add(int(rows[second]))
    return twins


def _is_sound(rival: str, label: str, settings: Settings) -> bool:
    """Whether `rival` is what a picture of `label` shows where the fault is missing."""
    if label in settings.generate.hosts:
        return rival == settings.generate.hosts[label]
    return label in settings.data.faults and rival not in settings.data.faults


def _limit(section: CurateSettings, real: int) -> float:
    shared = real * section.share / (1 - section.share) if section.share < 1 else np.inf
    return min(section.cap or np.inf, int(shared) if np.isfinite(shared) else shared)


def usual_distances(embeddings: Vectors, groups: Sequence[str]) -> Numbers:
    """(N,) cosine distance of each training image to the nearest of another group; empty where they are too few."""
    if len(set(groups)) < FEW:
        return np.empty(0)
    names = np.unique(np.asarray(groups), return_inverse=True)[1]
    return nearest_distance(embeddings, embeddings, excluded=names[:, None] == names[None, :])


@dataclass(frozen=True)
class Measure:
    """What is the same and what is far, in terms of how near real images are to each other."""

    floor: float  # cosine distance; nearer is the same, whatever the hash says
    ceiling: float  # cosine distance
    bar: float  # correlation of detail above which pictures of one layout are the same

    @classmethod
    def of(cls, section: CurateSettings, training: Seen, groups: Sequence[str], noise: float) -> "Measure":
        """`noise` is the cosine distance of pure noise to the nearest training image."""
        usual = usual_distances(training.embeddings, groups)
        if not len(usual):
            return cls(0.0, np.inf, SAME_DETAIL)
        low, high = np.percentile(usual, [5, 95])
        bits = max(section.copy_bits, section.lookalike_bits)
        ceiling = min(section.ceiling * float(high), NEARLY_NOISE * noise)
        return cls(section.floor * float(low), ceiling, _bar(training, groups, bits))

    def same(
        self, pool: Pool, rows: Labels, others: Seen, limit: int, origins: Labels | None = None
    ) -> NDArray[np.bool_]:
        """(R, M): which of `others` some generated images show again, either way round; a `limit` of -1 is no rule."""
        found = np.zeros((len(rows), len(others.hashes)), bool)
        if limit < 0 or not found.size:
            return found
        found |= 1 - pool.seen.embeddings[rows] @ others.embeddings.T < self.floor
        for hashes, way in ((pool.seen.hashes, 1), (pool.mirrored, -1)):
            for row, other in np.argwhere(hamming_distances(hashes[rows], others.hashes) <= limit):
                own = pool.seen.details[rows[row]][:, ::way]
                found[row, other] |= shifted_correlation(own, others.details[other], DETAIL_SHIFT) >= self.bar
        if origins is not None:
            hosted = np.flatnonzero(origins[rows] >= 0)
            found[hosted, origins[rows][hosted]] = False
        return found


def _noise(fingerprints: Fingerprints, training: Seen) -> float:
    """Cosine distance of pictures of pure noise to the nearest training image."""
    if not len(training.hashes):
        return 1.0

    def drawn(name: str) -> Frame:
        return np.random.default_rng(int(name.rpartition("-")[2])).integers(0, 256, (128, 128, 3), np.uint8)

    embeddings, _ = fingerprints.of([f"noise-{number}" for number in range(4)], drawn)
    return float(nearest_distance(embeddings, training.embeddings).astype(np.float32).min())


def _bar(training: Seen, groups: Sequence[str], bits: int) -> float:
    """Above the correlation of any two training images of one layout: a camera that never moves makes them alike."""
    pairs = hash_pairs(training.hashes, bits)
    names = np.unique(np.asarray(groups), return_inverse=True)[1]
    apart = pairs[names[pairs[:, 0]] != names[pairs[:, 1]]]
    shown = apart[:: len(apart) // MOST_PAIRS + 1]
    details = training.details
    found = [shifted_correlation(details[first], details[second], DETAIL_SHIFT) for first, second in shown]
    return min(max([SAME_DETAIL, *(value + BAR_MARGIN for value in found)]), HIGHEST_BAR)


def _nearest(pool: Pool, others: Seen, origins: Labels | None = None) -> Numbers:
    """(N,) cosine distance of each generated image to the nearest of `others`; 1 where there is none."""
    own = None if origins is None else origins[:, None] == np.arange(len(others.hashes))
    return nearest_distance(pool.seen.embeddings, others.embeddings, excluded=own)


def _rows(seen: Seen, rows: Labels) -> Seen:
    return Seen(*(getattr(seen, item.name)[rows] for item in fields(Seen)))


def _scores(pool: Pool, to_training: Numbers, to_held_out: Numbers, index: int) -> dict[str, float]:
    scores = {
        "brightness_std": round(float(pool.spreads[index]), 2),
        "distance_to_training": round(float(to_training[index]), 4),
        "distance_to_held_out": round(float(to_held_out[index]), 4),
        "likelier_classes": int(pool.ranks[index]),
    }
    return scores if np.isnan(pool.changes[index]) else {**scores, "change": round(float(pool.changes[index]), 1)}


# Summing up


def _record(record: Record, why: list[str], scores: dict[str, float]) -> Record:
    return {
        **{key: record[key] for key in ("id", "label", "method", "path")},
        "kept": not why,
        "reasons": why,
        "scores": scores,
    }


def _validation_recall(
    real: Mapping[str, Sequence[Record]], seen: Mapping[str, Seen], painted: Sequence[Record], pool: Pool, kept: NDArray
) -> dict[str, float | None]:
    """Recall per class on validation images after learning from real and kept images; where to spend the next round."""
    labels = [record["label"] for record in real["train"]] + [painted[row]["label"] for row in np.flatnonzero(kept)]
    features = [seen["train"].embeddings] + ([pool.seen.embeddings[kept]] if kept.any() else [])
    truth = [record["label"] for record in real["val"]]
    return recall_with(np.concatenate(features), labels, seen["val"].embeddings, truth)


def _known_curve(folder: RunFolder, inputs: Mapping[str, Any]) -> dict[str, object] | None:
    """Of an earlier round: it is about the real images, which no round changes."""
    earlier = folder.latest(STAGE)
    if earlier is None or digest_of([earlier.settings, earlier.models]) != digest_of(
        [inputs["settings"], inputs["models"]]
    ):
        return None
    return earlier.summary["learning_curve"]


def _learning_curve(settings: Settings, records: Sequence[Record], seen: Seen) -> dict[str, object] | None:
    names = sorted({record["label"] for record in records})
    targets = np.array([names.index(record["label"]) for record in records])
    groups = [record["group"] for record in records]
    seed = item_seed(settings.seed, STAGE, "learning curve")
    return learning_curve(seen.embeddings, targets, groups, names, seed, settings.curate.recall_target)


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
