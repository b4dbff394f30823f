"""Metrics of one set of predictions, and paired comparisons of two.

Labels are whole numbers 0..K-1 here. A macro average is over the classes that the truth holds: a class without an image
has no recall, and counting it as 0 would punish the model for the data.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, recall_score
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from augment.arrays import Labels, Numbers
from augment.record_types import Interval

METRICS = ("accuracy", "macro_f1", "macro_recall")
# Only where labels are marked as faults:
FAULT_RECALL = "fault_recall"  # mean recall of the fault classes
_AT_ONCE = 1 << 22  # numbers of a (resamples, images) array at a time: 32 MB
FAULT_OR_NOT = "fault_or_not"  # accuracy of the two-class question, whichever fault it is
PASS, FAIL, INCONCLUSIVE = "PASS", "FAIL", "INCONCLUSIVE"


def metrics(truth: Labels, predicted: Labels) -> dict[str, float]:
    """Return accuracy, macro_f1 and macro_recall, each in 0..1; `truth` and `predicted` are (N,) with N at least 1."""
    present = np.unique(truth)
    macro = {"labels": present, "average": "macro", "zero_division": 0}
    return {
        "accuracy": float(accuracy_score(truth, predicted)),
        "macro_f1": float(f1_score(truth, predicted, **macro)),
        "macro_recall": float(recall_score(truth, predicted, **macro)),
    }


def class_recall(truth: Labels, predicted: Labels, classes: int) -> list[float | None]:
    """Return the recall of each class in 0..1; None for a class that the truth does not hold."""
    counts = confusion(truth, predicted, classes)
    support = counts.sum(axis=1)
    return [float(counts[k, k] / support[k]) if support[k] else None for k in range(classes)]


def confusion(truth: Labels, predicted: Labels, classes: int) -> npt.NDArray[np.int64]:
    """Count images as (classes, classes): row = truth, column = prediction."""
    counts: npt.NDArray[np.int64] = confusion_matrix(truth, predicted, labels=np.arange(classes))
    return counts


def mcnemar_test(truth: Labels, first: Labels, second: Labels) -> tuple[int, int, float]:
    """Return (images only `first` has right, images only `second` has right, exact two-sided p).

    The test takes the images for independent; bursts of one asset make its p too small.
    """
    first_right, second_right = first == truth, second == truth
    only_first = int(np.sum(first_right & ~second_right))
    only_second = int(np.sum(~first_right & second_right))
    table = [[int(np.sum(first_right & second_right)), only_first], [only_second, 0]]  # the last cell plays no part
    return only_first, only_second, float(mcnemar(table, exact=True).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust the p-values of several tests made together so that one false alarm among them is as rare as in one test.

    Holm 1979, Scandinavian Journal of Statistics 6.
    """
    return [float(p) for p in multipletests(p_values, method="holm")[1]] if len(p_values) else []


def verdict(difference: Interval) -> str:
    """Return PASS where the whole interval lies above 0, FAIL where it lies below, INCONCLUSIVE where it holds 0."""
    if difference.low > 0:
        return PASS
    return FAIL if difference.high < 0 else INCONCLUSIVE


@dataclass(frozen=True)
class Draws:
    """What every resample drew, shared by all arms so that differences are paired.

    `weights` (R, G): how often a resample holds each group of test images. `seeds` (R, S): which trainings it averages.
    """

    weights: npt.NDArray[Any]
    seeds: Labels

    @property
    def with_all(self) -> "Draws":
        """The same draws after a first one that holds every image and every training once: it gives the value itself.

        So a value and its resamples come from one piece of arithmetic, and `whole_and_resampled` reads both.
        """
        weights = np.vstack([np.ones_like(self.weights[:1]), self.weights])
        return Draws(weights, np.vstack([np.arange(self.seeds.shape[1])[None], self.seeds]))

    def of_images(self, groups: Sequence[str]) -> npt.NDArray[Any]:
        """Return how often each resample holds each image, (R, N); `groups` are those that were drawn from."""
        return self.weights[:, _group_index(groups)[0]]

    def averaged(self, values: Numbers) -> Numbers:
        """Average values (R, S, ...) of each resample and training over the trainings that the resample drew.

        A training without a value (NaN) is left out; NaN where none has one.
        """
        drawn = values[np.arange(len(values))[:, None], self.seeds]
        known = ~np.isnan(drawn)
        with np.errstate(invalid="ignore"):
            means: Numbers = np.where(known, drawn, 0).sum(axis=1) / known.sum(axis=1)
        return means


