"""Probabilities that mean what they say, and a threshold per fault label; both fitted on validation, never on test."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from edge_runtime.bundle.errors import InputError

Array = npt.NDArray[np.floating[Any]]
Targets = npt.NDArray[np.integer[Any]]

# Where validation holds no mistake the likelihood wants temperature 0, that is, certainty; the bound stops it.
TEMPERATURES = (0.25, 10.0)
DEFAULT_THRESHOLD = 0.5  # with two labels: the most probable one
LOWEST_THRESHOLD = 0.05  # one missed fault in validation must not make the station flag everything
ENOUGH_POSITIVES = 5


@dataclass(frozen=True)
class ThresholdChoice:
    """The threshold of one fault label, and what it rests on."""

    threshold: float
    positives: int  # validation frames of this label
    f1: float | None  # of this label against the rest, on validation; None where there are no positives
    fitted: bool  # False: too few positives to fit, the default was taken

    def to_json(self) -> dict[str, float | int | bool | None]:
        """As stage records hold it."""
        return {
            "threshold": self.threshold,
            "positives": self.positives,
            "f1": self.f1,
            "fitted": self.fitted,
        }


def fit_temperature(logits: Array, targets: Targets) -> float:
    """The temperature that minimises the negative log-likelihood of `targets` (N,) under softmax(logits / temperature).

    `logits` is (N, K). Bounded to `TEMPERATURES`. See Guo et al. 2017, arXiv 1706.04599.
    """
    _check(logits, targets)
    bounds = (math.log(TEMPERATURES[0]), math.log(TEMPERATURES[1]))
    found = minimize_scalar(
        lambda log_temperature: negative_log_likelihood(logits, targets, math.exp(log_temperature)),
        bounds=bounds,
        method="bounded",
        options={"xatol": 1e-6},
    )
    return math.exp(float(found.x))


def negative_log_likelihood(logits: Array, targets: Targets, temperature: float) -> float:
    """Mean over N of -log softmax(logits / temperature)[target], in nats."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    log_total = np.log(np.exp(scaled).sum(axis=1))
    return float((log_total - scaled[np.arange(len(targets)), targets]).mean())


def choose_thresholds(
    probabilities: Array, targets: Targets, labels: Sequence[str], fault_labels: Sequence[str]
) -> dict[str, ThresholdChoice]:
    """Per fault label the threshold, from `LOWEST_THRESHOLD` to 0.5, with the best F1 of that label against the rest.

    `probabilities` (N, K) are calibrated and in the order of `labels`; `targets` (N,) index them.
    With fewer than `ENOUGH_POSITIVES` frames of the label there is nothing to fit: the default, and the choice says so.
    """
    _check(probabilities, targets)
    if probabilities.shape[1] != len(labels):
        raise InputError(
            f"probabilities have {probabilities.shape[1]} columns, expected one for each of {list(labels)}"
        )
    columns = {label: place for place, label in enumerate(labels)}
    return {label: _choose(probabilities[:, columns[label]], targets == columns[label]) for label in fault_labels}


def _choose(scores: Array, positive: npt.NDArray[np.bool_]) -> ThresholdChoice:
    count = int(positive.sum())
    if count < ENOUGH_POSITIVES:
        f1 = _f1(scores, positive, DEFAULT_THRESHOLD) if count else None
        return ThresholdChoice(DEFAULT_THRESHOLD, count, f1, fitted=False)
    # On equal F1 the highest threshold: fewer false alarms at night.
    f1, best = max((_f1(scores, positive, threshold), threshold) for threshold in _candidates(scores))
    return ThresholdChoice(best, count, f1, fitted=True)


def _candidates(scores: Array) -> list[float]:
    """The default, and the midpoints between neighbouring scores: on a score itself, rounding would decide."""
    distinct = np.unique(scores)
    midpoints = (distinct[1:] + distinct[:-1]) / 2
    inside = midpoints[(midpoints >= LOWEST_THRESHOLD) & (midpoints < DEFAULT_THRESHOLD)]
    return [*(float(x) for x in inside), LOWEST_THRESHOLD, DEFAULT_THRESHOLD]


def _f1(scores: Array, positive: npt.NDArray[np.bool_], threshold: float) -> float:
    flagged = scores >= threshold
    return 2 * int((flagged & positive).sum()) / (int(flagged.sum()) + int(positive.sum()))


def _check(scores: Array, targets: Targets) -> None:
    if scores.ndim != 2 or targets.shape != (len(scores),) or not len(scores):
        raise InputError(f"calibration needs (N, K) scores and (N,) targets, got {scores.shape} and {targets.shape}")
    if not np.isfinite(scores).all():
        raise InputError("calibration met a score that is no finite number; the training diverged, lower its rate")
    if targets.min() < 0 or targets.max() >= scores.shape[1]:
        raise InputError(f"a target is outside 0..{scores.shape[1] - 1}; labels and network do not belong together")
