"""Whether a classifier sees a fault at its own scale: scores against healthy pictures, and where its map points.

Pure: scores, labels and places in, numbers out. An arm has S trainings, the test set N pictures, a head F fault kinds.
A class head has no fault score of its own; its log-odds of all labels of a kind together take that place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from augment import record_types as types
from augment.arrays import Labels, Numbers
from augment.evaluation import metrics, paint_out
from augment.evaluation.metrics import Draws
from edge_runtime.bundle.heads import SpatialHead
from export.calibration import at_least

SPECIFICITIES = (0.90, 0.95)  # at which recall is told
SLACK = 10.0  # pixels of the picture by which a map may miss a box
MOST_BINS, LEAST_IN_BIN = 4, 10  # of recall by size: bins, and images of each
SEEN = 0.5  # recall that a size must be shown to have to count as seen


@dataclass(frozen=True)
class Question:
    """What is asked of a fault label: the column of its score, and the labels of the same equipment without a fault."""

    kind: int
    healthy: tuple[str, ...]


def questions(head: SpatialHead, faults: Sequence[str]) -> dict[str, Question]:
    """Return the question for each of `faults` that a group of `head` knows."""
    kinds = {label: head.kinds.index(kind) for label, kind in head.kind_of.items() if label in faults}
    return {
        label: Question(kind, tuple(group.healthy for group in head.groups if label in group.faults.values()))
        for label, kind in kinds.items()
    }


@dataclass(frozen=True)
class HeldOut:
    """Fault scores (N, F) of the held-out training pictures of one training, and their label names.

    `tested` are the places of the test pictures that this training was asked about; None where it was asked about all.
    Where folds share the test pictures among them, each fold's scores have thresholds of their own.
    """

    scores: Numbers
    labels: npt.NDArray[np.str_]
    tested: Labels | None = None

    def threshold(self, kind: int, healthy: Sequence[str], specificity: float) -> float:
        """Return the score at and below which at least this share of the healthy pictures stays; NaN without any."""
        own = self.scores[np.isin(self.labels, healthy), kind]
        return float(np.quantile(own, specificity, method="inverted_cdf")) if len(own) else float("nan")


@dataclass(frozen=True)
class Scores:
    """What the trainings of one arm say of N pictures: fault scores (S, N, F), and copies of them with other content.

    `painted` are the scores once the boxes are painted over, `control` once an equal area elsewhere is; both are NaN
    where there is no such copy. `points` (S, N) is 1 where the map of the picture's own fault peaks in a box or near
    one, 0 where elsewhere, NaN where the picture has no box.
    """

    as_is: Numbers
    painted: Numbers
    control: Numbers
    points: Numbers
    held_out: Sequence[Sequence[HeldOut]]


@dataclass(frozen=True)
class Pictures:
    """What is true of the N test pictures: label names, which of them are healthy ones, and how large the faults are.

    `sides` (N,) is the shorter side of the largest box in pixels of the network's input; NaN without a box. `labels`
    (N,) holds names.
    """

    labels: npt.NDArray[np.str_]
    healthy: tuple[str, ...]
    sides: Numbers


def measure(
    pictures: Pictures, asked: Mapping[str, Question], scores: Scores, draws: Draws, groups: Sequence[str]
) -> dict[str, "FaultMeasures"]:
    """Measure every fault label that the pictures hold. `groups` are the pictures' groups, which `draws` drew from."""
    drawn = draws.with_all
    weights = drawn.of_images(groups)
    return {
        label: FaultMeasures(pictures, label, question, scores, drawn, weights)
        for label, question in asked.items()
        if (pictures.labels == label).any() and np.isin(pictures.labels, question.healthy).any()
    }


