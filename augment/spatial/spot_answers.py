"""What trained networks say of test pictures, and of the same pictures with their faults painted over.

Every picture is decoded once, however many trainings there are. What a training said is kept beside the comparison, so
that the pictures are not looked at again for a training that has not changed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from augment.arrays import Numbers, Vectors, keep_arrays, kept_arrays
from augment.data.image_store import ImageStore
from augment.evaluation import spot_measures
from augment.evaluation.arm_comparison import SpotTest, Truth
from augment.evaluation.paint_out import elsewhere, paint_out
from augment.progress import progress
from augment.record_types import DatasetRecord, SmallestFault
from augment.records import digest_of, item_seed
from augment.training.predictions import Predictions, read_predictions
from edge_runtime.bundle.decision import DecisionRule, Rule, SpatialRule
from edge_runtime.bundle.heads import Head, SpatialHead
from edge_runtime.bundle.preprocess import Frame, Frames, PreprocessSpec
from export.calibration import fit_rule
from export.checkpoint import head_of, read_card
from export.parity import Runner, answers

PICTURES_AT_ONCE = 16
AS_IS, PAINTED, CONTROL = "as_is", "painted", "control"


@dataclass(frozen=True)
class Trained:
    """One training: its input and head, and what it said of pictures that it had not learnt from."""

    spec: PreprocessSpec
    head: Head
    held_out: Predictions

    @classmethod
    def read(cls, checkpoint: Path) -> "Trained":
        """Read the card and the predictions of a checkpoint."""
        card = read_card(checkpoint)
        return cls(PreprocessSpec.from_json(card["input"]), head_of(card), read_predictions(checkpoint))

    @property
    def held_out_scores(self) -> Numbers:
        """The head's scores (N, M) of the held-out pictures."""
        found = self.held_out.logits if self.held_out.scores is None else self.held_out.scores
        return np.asarray(found, np.float64)

    def rule(self, faults: Sequence[str], recall_target: float = 0.0, specificity: float = 0.0) -> Rule:
        """Fit the rule that a station would use, given the aims of [export]."""
        asked = self.held_out.targets, self.held_out.labels, tuple(faults), recall_target, specificity
        return fit_rule(self.head, self.held_out_scores, *asked)[0]

    def log_odds(self, scores: Numbers, asked: SpatialHead, rule: Rule) -> Numbers:
        """Return the log-odds (N, F) of the kinds of `asked`, from the scores (N, M) of this training's head.

        They are calibrated by the training's own `rule`, so that folds with networks of their own can be pooled.
        """
        if isinstance(rule, SpatialRule):
            kinds = rule.head.kinds
            scale, offset = (np.array([by[kind] for kind in kinds]) for by in (rule.scale, rule.offset))
            return np.asarray(scores[:, len(rule.head.groups) :] * scale + offset)
        assert isinstance(rule, DecisionRule)  # there are two
        return spot_measures.class_fault_scores(scores / rule.temperature, rule.labels, asked)

    def peaks(self, maps: Vectors, pictures: Sequence[DatasetRecord], shown: Sequence[str]) -> Numbers:
        """Return where maps (N, C, h, w) peak, (N, 2) x and y in pixels of each picture, for the fault `shown` names.

        For a healthy label it is the first kind of fault, or the class itself.
        """
        height, width = self.spec.canvas
        found = []
        for own, label, record in zip(maps, shown, pictures, strict=True):
            across, down = spot_measures.peak(own[self._channel(label)])
            x, y = across * width, down * height
            found.append(
                self.spec.placement(record.height, record.width).to_frame(np.array([[x, y, x, y]]))[0, :2].tolist()
            )
        return np.array(found, np.float64).reshape(-1, 2)

    def _channel(self, label: str) -> int:
        if isinstance(self.head, SpatialHead):
            return self.head.kinds.index(self.head.kind_of.get(label, self.head.kinds[0]))
        return self.held_out.labels.index(label)


def sides(pictures: Sequence[DatasetRecord], spec: PreprocessSpec) -> tuple[Numbers, Numbers]:
    """Return the shorter side of each picture's largest box: in pixels of the input, and as share of the frame's.

    Both are (N,), NaN without a box.
    """
    own = np.array([max((min(box[2:]) for box in record.boxes), default=np.nan) for record in pictures], float)
    scale = [spec.placement(record.height, record.width).scale for record in pictures]
    return own * scale, own / [min(record.height, record.width) for record in pictures]


def pointing(places: Numbers, pictures: Sequence[DatasetRecord]) -> Numbers:
    """Return (N,): 1 where a peak lies in a box of the picture or near one, 0 where not, NaN without a box."""
    pairs = zip(places.tolist(), pictures, strict=True)
    return np.array(
        [spot_measures.points_at((x, y), record.boxes) if record.boxes else np.nan for (x, y), record in pairs], float
    )


# Asking


@dataclass(frozen=True)
class Answered:
    """What one training says of N pictures: scores (N, M) of each version of them, and the maps (N, C, h, w) as is.

    `painted` and `control` are NaN where a picture has no box, or no room for a control. Maps are those of the canvas.
    """

    as_is: Numbers
    painted: Numbers
    control: Numbers
    maps: Vectors

    @classmethod
    def kept(cls, path: Path, key: object) -> "Answered | None":
        """Return what `keep` wrote for this key (any JSON value); None for another key or no file."""
        found = kept_arrays(path, digest_of(key))
        return None if found is None else cls(**found)

    def keep(self, path: Path, key: object) -> None:
        """Write what a training said."""
        keep_arrays(path, vars(self), digest_of(key))


