"""What trained networks say of test pictures, and of the same pictures with their faults painted over.

Every picture is decoded once, however many trainings there are. What a training said is kept beside the comparison, so
that the pictures are not looked at again for a training that has not changed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from augment.arrays import Labels, Numbers, Vectors
from augment.data.image_store import ImageStore
from augment.evaluation import spot_measures
from augment.evaluation.arm_comparison import SpotTest, Truth, of_arms
from augment.evaluation.paint_out import elsewhere, paint_out
from augment.progress import progress
from augment.record_types import DatasetRecord, SmallestFault, TrainingRecord
from augment.records import digest_of, item_seed
from augment.training.predictions import Predictions, read_predictions
from edge_runtime.bundle.decision import Rule
from edge_runtime.bundle.files import replace_file
from edge_runtime.bundle.heads import Head, SpatialHead, head_from_json
from edge_runtime.bundle.preprocess import Frame, Frames, PreprocessSpec
from export.calibration import fit_rule
from export.parity import Runner, answers

PICTURES_AT_ONCE = 16
AS_IS, PAINTED, CONTROL = "as_is", "painted", "control"


@dataclass(frozen=True)
class Answered:
    """What one training says of N pictures: scores (N, M) of each version of them, and the maps (N, C, h, w) as is.

    `painted` and `control` are NaN where a picture has no box, or no room for a control. Maps are those of the canvas.
    """

    as_is: Numbers
    painted: Numbers
    control: Numbers
    maps: Vectors


@dataclass(frozen=True)
class TestPictures:
    """The N pictures that all trainings are asked about, with how they are opened and made the model's input."""

    records: Sequence[DatasetRecord]
    spec: PreprocessSpec
    store: ImageStore
    seed: int  # of the run

    def views(self, record: DatasetRecord) -> dict[str, Frames]:
        """Return the views (T, height, width, 3) of each version of a picture that there is."""
        frame = self.store.frame(record)
        return {name: self.spec.views(found) for name, found in self._versions(record, frame)}

    def _versions(self, record: DatasetRecord, frame: Frame) -> Iterator[tuple[str, Frame]]:
        yield AS_IS, frame
        if record.boxes:
            yield PAINTED, paint_out(frame, record.boxes)
            moved = elsewhere(record.boxes, record.height, record.width, item_seed(self.seed, "paint-out", record.id))
            if moved:
                yield CONTROL, paint_out(frame, moved)

    def answers_of(self, networks: Mapping[str, tuple[Runner, Head]]) -> dict[str, Answered]:
        """Ask every network, by name, about every version of every picture."""
        parts: dict[str, list[Answered]] = {name: [] for name in networks}
        starts = range(0, len(self.records), PICTURES_AT_ONCE)
        for start in progress(starts, len(starts), f"test pictures, {PICTURES_AT_ONCE} at a time"):
            views = [self.views(record) for record in self.records[start : start + PICTURES_AT_ONCE]]
            for name, (run, head) in networks.items():
                parts[name].append(self._asked(run, head, views))
        columns = [field.name for field in fields(Answered)]
        return {
            name: Answered(**{column: np.concatenate([vars(part)[column] for part in found]) for column in columns})
            for name, found in parts.items()
        }

    def _asked(self, run: Runner, head: Head, views: Sequence[Mapping[str, Frames]]) -> Answered:
        plain = answers(run, head, np.stack([found[AS_IS] for found in views]))
        tiles = plain.maps.reshape(len(views), -1, *plain.maps.shape[1:])
        scores = {AS_IS: plain.scores.astype(np.float64)}
        for version in (PAINTED, CONTROL):
            rows = [at for at, found in enumerate(views) if version in found]
            scores[version] = np.full_like(scores[AS_IS], np.nan)
            if rows:
                scores[version][rows] = answers(run, head, np.stack([views[row][version] for row in rows])).scores
        joined = np.stack([self.spec.join_maps(found) for found in tiles])
        return Answered(**scores, maps=joined.astype(np.float32))


def kept(path: Path, key: object) -> Answered | None:
    """Return what `keep` wrote for this key (any JSON value); None for another key or no file."""
    if not path.exists():
        return None
    with safe_open(path, "np") as file:
        if (file.metadata() or {}).get("key") != digest_of(key):
            return None
        return Answered(**{field.name: file.get_tensor(field.name) for field in fields(Answered)})


def keep(path: Path, key: object, found: Answered) -> None:
    """Write what a training said."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(
        path, save({name: np.ascontiguousarray(array) for name, array in vars(found).items()}, {"key": digest_of(key)})
    )


def fault_scores(scores: Numbers, own: Head, asked: SpatialHead, labels: Sequence[str]) -> Numbers:
    """Return the scores (N, F) of the kinds of `asked`, from the scores (N, M) of a network whose head is `own`."""
    if isinstance(own, SpatialHead):
        return np.asarray(scores[:, len(own.groups) :], np.float64)
    return spot_measures.class_fault_scores(scores, labels, asked)


def channels(own: Head, labels: Sequence[str], pictures: Sequence[DatasetRecord]) -> Labels:
    """Return for each picture which channel of the maps shows its label's fault; the first where it is healthy."""
    if isinstance(own, SpatialHead):
        return np.array([own.kinds.index(own.kind_of.get(record.label, own.kinds[0])) for record in pictures])
    return np.array([list(labels).index(record.label) for record in pictures])


