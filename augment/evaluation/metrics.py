"""Metrics of one set of predictions, and paired comparisons of two.

Labels are whole numbers 0..K-1 here. A macro average is over the classes that the truth holds: a class without an image
has no recall, and counting it as 0 would punish the model for the data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, recall_score
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from augment.arrays import Labels, Numbers
from augment.record_types import Interval

METRICS = ("accuracy", "macro_f1", "macro_recall")
# Only where labels are marked as faults:
FAULT_RECALL = "fault_recall"  # mean recall of the fault classes
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

    weights: Numbers
    seeds: Labels


def draw(truth: Labels, groups: Sequence[str], seeds: int, resamples: int, generator: np.random.Generator) -> Draws:
    """Resample whole groups (images of one asset or burst are not independent), and the trainings.

    Groups are drawn within their most frequent class, so that a rare class stays in every resample. Trainings are drawn
    too: an interval over test images alone would call the luck of two seeds an improvement.
    """
    index, names = _group_index(groups)
    strata = np.array([np.bincount(truth[index == group]).argmax() for group in range(len(names))])
    weights = np.zeros((resamples, len(names)))
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        weights[:, members] = generator.multinomial(len(members), np.full(len(members), 1 / len(members)), resamples)
    return Draws(weights, generator.integers(seeds, size=(resamples, seeds)))


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
    rows = np.arange(len(draws.weights))[:, None]

    def averaged(name: str) -> Numbers:
        values = np.stack([found[name] for found in per_seed], axis=1)  # (R, S) or (R, S, K)
        means: Numbers = values[rows, draws.seeds].mean(axis=1)
        return means

    return Resampled({name: averaged(name) for name in METRICS}, averaged("recall"))


def _weighted(
    truth: Labels, predicted: Labels, index: Labels, groups: int, classes: int, weights: Numbers
) -> dict[str, Numbers]:
    """Compute the metrics of one training in all resamples from counts per group: sums of counts are all they need."""
    hit = weights @ _counts(index, truth, truth == predicted, (groups, classes))  # each (R, K)
    support = weights @ _counts(index, truth, np.ones(len(truth)), (groups, classes))
    named = weights @ _counts(index, predicted, np.ones(len(truth)), (groups, classes))
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


def _counts(index: Labels, labels: Labels, values: npt.NDArray[Any], shape: tuple[int, int]) -> Numbers:
    counts = np.zeros(shape)
    np.add.at(counts, (index, labels), values)
    return counts


def interval(value: float, resampled: Numbers, confidence: float) -> Interval:
    """Return `value` with the percentile interval of its (R,) resamples; those without the class (NaN) are left out."""
    tail = (1 - confidence) / 2
    known = resampled[~np.isnan(resampled)]
    low, high = np.quantile(known, [tail, 1 - tail])
    return Interval(value=float(value), low=float(low), high=float(high))
