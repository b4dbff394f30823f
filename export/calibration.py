"""Probabilities that mean what they say, and a threshold per fault label; both fitted on validation, never on test."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.stats import beta

from edge_runtime.bundle.decision import DecisionRule
from edge_runtime.bundle.errors import InputError

Array = npt.NDArray[np.floating[Any]]
Targets = npt.NDArray[np.integer[Any]]

# Where validation holds no mistake the likelihood wants temperature 0, that is, certainty; the bound stops it.
TEMPERATURES = (0.25, 10.0)
DEFAULT_THRESHOLD = 0.5  # with two labels: the most probable one
LOWEST_THRESHOLD = 0.05  # one missed fault in validation must not make the station flag everything
ENOUGH_POSITIVES = 5
CONFIDENCE = 0.95  # of the one-sided bounds
RELIABILITY_BINS = 10


@dataclass(frozen=True)
class ThresholdChoice:
    """The threshold of one fault label, and what it does on the validation frames that it was chosen on.

    The bounds are Clopper and Pearson's, one-sided, for a threshold that is given: this one was chosen to look good.
    """

    threshold: float
    positives: int  # validation frames of this label
    needed: int  # positives below which the threshold proves nothing, or cannot show its recall target
    fitted: bool  # False: fewer positives than are needed
    f1: float | None  # of this label against the rest; None where there are no positives
    recall: float | None  # share of the positives that are flagged; None where there are none
    recall_bound: float  # the recall is at least this
    false_alarms: float | None  # per 100 frames of other labels; None where there are none
    false_alarms_bound: float  # at most this

    def to_json(self) -> dict[str, float | int | bool | None]:
        """Return the JSON object that stands in stage records."""
        return asdict(self)


def fit_temperature(logits: Array, targets: Targets) -> float:
    """Return the temperature under which softmax(logits / temperature) makes `targets` (N,) likeliest.

    `logits` is (N, K). What is minimised is the negative log-likelihood; the temperature is bounded to `TEMPERATURES`.
    See Guo et al. 2017, arXiv 1706.04599.
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
    """Return the mean over N of -log softmax(logits / temperature)[target], in nats."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    log_total = np.log(np.exp(scaled).sum(axis=1))
    return float((log_total - scaled[np.arange(len(targets)), targets]).mean())


def reliability(truth: Targets, probabilities: Sequence[Array]) -> dict[str, Any]:
    """Return how often the likeliest label is right, by its probability, over all trainings together.

    `probabilities` are (N, K) each. `ece` is the expected calibration error: the mean gap between the two, by images
    (Guo et al. 2017, arXiv:1706.04599), in ten bins.
    """
    confidence = np.concatenate([found.max(axis=1) for found in probabilities])
    right = np.concatenate([found.argmax(axis=1) == truth for found in probabilities])
    place = np.minimum((confidence * RELIABILITY_BINS).astype(int), RELIABILITY_BINS - 1)
    bins = [
        {"confidence": float(confidence[own].mean()), "accuracy": float(right[own].mean()), "images": int(own.sum())}
        for own in (place == at for at in range(RELIABILITY_BINS))
        if own.any()
    ]
    gaps = [abs(found["confidence"] - found["accuracy"]) * found["images"] for found in bins]
    return {"ece": float(sum(gaps) / len(right)), "bins": bins}


def fit_rule(
    logits: Array, targets: Targets, labels: tuple[str, ...], faults: tuple[str, ...], recall_target: float = 0.0
) -> tuple[DecisionRule, dict[str, ThresholdChoice]]:
    """Return temperature and thresholds for logits (N, K) of held-out frames, and what each threshold rests on."""
    temperature = fit_temperature(logits, targets)
    probabilities = DecisionRule(labels, (), temperature).probabilities(logits)
    choices = choose_thresholds(probabilities, targets, labels, faults, recall_target)
    thresholds = {label: choice.threshold for label, choice in choices.items()}
    return DecisionRule(labels, faults, temperature, thresholds), choices


def choose_thresholds(
    probabilities: Array,
    targets: Targets,
    labels: Sequence[str],
    fault_labels: Sequence[str],
    recall_target: float = 0.0,
) -> dict[str, ThresholdChoice]:
    """Return per fault label the threshold, from `LOWEST_THRESHOLD` to 0.5, with the best F1 against the rest.

    With a `recall_target` (0..1) the highest that flags this share of the label's frames, or the lowest if none does.
    `probabilities` (N, K) are calibrated and in the order of `labels`; `targets` (N,) index them.
    With fewer than `ENOUGH_POSITIVES` frames of the label there is nothing to fit: the default, and the choice says so.
    """
    _check(probabilities, targets)
    if probabilities.shape[1] != len(labels):
        raise InputError(
            f"probabilities have {probabilities.shape[1]} columns, expected one for each of {list(labels)}"
        )
    columns = {label: place for place, label in enumerate(labels)}
    return {
        label: _choose(probabilities[:, columns[label]], targets == columns[label], recall_target)
        for label in fault_labels
    }


def positives_needed(recall_target: float) -> int:
    """Return the smallest number of positives that shows a recall of at least `recall_target` if all of them are found.

    This many are found by chance in at most 5 % of the samples where the recall is lower.
    """
    if not recall_target:
        return ENOUGH_POSITIVES
    return max(ENOUGH_POSITIVES, math.ceil(math.log(1 - CONFIDENCE) / math.log(recall_target)))


def _choose(scores: Array, positive: npt.NDArray[np.bool_], recall_target: float) -> ThresholdChoice:
    needed = positives_needed(recall_target)
    if int(positive.sum()) < ENOUGH_POSITIVES:
        return _choice_at(scores, positive, DEFAULT_THRESHOLD, needed)
    candidates = _candidates(scores)
    if recall_target:
        kept = [at for at in candidates if (scores[positive] >= at).mean() >= recall_target]
        return _choice_at(scores, positive, max(kept, default=LOWEST_THRESHOLD), needed)
    # On equal F1 the highest threshold: fewer false alarms at night.
    best = max(candidates, key=lambda threshold: (_f1(scores, positive, threshold), threshold))
    return _choice_at(scores, positive, best, needed)


def _choice_at(scores: Array, positive: npt.NDArray[np.bool_], threshold: float, needed: int) -> ThresholdChoice:
    flagged = scores >= threshold
    positives, others = int(positive.sum()), int((~positive).sum())
    found, alarms = int((flagged & positive).sum()), int((flagged & ~positive).sum())
    return ThresholdChoice(
        threshold=threshold,
        positives=positives,
        needed=needed,
        fitted=positives >= needed,
        f1=_f1(scores, positive, threshold) if positives else None,
        recall=found / positives if positives else None,
        recall_bound=at_least(found, positives),
        false_alarms=100 * alarms / others if others else None,
        false_alarms_bound=100 * (1 - at_least(others - alarms, others)),
    )


def at_least(found: int, count: int) -> float:
    """Return the lower bound of a share of which `found` of `count` is a sample (Clopper and Pearson 1934)."""
    return float(beta.ppf(1 - CONFIDENCE, found, count - found + 1)) if found else 0.0


def _candidates(scores: Array) -> list[float]:
    """Return the default and the midpoints between neighbouring scores: on a score itself, rounding would decide."""
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