def peaks(maps: Vectors, columns: Labels, pictures: Sequence[DatasetRecord], spec: PreprocessSpec) -> Numbers:
    """Return where the chosen channel of each map is highest, (N, 2) x and y in pixels of the picture."""
    height, width = spec.canvas
    found = []
    for own, column, record in zip(maps, columns, pictures, strict=True):
        across, down = spot_measures.peak(own[column])
        x, y = across * width, down * height
        found.append(spec.placement(record.height, record.width).to_frame(np.array([[x, y, x, y]]))[0, :2])
    return np.array(found)


def pointing(places: Numbers, pictures: Sequence[DatasetRecord]) -> Numbers:
    """Return (N,): 1 where a peak lies in a box of the picture or near one, 0 where not, NaN without a box."""
    return np.array(
        [
            float(spot_measures.points_at((x, y), record.boxes)) if record.boxes else np.nan
            for (x, y), record in zip(places.tolist(), pictures, strict=True)
        ]
    )


def sides(pictures: Sequence[DatasetRecord], spec: PreprocessSpec) -> tuple[Numbers, Numbers]:
    """Return the shorter side of each picture's largest box: in pixels of the input, and as share of the frame's.

    Both (N,), NaN without a box.
    """
    own = [max((min(box[2:]) for box in record.boxes), default=np.nan) for record in pictures]
    scale = [spec.placement(record.height, record.width).scale for record in pictures]
    least = [min(record.height, record.width) for record in pictures]
    return np.multiply(own, scale), np.divide(own, least)


@dataclass(frozen=True)
class HeldOutAnswers:
    """What one training said of its held-out training pictures, and the head that said it."""

    found: Predictions
    head: Head

    @classmethod
    def read(cls, checkpoint: Path) -> "HeldOutAnswers":
        """Read the predictions beside a checkpoint."""
        found = read_predictions(checkpoint)
        return cls(found, head_from_json(found.head or {"kind": "class"}, found.labels))

    @property
    def scores(self) -> Numbers:
        """The head's scores (N, M)."""
        found = self.found.logits if self.found.scores is None else self.found.scores
        return np.asarray(found, np.float64)

    def rule(self, faults: Sequence[str], recall_target: float) -> Rule:
        """Fit the rule that a station would use."""
        found = self.found
        return fit_rule(self.head, self.scores, found.targets, found.labels, tuple(faults), recall_target)[0]

    def of_faults(self, asked: SpatialHead) -> spot_measures.HeldOut:
        """Return the fault scores and label names of the pictures."""
        scores = fault_scores(self.scores, self.head, asked, self.found.labels)
        return spot_measures.HeldOut(scores, np.array(self.found.labels)[self.found.targets])


def spot_test(
    asked: SpatialHead,
    truth: Truth,
    pictures: TestPictures,
    trainings: Sequence[TrainingRecord],
    answered: Mapping[str, Answered],
    held: Mapping[str, HeldOutAnswers],
    rules: Mapping[str, Rule],
    known: Mapping[str, DatasetRecord],
) -> SpotTest:
    """Gather what the spatial measures take; `answered`, `held` and `rules` are by training, `known` by picture."""
    arms = of_arms(trainings)
    shorter, _ = sides(pictures.records, pictures.spec)
    names = np.array(truth.labels)[truth.targets]
    return SpotTest(
        pictures=spot_measures.Pictures(names, asked.healthy, shorter),
        questions=spot_measures.questions(asked, truth.faults),
        scores={
            arm: _scores(asked, truth, pictures, [(held[own.id], answered[own.id]) for own in trained])
            for arm, trained in arms.items()
        },
        smallest={
            arm: _smallest([(held[own.id], rules[own.id], answered[own.id]) for own in trained], pictures.spec, known)
            for arm, trained in arms.items()
        },
    )


def _scores(
    asked: SpatialHead, truth: Truth, pictures: TestPictures, trained: Sequence[tuple[HeldOutAnswers, Answered]]
) -> spot_measures.Scores:
    def of(version: str) -> Numbers:
        return np.stack([fault_scores(vars(found)[version], held.head, asked, truth.labels) for held, found in trained])

    points = []
    for held, found in trained:
        columns = channels(held.head, truth.labels, pictures.records)
        points.append(pointing(peaks(found.maps, columns, pictures.records, pictures.spec), pictures.records))
    held_out = [[held.of_faults(asked)] for held, _ in trained]
    return spot_measures.Scores(of(AS_IS), of(PAINTED), of(CONTROL), np.stack(points), held_out)


def _smallest(
    trained: Sequence[tuple[HeldOutAnswers, Rule, Answered]],
    spec: PreprocessSpec,
    known: Mapping[str, DatasetRecord],
) -> SmallestFault | None:
    """Measure on the held-out training pictures with boxes; found is what half of the trainings or more flag."""
    first, _, answered = trained[0]
    records = [known[name] for name in first.found.ids]
    shorter, shares = sides(records, spec)
    boxed = np.flatnonzero(~np.isnan(shorter))
    flags = [[rule.decide(held.scores[row]).fault for row in boxed.tolist()] for held, rule, _ in trained]
    cell = spec.canvas[0] / answered.maps.shape[2]
    seen = np.mean(flags, axis=0) >= 0.5 if len(boxed) else np.zeros(0, bool)
    return spot_measures.smallest_fault(shorter[boxed], shares[boxed], seen, cell)