def draw(truth: Labels, groups: Sequence[str], seeds: int, resamples: int, generator: np.random.Generator) -> Draws:
    """Resample whole groups (images of one asset or burst are not independent), and the trainings.

    Groups are drawn within their most frequent class, so that a rare class stays in every resample. Trainings are drawn
    too: an interval over test images alone would call the luck of two seeds an improvement.
    """
    index, names = _group_index(groups)
    strata = _most_frequent(truth, index, len(names))
    weights = np.zeros((resamples, len(names)), np.uint16)  # 2 bytes for each group and resample, not 8
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        chances, step = np.full(len(members), 1 / len(members)), max(1, _AT_ONCE // len(members))
        for start in range(0, resamples, step):
            rows = slice(start, min(start + step, resamples))
            weights[rows, members] = generator.multinomial(len(members), chances, rows.stop - start)
    return Draws(weights, generator.integers(seeds, size=(resamples, seeds)))


def _most_frequent(truth: Labels, index: Labels, groups: int) -> Labels:
    """Return the class that most images of each group have; of equals the first."""
    keys, counts = np.unique(index * (truth.max() + 1) + truth, return_counts=True)
    group, label = np.divmod(keys, truth.max() + 1)
    found = np.zeros(groups, np.int64)
    order = np.lexsort((-label, counts, group))  # the last of each group is the one
    found[group[order]] = label[order]
    return found


def _group_index(groups: Sequence[str]) -> tuple[Labels, npt.NDArray[np.str_]]:
    names, index = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    return index, names


@dataclass(frozen=True)
class Resampled:
    """One arm's metrics in every resample, averaged over its drawn trainings: name -> (R,), recall (R, K)."""

    metrics: Mapping[str, Numbers]
    recall: Numbers


def resample(truth: Labels, predicted: Labels, groups: Sequence[str], classes: int, draws: Draws) -> Resampled:
    """Evaluate one arm on all resamples at once; `predicted` is (S, N), one row per training."""
    index, names = _group_index(groups)
    per_seed = [_weighted(truth, row, index, len(names), classes, draws.weights) for row in predicted]

    def averaged(name: str) -> Numbers:
        return draws.averaged(np.stack([found[name] for found in per_seed], axis=1))  # (R, S) or (R, S, K)

    return Resampled({name: averaged(name) for name in METRICS}, averaged("recall"))


def _weighted(
    truth: Labels, predicted: Labels, index: Labels, groups: int, classes: int, weights: Numbers
) -> dict[str, Numbers]:
    """Compute the metrics of one training in all resamples from counts per group: sums of counts are all they need."""
    hit = _total(weights, index, truth, truth == predicted, (groups, classes))  # each (R, K)
    support = _total(weights, index, truth, None, (groups, classes))
    named = _total(weights, index, predicted, None, (groups, classes))
    present = support > 0
    with np.errstate(invalid="ignore"):
        recall = np.where(present, hit / support, np.nan)
        f1 = np.where(present, 2 * hit / (support + named), np.nan)
    return {
        "accuracy": hit.sum(axis=1) / support.sum(axis=1),
        "macro_f1": np.nanmean(f1, axis=1),
        "macro_recall": np.nanmean(recall, axis=1),
        "recall": recall,
    }


def _total(
    weights: npt.NDArray[Any],
    index: Labels,
    labels: Labels,
    which: npt.NDArray[np.bool_] | None,
    shape: tuple[int, int],
) -> Numbers:
    """Count the images of each class in each resample, (R, K): all, or those that `which` (N,) names.

    The sums are of whole numbers, so that they are exact in any order.
    """
    rows = slice(None) if which is None else which
    counts = coo_matrix((np.ones(len(index[rows])), (index[rows], labels[rows])), shape).tocsr().T
    parts = [(counts @ part.T).T for (part,) in _blocks(weights)]
    return np.ascontiguousarray(np.concatenate(parts))  # means over classes are rounded by the order in memory


def _blocks(*weights: npt.NDArray[Any]) -> Iterator[tuple[Numbers, ...]]:
    """Yield (R, N) arrays as numbers of 8 bytes, some resamples at a time."""
    step = max(1, _AT_ONCE // max(1, sum(array.shape[1] for array in weights)))
    for start in range(0, len(weights[0]), step):
        yield tuple(array[start : start + step].astype(np.float64) for array in weights)


def interval(value: float, resampled: Numbers, confidence: float) -> Interval:
    """Return `value` with the percentile interval of its (R,) resamples; those without the class (NaN) are left out."""
    tail = (1 - confidence) / 2
    known = resampled[~np.isnan(resampled)]
    low, high = np.quantile(known, [tail, 1 - tail])
    return Interval(value=float(value), low=float(low), high=float(high))


def whole_and_resampled(values: Numbers, confidence: float) -> Interval | None:
    """Return the interval of values (1 + R,) that `Draws.with_all` led to; None where there is nothing to measure."""
    if np.isnan(values[0]) or np.isnan(values[1:]).all():
        return None
    return interval(values[0], values[1:], confidence)


def weighted_auc(positive: Numbers, negative: Numbers, of_positive: Numbers, of_negative: Numbers) -> Numbers:
    """Return for each resample the share of pairs in which the positive image scores higher; a tie counts half.

    That is the area under the ROC curve. `positive` (P,) and `negative` (Q,) are scores, `of_positive` (R, P) and
    `of_negative` (R, Q) how often a resample holds each image. The result is (R,), NaN where a side is empty.
    """
    order = np.argsort(negative, kind="stable")
    places = [np.searchsorted(negative[order], positive, side) for side in ("left", "right")]
    return np.concatenate([_auc(part[0], part[1], order, places) for part in _blocks(of_positive, of_negative)])


def _auc(of_positive: Numbers, of_negative: Numbers, order: Labels, places: Sequence[Labels]) -> Numbers:
    total = np.cumsum(of_negative[:, order], axis=1)
    below = np.hstack([np.zeros((len(total), 1)), total])  # by how many negatives a score has left behind
    wins = (below[:, places[0]] + below[:, places[1]]) / 2
    with np.errstate(invalid="ignore"):
        found: Numbers = (of_positive * wins).sum(axis=1) / (of_positive.sum(axis=1) * below[:, -1])
    return found


def weighted_share(hits: Numbers, weights: Numbers) -> Numbers:
    """Return for each resample, weights (R, N), the mean of `hits` (N,) in 0..1; NaN in `hits` counts for nothing."""
    known = ~np.isnan(hits)
    with np.errstate(invalid="ignore"):
        parts = [part @ hits[known] / part.sum(axis=1) for (part,) in _blocks(weights[:, known])]
    return np.concatenate(parts)