@dataclass(frozen=True)
class Pictures:
    """N pictures that trainings are asked about, with how they are opened; with `copies` their painted copies too."""

    records: Sequence[DatasetRecord]
    store: ImageStore
    seed: int  # of the run
    copies: bool = True

    def answers_of(self, networks: Mapping[str, tuple[Runner, Trained]]) -> dict[str, Answered]:
        """Ask every network, by name, about every version of every picture."""
        parts: dict[str, list[Answered]] = {name: [] for name in networks}
        starts = range(0, len(self.records), PICTURES_AT_ONCE)
        for start in progress(starts, len(starts), f"pictures looked at, {PICTURES_AT_ONCE} at a time"):
            frames = [dict(self._versions(record)) for record in self.records[start : start + PICTURES_AT_ONCE]]
            views: dict[PreprocessSpec, list[dict[str, Frames]]] = {}
            for name, (run, trained) in networks.items():
                spec = trained.spec
                if spec not in views:
                    views[spec] = [{version: spec.views(frame) for version, frame in own.items()} for own in frames]
                parts[name].append(_asked(run, trained, views[spec]))
        columns = [field.name for field in fields(Answered)]
        return {
            name: Answered(**{column: np.concatenate([vars(part)[column] for part in found]) for column in columns})
            for name, found in parts.items()
        }

    def _versions(self, record: DatasetRecord) -> Iterator[tuple[str, Frame]]:
        frame = self.store.frame(record)
        yield AS_IS, frame
        if self.copies and record.boxes:
            yield PAINTED, paint_out(frame, record.boxes)
            moved = elsewhere(record.boxes, record.height, record.width, item_seed(self.seed, "paint-out", record.id))
            if moved:
                yield CONTROL, paint_out(frame, moved)


def _asked(run: Runner, trained: Trained, views: Sequence[Mapping[str, Frames]]) -> Answered:
    plain = answers(run, trained.head, np.stack([found[AS_IS] for found in views]))
    scores = {AS_IS: plain.scores.astype(np.float64)}
    for version in (PAINTED, CONTROL):
        rows = [at for at, found in enumerate(views) if version in found]
        scores[version] = np.full_like(scores[AS_IS], np.nan)
        if rows:
            scores[version][rows] = answers(run, trained.head, np.stack([views[row][version] for row in rows])).scores
    tiles = plain.maps.reshape(len(views), -1, *plain.maps.shape[1:])
    maps = np.stack([trained.spec.join_maps(found) for found in tiles])
    return Answered(**scores, maps=maps.astype(np.float32))


# Measuring


def spot_test(
    asked: SpatialHead,
    truth: Truth,
    pictures: Sequence[DatasetRecord],
    spec: PreprocessSpec,
    arms: Mapping[str, Sequence[tuple[Trained, Answered]]],
    known: Mapping[str, DatasetRecord],
    rules: Mapping[str, Sequence[Rule]],
) -> SpotTest:
    """Gather what the spatial measures take of the trainings of each arm; `known` are all pictures by id.

    Sizes of test pictures are in pixels of the input `spec`; the smallest fault of an arm in those of its own input.
    """
    names = np.array(truth.labels)[truth.targets]
    return SpotTest(
        pictures=spot_measures.Pictures(names, asked.healthy, sides(pictures, spec)[0]),
        questions=spot_measures.questions(asked, truth.faults),
        scores={arm: _scores(asked, pictures, trainings, rules[arm]) for arm, trainings in arms.items()},
        smallest={arm: _smallest(trainings, rules[arm], known) for arm, trainings in arms.items()},
    )


def _scores(
    asked: SpatialHead,
    pictures: Sequence[DatasetRecord],
    trainings: Sequence[tuple[Trained, Answered]],
    rules: Sequence[Rule],
) -> spot_measures.Scores:
    ruled = [(trained, found, rule) for (trained, found), rule in zip(trainings, rules, strict=True)]

    def of(version: str) -> Numbers:
        return np.stack([trained.log_odds(vars(found)[version], asked, rule) for trained, found, rule in ruled])

    shown = [record.label for record in pictures]
    points = [pointing(trained.peaks(found.maps, pictures, shown), pictures) for trained, found in trainings]
    held_out = [
        [
            spot_measures.HeldOut(
                trained.log_odds(trained.held_out_scores, asked, rule),
                np.array(trained.held_out.labels)[trained.held_out.targets],
            )
        ]
        for trained, _, rule in ruled
    ]
    return spot_measures.Scores(of(AS_IS), of(PAINTED), of(CONTROL), np.stack(points), held_out)


def _smallest(
    trainings: Sequence[tuple[Trained, Answered]],
    rules: Sequence[Rule],
    known: Mapping[str, DatasetRecord],
) -> SmallestFault | None:
    """Measure on the held-out training pictures of faults with boxes; found is what half of the trainings flag."""
    first, answered = trainings[0]
    pictures = [known[name] for name in first.held_out.ids]
    shorter, shares = sides(pictures, first.spec)
    boxed = np.flatnonzero([bool(own.boxes) and own.label in rules[0].fault_labels for own in pictures])
    flags = [
        [rule.decide(trained.held_out_scores[row]).fault for row in boxed.tolist()]
        for (trained, _), rule in zip(trainings, rules, strict=True)
    ]
    cell = first.spec.canvas[0] / answered.maps.shape[2]
    return spot_measures.smallest_fault(shorter[boxed], shares[boxed], np.mean(flags, axis=0) >= 0.5, cell)
