"""Stage 6, curate: which generated images may teach the classifier, and why the others may not.

Two-sided: an image must show what its label says and be of this world, yet be no copy of a real image. Every image gets
all reasons against it, in the order of `REASONS`. Healed images are meant to be like their sources and are beside all
limits: each must only have lost what its boxes held. Test images are not opened: what they are compared by, their
hashes and embeddings, was taken when the dataset stage read them.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from augment import record_types as types
from augment.arrays import Labels, Numbers, Vectors
from augment.data.duplicates import SAME_DETAIL, Details, correlations, grey_of, most_pairs, near_hashes
from augment.data.image_store import ImageStore
from augment.data.perceptual_hash import Hashes, Pairs, near_pairs, perceptual_hash
from augment.data.split import SIDES, TEST, TRAIN, VAL
from augment.engines.interface import Engine
from augment.engines.local import IN_THIS_PROCESS
from augment.evaluation.label_check import Joined, agreement, recall_with
from augment.evaluation.learning_curve import learning_curve
from augment.methods import parse_method
from augment.models.heal import box_area
from augment.models.image_embedding import (
    LIKENESSES_AT_ONCE,
    STORED_AT_ONCE,
    Fingerprints,
    best_likeness,
    nearest_distance,
)
from augment.models.model_folders import pick_device
from augment.records import CURATION, DATASET, SYNTHETIC, Document, RunFolder, StageInputs, digest_of, item_seed
from augment.report import contact_sheets
from augment.settings import CurateSettings, Settings
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.preprocess import Frame
from edge_runtime.media.image_files import read_image

BLANK = "blank"
DUPLICATE = "duplicate of another generated image"
COPY = "copy of a training image"
LOOKALIKE = "look-alike of a validation or test image"
OUT_OF_WORLD = "unlike any training image"
NO_FAULT = "the fault cannot be seen"
WRONG_CLASS = "shows another class"
OVER_CAP = "beyond the class's cap"
NOT_HEALED = "healing changed nothing visible in a box"  # all around it is as hot, or of the same colours
REASONS = (BLANK, DUPLICATE, COPY, LOOKALIKE, OUT_OF_WORLD, NO_FAULT, WRONG_CLASS, OVER_CAP)
NEARLY_NOISE = 0.9  # of the distance of noise
HEALED = 2.0  # times `curate.visible`: what is left of a fault in a picture called healthy would teach the opposite
SAME_PLACE = 0.3  # of the area of two boxes together
MOST_PAIRS = 3000  # of real images whose detail is compared
THRESHOLD_MARGIN, HIGHEST_THRESHOLD = 0.01, 0.97  # correlations of detail
MOST_ASKED = 8192  # training images whose nearest one is looked for
FEW = 8  # training images below which their distances say nothing
CurationDocument = Document[types.CurationRecord, types.CurationSummary]


@dataclass(frozen=True)
class Seen:
    """Images as curation compares them, one row each."""

    hashes: Hashes  # (N,) 64-bit
    embeddings: NDArray[np.floating]  # (N, D) of unit length
    greys: NDArray[np.uint8]  # (N, 32, 32) of their thumbnails

    @property
    def details(self) -> Details:
        """The detail of each."""
        return Details(self.greys)


@dataclass(frozen=True)
class Pool:
    """The generated images to judge."""

    seen: Seen
    mirrored: Hashes  # (N,) of the mirror images
    spreads: Numbers  # (N,) standard deviation of the brightness, grey levels
    changes: Numbers  # (N,) largest change to the host, grey levels; NaN where nothing was put into a host
    origins: Labels  # (N,) row of the training image it was put into, -1 if none
    places: Sequence[types.Box | None]  # of what was put into it
    ranks: Labels  # (N,) how many classes are clearly likelier than the label; 0 where no classifier is asked
    alternatives: Sequence[str]  # the likeliest label
    labels: Sequence[str]
    methods: Sequence[str]


def run(settings: Settings, folder: RunFolder, engine: Engine = IN_THIS_PROCESS) -> CurationDocument:
    """Keep or reject every generated image; the summary says what is still missing."""
    synthetic, dataset = folder.require(SYNTHETIC), folder.require(DATASET)
    fingerprints = Fingerprints(settings, folder, pick_device(settings.device))
    faults, hosts = list(settings.data.faults), dict(settings.generate.hosts)
    others = {"seed": settings.seed, "dataset": dataset.digest, "faults": faults, "hosts": hosts}
    inputs = StageInputs.of(synthetic.digest, settings.curate, others, {"embedder": fingerprints.identity})
    if done := folder.finished(CURATION, inputs):
        return done
    made = [record for record in synthetic.records if record.path]
    heals = [record for record in made if parse_method(record.method).heals]
    painted = [record for record in made if not parse_method(record.method).heals]
    real = {side: [record for record in dataset.records if record.split == side] for side in SIDES}
    seen = {side: _real(settings, fingerprints, records) for side, records in real.items()}
    journal = folder.journal(CURATION, types.PixelRecord, inputs.to_json())
    work = _Looking(settings, folder, {record.id: record for record in [*real[TRAIN], *real[VAL]]})
    pixels = engine.map(work, [*_batches(painted), *_batches(heals)], journal, attrgetter("id"))
    pool = _pool(settings, folder, fingerprints, painted, pixels, real[TRAIN], seen[TRAIN])
    groups = [record.group for record in real[TRAIN]]
    measure = Measure.of(settings.curate, seen[TRAIN], groups, _noise(fingerprints, seen[TRAIN]))
    held_out = _joined(seen[VAL], seen[TEST])
    reasons, scores = reject_reasons(pool, seen[TRAIN], held_out, real[TRAIN], settings, measure)
    records = [_record(record, why, score) for record, why, score in zip(painted, reasons, scores, strict=True)]
    records += [_healed(record, pixels[record.id].change or 0.0, settings.curate.visible) for record in heals]
    records += [_record(record, [record.blanked or BLANK], {}) for record in synthetic.records if not record.path]
    records.sort(key=lambda record: record.id)
    kept = np.array([not why for why in reasons], bool)
    per_class = Counter(record.label for record in records if record.kept)
    rejected = Counter(reason for record in records for reason in record.reasons)
    summary = types.CurationSummary(
        kept=per_class.total(),
        kept_per_class=dict(sorted(per_class.items())),
        rejected=dict(sorted(rejected.items())),
        missing=_missing(records, synthetic.summary),
        validation_recall=_validation_recall(real, seen, pool, kept),
        learning_curve=_known_curve(folder, inputs) or _learning_curve(settings, real[TRAIN], seen[TRAIN]),
        sheets=contact_sheets.write(folder, records),
    )
    return folder.write(Document(CURATION, inputs, records, summary))


def summary_line(document: CurationDocument) -> str:
    """Say in one line what the stage did."""
    reasons = ", ".join(f"{count} {reason}" for reason, count in document.summary.rejected.items())
    missing = sum(document.summary.missing.values())
    return (
        f"{document.summary.kept} of {len(document.records)} generated images kept"
        + (f"; rejected: {reasons}" if reasons else "")
        + (f"; {missing} still missing" if missing else "")
    )


# Measuring


def _real(settings: Settings, fingerprints: Fingerprints, records: Sequence[types.DatasetRecord]) -> Seen:
    store, by_id = ImageStore(settings), {record.id: record for record in records}

    def opened(image: str) -> Frame:
        if by_id[image].split == TEST:
            raise InputError("the embeddings of the test images are gone; run `rarefault dataset` again")
        return store.frame(by_id[image])

    return _seen(_hashes([record.phash for record in records]), *fingerprints.of(list(by_id), opened, np.float16))


def _seen(hashes: Hashes, embeddings: Vectors, thumbnails: NDArray[np.uint8]) -> Seen:
    return Seen(hashes, embeddings, np.array([grey_of(thumbnail) for thumbnail in thumbnails], np.uint8))


def _joined(*parts: Seen) -> Seen:
    held = [part for part in parts if len(part.hashes)]
    if not held:
        return parts[0]
    return Seen(*(np.concatenate([getattr(part, item.name) for part in held]) for item in fields(Seen)))


def _batches(records: Sequence[types.GeneratedRecord]) -> list[Sequence[types.GeneratedRecord]]:
    return [records[start : start + STORED_AT_ONCE] for start in range(0, len(records), STORED_AT_ONCE)]


@dataclass(frozen=True)
class _Looking:
    """The work on batches of generated images, all healed or none: their pixels, and their fingerprints in the cache.

    Healed images need no fingerprint.
    """

    what: ClassVar[str] = f"batches of {STORED_AT_ONCE} images curated"
    settings: Settings
    folder: RunFolder
    sources: Mapping[str, types.DatasetRecord]  # by id

    def start(self) -> Callable[[Sequence[types.GeneratedRecord]], list[types.PixelRecord]]:
        """Return what looks at a batch."""
        fingerprints = Fingerprints(self.settings, self.folder, pick_device(self.settings.device))

        def looked(batch: Sequence[types.GeneratedRecord]) -> list[types.PixelRecord]:
            with ThreadPoolExecutor() as workers:
                frames = list(workers.map(lambda record: _frame(self.folder, record), batch))
                found = list(workers.map(self._pixels, batch, frames))
            if not parse_method(batch[0].method).heals:
                by_id = {record.id: frame for record, frame in zip(batch, frames, strict=True)}
                fingerprints.take(list(by_id), by_id.__getitem__)
            return found

        return looked

    def _pixels(self, record: types.GeneratedRecord, frame: Frame) -> types.PixelRecord:
        method, store = parse_method(record.method), ImageStore(self.settings)
        if method.heals:
            source = store.frame(self.sources[record.source])
            areas = [box_area(frame.shape, (x, y, width, height)) for x, y, width, height in record.boxes]
            change = min(largest_change(frame[area], source[area]) for area in areas)
            return types.PixelRecord(id=record.id, change=change)
        host = self.sources[record.host or ""] if method.inserts else None
        return types.PixelRecord(
            id=record.id,
            hash=f"{perceptual_hash(frame):016x}",
            mirrored=f"{perceptual_hash(np.ascontiguousarray(frame[:, ::-1])):016x}",
            spread=float(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY).std()),
            change=largest_change(frame, store.frame(host)) if host else None,
        )


def _frame(folder: RunFolder, record: types.GeneratedRecord) -> Frame:
    return read_image(folder.path / (record.path or "")).frame


def _pool(
    settings: Settings,
    folder: RunFolder,
    fingerprints: Fingerprints,
    painted: Sequence[types.GeneratedRecord],
    pixels: Mapping[str, types.PixelRecord],
    training: Sequence[types.DatasetRecord],
    seen: Seen,
) -> Pool:
    row_of, found = {record.id: row for row, record in enumerate(training)}, [pixels[record.id] for record in painted]
    # Row of the training image that a fault was put into, -1 if none.
    origins = [row_of[record.host or ""] if parse_method(record.method).inserts else -1 for record in painted]
    by_id = {record.id: record for record in painted}
    prints = fingerprints.of(
        list(by_id), lambda image: _frame(folder, by_id[image]), np.float16
    )  # a cache may have been deleted
    own = _seen(_hashes([image.hash for image in found]), *prints)
    labels = [record.label for record in painted]
    ranks, alternatives = (
        agreement(settings.seed, training, seen.embeddings, painted, own.embeddings)
        if settings.curate.top_k
        else (np.zeros(len(painted), np.int64), labels)
    )
    put = np.array(origins, np.int64)
    return Pool(
        seen=own,
        mirrored=_hashes([image.mirrored for image in found]),
        spreads=np.array([image.spread for image in found], float),
        changes=np.array([image.change for image in found], float),  # None becomes NaN
        origins=put,
        places=[record.place if origin >= 0 else None for record, origin in zip(painted, origins, strict=True)],
        # Inserted faults are judged by how much the pixels changed instead of by the classifiers.
        ranks=np.where(put >= 0, 0, ranks).astype(np.int64),
        alternatives=alternatives,
        labels=labels,
        methods=[record.method for record in painted],
    )


def _hashes(texts: Sequence[str]) -> Hashes:
    return np.array([int(text, 16) for text in texts], np.uint64)


def largest_change(frame: Frame, host: Frame) -> float:
    """Return the largest difference of two pictures of one size over a spot of 3 x 3 pixels, in grey levels."""
    if frame.shape != host.shape:
        raise InputError(
            f"a picture of {frame.shape[1]} x {frame.shape[0]} has a host of {host.shape[1]} x {host.shape[0]}"
        )
    return float(cv2.blur(cv2.absdiff(frame, host).max(axis=2).astype(np.float32), (3, 3)).max())


# Rejecting


def _healed(record: types.GeneratedRecord, change: float, visible: float) -> types.CurationRecord:
    """Keep a healed image whose every box lost something that can be seen."""
    why = [NOT_HEALED] if change < HEALED * visible else []
    return _record(record, why, {"change": round(change, 1)})


def reject_reasons(
    pool: Pool,
    training: Seen,
    held_out: Seen,
    records: Sequence[types.DatasetRecord],
    settings: Settings,
    measure: "Measure",
) -> tuple[list[list[str]], list[dict[str, float]]]:
    """Return per generated image the reasons against it (none: keep), and its measurements.

    `records` are those of the training images. Of duplicates the first is kept. Distances are cosine distances of
    embeddings to the nearest image, a generated one's own host left out.
    """
    section, counts = settings.curate, Counter(record.label for record in records)
    like_training = best_likeness(
        pool.seen.embeddings, training.embeddings, pool.origins, np.arange(len(training.hashes))
    )
    like_held_out = best_likeness(pool.seen.embeddings, held_out.embeddings)
    # An image's own host counts as unrelated, so that there is a distance where it is alone.
    to_training = 1 - np.where(pool.origins >= 0, np.maximum(like_training, 0), like_training).astype(np.float64)
    to_held_out = 1 - like_held_out.astype(np.float64)
    duplicates = _duplicates(pool, measure, section.duplicate_bits)
    single = _single_reasons(pool, settings, measure, to_training) | {
        COPY: measure.shown_again(pool, training, section.copy_bits, like_training, pool.origins),
        LOOKALIKE: measure.shown_again(pool, held_out, section.lookalike_bits, like_held_out),
    }
    reasons: list[list[str]] = []
    kept: set[int] = set()
    of_class: Counter[str] = Counter()
    for index, label in enumerate(pool.labels):
        why = {reason for reason, rows in single.items() if rows[index]}
        if kept & duplicates[index]:
            why.add(DUPLICATE)
        if not why and of_class[label] >= _limit(section, counts[label]):
            why.add(OVER_CAP)
        if not why:
            kept.add(index)
            of_class[label] += 1
        reasons.append([reason for reason in REASONS if reason in why])
    return reasons, [_scores(pool, to_training, to_held_out, index) for index in range(len(pool.labels))]


def _single_reasons(
    pool: Pool, settings: Settings, measure: "Measure", to_training: Numbers
) -> dict[str, NDArray[np.bool_]]:
    """Return which images (N,) each reason speaks against that needs no comparison of pictures with each other."""
    section = settings.curate
    doubted = (pool.ranks >= section.top_k) & (section.top_k > 0)
    pairs = zip(pool.alternatives, pool.labels, strict=True)
    healthy = np.array([_is_healthy(alternative, label, settings) for alternative, label in pairs], bool)
    return {
        BLANK: pool.spreads < section.blank_std,
        OUT_OF_WORLD: to_training > measure.ceiling,
        NO_FAULT: (pool.changes < section.visible) | (doubted & healthy),
        WRONG_CLASS: doubted & ~healthy,
    }


def _duplicates(pool: Pool, measure: "Measure", bits: int) -> list[set[int]]:
    """List for each generated image the rows of those before it that show the same, within its class and method.

    Two faults that were set into one host are the same only where they stand in one place: the rest of the picture
    says nothing about them.
    """
    duplicates: list[set[int]] = [set() for _ in pool.labels]
    of_kind: dict[tuple[str, str], list[int]] = {}
    for row, kind in enumerate(zip(pool.labels, pool.methods, strict=True)):
        of_kind.setdefault(kind, []).append(row)
    for own in of_kind.values():
        rows = np.array(own)
        for first, second in rows[measure.same_before(pool, rows, bits)].tolist():
            if not _apart(pool.places[first], pool.places[second]):
                duplicates[first].add(second)
    return duplicates


def _apart(first: types.Box | None, second: types.Box | None) -> bool:
    """Whether two boxes share less than SAME_PLACE of the area that they cover together; not where one is None."""
    if first is None or second is None:
        return False
    sides = [
        max(0.0, min(first[at] + first[at + 2], second[at] + second[at + 2]) - max(first[at], second[at]))
        for at in (0, 1)
    ]
    shared = sides[0] * sides[1]
    return shared < SAME_PLACE * (first[2] * first[3] + second[2] * second[3] - shared)


def _is_healthy(alternative: str, label: str, settings: Settings) -> bool:
    """Whether `alternative` is what a picture of `label` shows where the fault is missing."""
    if label in settings.generate.hosts:
        return alternative == settings.generate.hosts[label]
    return label in settings.data.faults and alternative not in settings.data.faults


def _limit(section: CurateSettings, real: int) -> float:
    shared = real * section.share / (1 - section.share) if section.share < 1 else np.inf
    return min(section.cap or np.inf, int(shared) if np.isfinite(shared) else shared)


def usual_distances(embeddings: Vectors, groups: Sequence[str]) -> Numbers:
    """Return each training image's cosine distance (N,) to the nearest of another group; none if they are too few.

    Of more than MOST_ASKED so many are asked, drawn evenly: for two percentiles that is enough.
    """
    if len(set(groups)) < FEW:
        return np.empty(0)
    names = np.unique(np.asarray(groups), return_inverse=True)[1]
    rows = np.unique(np.linspace(0, len(names) - 1, min(MOST_ASKED, len(names))).astype(int))
    return nearest_distance(embeddings[rows], embeddings, names[rows], names)


@dataclass(frozen=True)
class Measure:
    """What is the same and what is far, in terms of how near real images are to each other."""

    floor: float  # cosine distance; nearer is the same, whatever the hash says
    ceiling: float  # cosine distance
    threshold: float  # correlation of detail above which pictures of one layout are the same

    @classmethod
    def of(cls, section: CurateSettings, training: Seen, groups: Sequence[str], noise: float) -> "Measure":
        """Measure the training images; `noise` is the cosine distance of pure noise to the nearest of them."""
        usual = usual_distances(training.embeddings, groups)
        if not len(usual):
            return cls(0.0, np.inf, SAME_DETAIL)
        low, high = np.percentile(usual, [5, 95])
        bits = max(section.copy_bits, section.lookalike_bits)
        ceiling = min(section.ceiling * float(high), NEARLY_NOISE * noise)
        return cls(section.floor * float(low), ceiling, _detail_threshold(training, groups, bits))

    def shown_again(
        self, pool: Pool, others: Seen, limit: int, likeness: Vectors, origins: Labels | None = None
    ) -> NDArray[np.bool_]:
        """Return which generated images (N,) show one of `others` again, or mirrored; a `limit` of -1 is no rule.

        `likeness` (N,) is the highest cosine with any of them. The row of `others` in `origins` does not count.
        """
        found = np.zeros(len(pool.labels), bool)
        if limit < 0 or not len(others.hashes) or not len(found):
            return found
        found |= 1 - likeness < self.floor
        rows = np.arange(len(found))
        for pairs, mirrored in _of_one_layout(pool, rows, others.hashes, limit):
            open_pairs = pairs[~found[pairs[:, 0]]]
            if origins is not None:
                open_pairs = open_pairs[origins[open_pairs[:, 0]] != open_pairs[:, 1]]
            same = correlations(open_pairs, pool.seen.details, others.details, mirrored) >= self.threshold
            found[open_pairs[same, 0]] = True
        return found

    def same_before(self, pool: Pool, rows: Labels, limit: int) -> Pairs:
        """Return pairs (M, 2) of places in `rows`: one that shows the other, which stands before it, again or mirrored.

        A `limit` of -1 is no rule.
        """
        parts = [np.empty((0, 2), np.int64)]
        if limit < 0:
            return parts[0]
        embeddings, details = pool.seen.embeddings[rows].astype(np.float32), Details(pool.seen.greys[rows])
        step = max(1, LIKENESSES_AT_ONCE // len(rows))
        for start in range(0, len(rows), step):
            near = np.argwhere(1 - embeddings[start : start + step] @ embeddings.T < self.floor)
            near[:, 0] += start
            parts.append(near[near[:, 1] < near[:, 0]])
        for pairs, mirrored in _of_one_layout(pool, rows, pool.seen.hashes[rows], limit):
            before = pairs[pairs[:, 1] < pairs[:, 0]]
            parts.append(before[correlations(before, details, details, mirrored) >= self.threshold])
        return np.concatenate(parts)


def _of_one_layout(pool: Pool, rows: Labels, others: Hashes, limit: int) -> Iterator[tuple[Pairs, bool]]:
    """Yield pairs of places in `rows` and `others` with near hashes, as the images are and mirrored."""
    most = most_pairs(len(rows) + len(others))
    for hashes, mirrored in ((pool.seen.hashes, False), (pool.mirrored, True)):
        yield near_pairs(hashes[rows], others, limit, most).pairs, mirrored


def _noise(fingerprints: Fingerprints, training: Seen) -> float:
    """Return the cosine distance of pictures of pure noise to the nearest training image."""
    if not len(training.hashes):
        return 1.0

    def drawn(name: str) -> Frame:
        return np.random.default_rng(int(name.rpartition("-")[2])).integers(0, 256, (128, 128, 3), np.uint8)

    embeddings, _ = fingerprints.of([f"noise-{number}" for number in range(4)], drawn)
    return float(nearest_distance(embeddings, training.embeddings).astype(np.float32).min())


def _detail_threshold(training: Seen, groups: Sequence[str], bits: int) -> float:
    """Return a correlation above that of any two training images of one layout, which a fixed camera makes alike."""
    pairs = near_hashes(training.hashes, bits).pairs
    names = np.unique(np.asarray(groups), return_inverse=True)[1]
    apart = pairs[names[pairs[:, 0]] != names[pairs[:, 1]]]
    shown = apart[:: len(apart) // MOST_PAIRS + 1]
    details = training.details
    found: list[float] = correlations(shown, details, details).tolist()
    return min(max([SAME_DETAIL, *(value + THRESHOLD_MARGIN for value in found)]), HIGHEST_THRESHOLD)


def _scores(pool: Pool, to_training: Numbers, to_held_out: Numbers, index: int) -> dict[str, float]:
    scores = {
        "brightness_std": round(float(pool.spreads[index]), 2),
        "distance_to_training": round(float(to_training[index]), 4),
        "distance_to_held_out": round(float(to_held_out[index]), 4),
        "likelier_classes": int(pool.ranks[index]),
    }
    return scores if np.isnan(pool.changes[index]) else {**scores, "change": round(float(pool.changes[index]), 1)}


# Summing up


def _record(image: types.GeneratedRecord, why: list[str], scores: dict[str, float]) -> types.CurationRecord:
    return types.CurationRecord(
        id=image.id, label=image.label, method=image.method, path=image.path, kept=not why, reasons=why, scores=scores
    )


def _validation_recall(
    real: Mapping[str, Sequence[types.DatasetRecord]], seen: Mapping[str, Seen], pool: Pool, kept: NDArray[np.bool_]
) -> types.Recalls:
    """Measure recall on validation images after learning from real and kept images; it says where to spend a round."""
    rows = np.flatnonzero(kept)
    taught = Joined(seen[TRAIN].embeddings, np.arange(len(real[TRAIN])), pool.seen.embeddings, rows)
    labels = [record.label for record in real[TRAIN]] + [pool.labels[row] for row in rows.tolist()]
    return recall_with(taught, labels, seen[VAL].embeddings, [record.label for record in real[VAL]])


def _known_curve(folder: RunFolder, inputs: StageInputs) -> types.LearningCurve | None:
    """Return the curve of an earlier round: it is about the real images, which no round changes."""
    earlier = folder.latest(CURATION)
    if earlier is None:
        return None
    before = [inputs.settings_of(earlier.inputs), earlier.inputs.models]
    return earlier.summary.learning_curve if digest_of(before) == digest_of([inputs.settings, inputs.models]) else None


def _learning_curve(settings: Settings, records: Sequence[types.DatasetRecord], seen: Seen) -> types.LearningCurve:
    names = sorted({record.label for record in records})
    place = {name: number for number, name in enumerate(names)}
    targets = np.array([place[record.label] for record in records])
    groups = [record.group for record in records]
    seed = item_seed(settings.seed, CURATION.document, "learning curve")
    return learning_curve(seen.embeddings, targets, groups, names, seed, settings.curate.recall_target)


def _missing(records: Sequence[types.CurationRecord], wanted: types.SyntheticSummary) -> dict[str, int]:
    """Count by label the images that are wanted and not kept."""
    found = Counter((record.method, record.label) for record in records if record.kept)
    missing: Counter[str] = Counter()
    for method, of_method in wanted.wanted.items():
        missing.update({label: max(0, count - found[method, label]) for label, count in of_method.items()})
    return dict(missing)