class FaultMeasures:
    """The measures of one fault label by one arm, each in all resamples: (1 + R,), the first one the value itself."""

    def __init__(
        self, pictures: Pictures, label: str, question: Question, scores: Scores, draws: Draws, weights: Numbers
    ) -> None:
        self._pictures, self._label, self._question = pictures, label, question
        self._draws, self._weights, self._held_out = draws, weights, scores.held_out
        self._own = pictures.labels == label
        self._healthy = np.isin(pictures.labels, question.healthy)
        self._boxed = self._own & ~np.isnan(scores.points[0])
        self._as_is, self._painted, self._control = (
            found[:, :, question.kind] for found in (scores.as_is, scores.painted, scores.control)
        )
        self._points = scores.points
        self.auc = self._auc(self._own)
        self.evidence = self._evidence() if self._boxed.any() else None

    def _auc(self, rows: npt.NDArray[np.bool_]) -> Numbers:
        per_training = [
            metrics.weighted_auc(own[rows], own[self._healthy], self._weights[:, rows], self._weights[:, self._healthy])
            for own in self._as_is
        ]
        return self._draws.averaged(np.stack(per_training, axis=1))

    def _thresholds(self, healthy: Sequence[str], specificity: float) -> Numbers:
        """Return the threshold of each training for each picture, (S, N)."""
        found = np.full(self._as_is.shape, np.nan)
        for row, parts in zip(found, self._held_out, strict=True):
            for part in parts:
                where = slice(None) if part.tested is None else part.tested
                row[where] = part.threshold(self._question.kind, healthy, specificity)
        return found

    @property
    def _found(self) -> npt.NDArray[np.bool_]:
        """Which pictures each training flags, (S, N), where it flags a tenth of all healthy held-out pictures."""
        found: npt.NDArray[np.bool_] = self._as_is > self._common
        return found

    @property
    def _common(self) -> Numbers:
        """The threshold (S, N) of what counts as found."""
        return self._thresholds(self._pictures.healthy, SPECIFICITIES[0])

    def _evidence(self) -> paint_out.Evidence:
        rows = self._boxed & ~np.isnan(self._painted[0])
        pairs = paint_out.Copies(
            as_is=self._as_is[:, rows],
            painted=self._painted[:, rows],
            control=self._control[:, rows],
            healthy=self._as_is[:, self._healthy],
            thresholds=self._common[:, rows],
        )
        return paint_out.measure(pairs, self._weights[:, rows], self._weights[:, self._healthy], self._draws)

    def share(self, hits: Numbers, rows: npt.NDArray[np.bool_]) -> Numbers:
        """Return the mean of hits (S, N) among `rows` (N,); NaN in `hits` counts for nothing."""
        shares = [metrics.weighted_share(own[rows], self._weights[:, rows]) for own in hits]
        return self._draws.averaged(np.stack(shares, axis=1))

    def recall_at(self, healthy: Sequence[str], specificity: float, confidence: float) -> types.RecallAt | None:
        """Return the recall where this share of the `healthy` held-out training pictures is not flagged."""
        thresholds = self._thresholds(healthy, specificity)
        flagged = np.where(np.isnan(thresholds), np.nan, self._as_is > thresholds)
        recall = metrics.whole_and_resampled(self.share(flagged, self._own), confidence)
        rows = np.isin(self._pictures.labels, healthy)
        reached = metrics.whole_and_resampled(self.share(1 - flagged, rows), confidence)
        if recall is None or reached is None:
            return None
        return types.RecallAt(specificity=specificity, reached=reached, recall=recall)

    def result(self, edges: Sequence[float], confidence: float) -> types.FaultSpots:
        """Sum the fault up, with intervals of this confidence; `edges` are those of the sizes."""
        auc = metrics.whole_and_resampled(self.auc, confidence)
        assert auc is not None  # the set holds the fault and healthy pictures, and every resample keeps each class
        own, common = (
            [found for at in SPECIFICITIES if (found := self.recall_at(healthy, at, confidence))]
            for healthy in (self._question.healthy, self._pictures.healthy)
        )
        pointing = self.share(self._points, self._boxed) if self._boxed.any() else None
        of_found = np.where(self._found, self._points, np.nan)
        supported, why = paint_out.verdict(self._label, self.evidence, confidence, int(self._boxed.sum()))
        return types.FaultSpots(
            images=int(self._own.sum()),
            boxed=int(self._boxed.sum()),
            auc=auc,
            recall_at=own,
            recall_common=common,
            pointing=None if pointing is None else metrics.whole_and_resampled(pointing, confidence),
            pointing_found=metrics.whole_and_resampled(self.share(of_found, self._boxed), confidence),
            **(self.evidence.intervals(confidence) if self.evidence else {}),
            by_size=self._by_size(edges, confidence),
            supported=supported,
            why=why,
        )

    def _by_size(self, edges: Sequence[float], confidence: float) -> list[types.SizedRecall]:
        found = self._found.astype(np.float64)
        sized = []
        for low, high in pairwise(edges):
            rows = self._boxed & (in_bin(self._pictures.sides, low, high, last=high == edges[-1]))
            recall = metrics.whole_and_resampled(self.share(found, rows), confidence) if rows.any() else None
            sized.append(types.SizedRecall(low=low, high=high, images=int(rows.sum()), recall=recall))
        return sized


# Places


def peak(fault_map: npt.NDArray[np.floating]) -> tuple[float, float]:
    """Return the centre (x, y) of the highest cell of a map (h, w), as shares of its width and height."""
    row, column = np.unravel_index(int(fault_map.argmax()), fault_map.shape)
    return (float(column) + 0.5) / fault_map.shape[1], (float(row) + 0.5) / fault_map.shape[0]


def points_at(place: tuple[float, float], boxes: Sequence[types.Box], slack: float = SLACK) -> bool:
    """Whether (x, y) lies in one of the boxes, or within `slack` of one; all in pixels of the picture."""
    return any(
        np.hypot(max(x - place[0], 0, place[0] - x - width), max(y - place[1], 0, place[1] - y - height)) <= slack
        for x, y, width, height in boxes
    )


# Sizes


def size_bins(sides: Numbers) -> list[float]:
    """Return the edges of bins that hold about as many of `sides` each; those without a box (NaN) are left out.

    Bins of equal width would leave some with two or three pictures, of which no recall can be told.
    """
    known = sides[~np.isnan(sides)]
    if not len(known):
        return []
    bins = int(np.clip(len(known) // LEAST_IN_BIN, 1, MOST_BINS))
    edges = [float(edge) for edge in np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)))]
    return edges if len(edges) > 1 else edges * 2  # all are of one size


def in_bin(sides: Numbers, low: float, high: float, last: bool) -> npt.NDArray[np.bool_]:
    """Return which sides lie from `low` to below `high`; in the last bin `high` belongs to it."""
    inside: npt.NDArray[np.bool_] = (sides >= low) & ((sides <= high) if last else (sides < high))
    return inside


def smallest_fault(
    sides: Numbers, shares: Numbers, found: npt.NDArray[np.bool_], cell: float
) -> types.SmallestFault | None:
    """Return the smallest size of fault that is seen, from N boxed held-out training pictures; None where none is.

    `sides` (N,) is the shorter side of each fault in pixels of the network's input, `shares` (N,) the same as a share
    of the frame's shorter side, `found` (N,) whether it is flagged, `cell` the input pixels of a map's cell.

    The rule: from the largest bin of sizes down, a bin is seen if at least half of its faults are found, and not by
    chance (the lower 95 % bound of its recall is above one half); the first bin that is not ends the search. What is
    told is the median size of the last bin that is seen, because its recall was measured around there.
    """
    edges = size_bins(sides)
    seen = None
    for low, high in reversed(list(pairwise(edges))):
        rows = in_bin(sides, low, high, last=high == edges[-1])
        bound = at_least(int(found[rows].sum()), int(rows.sum()))
        if bound < SEEN:
            break
        seen = types.SmallestFault(
            pixels=round(float(np.median(sides[rows])), 1),
            share=round(float(np.median(shares[rows])), 4),
            recall=float(found[rows].mean()),
            recall_bound=bound,
            images=int(rows.sum()),
            cell=cell,
        )
    return seen


# Class heads


def class_fault_scores(logits: Numbers, labels: Sequence[str], head: SpatialHead) -> Numbers:
    """Return the log-odds (N, F) of the labels of each fault kind together, from the logits (N, K) of a class head."""
    names = [{group.faults[kind] for group in head.groups if kind in group.faults} for kind in head.kinds]
    columns = [np.isin(labels, sorted(own)) for own in names]
    return np.stack([_log_sum(logits[:, own]) - _log_sum(logits[:, ~own]) for own in columns], axis=1)


def _log_sum(logits: Numbers) -> Numbers:
    with np.errstate(invalid="ignore"):  # a picture without a copy has NaN
        total: Numbers = np.logaddexp.reduce(logits.astype(np.float64), axis=1)
    return total


def differences(
    baseline: Mapping[str, FaultMeasures], arm: Mapping[str, FaultMeasures], confidence: float
) -> dict[str, types.SpotChange]:
    """Subtract the baseline's AUC and gap from those of an arm on the same resamples, for each fault label."""
    changes = {}
    for label, found in arm.items():
        before = baseline[label]
        auc = metrics.whole_and_resampled(found.auc - before.auc, confidence)
        gap = None
        if found.evidence and before.evidence:
            gap = metrics.whole_and_resampled(found.evidence.gap - before.evidence.gap, confidence)
        assert auc is not None  # both were measured on the same pictures
        changes[label] = types.SpotChange(auc=auc, gap=gap)
    return changes
