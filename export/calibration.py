"""Probabilities that mean what they say, and a threshold per fault label; both fitted on validation, never on test."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit
from scipy.stats import beta

from edge_runtime.bundle.decision import DecisionRule, Rule, SpatialRule
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.heads import Array, Head, SpatialHead

Targets = npt.NDArray[np.integer[Any]]

# Where validation holds no mistake the likelihood wants temperature 0, that is, certainty; the bound stops it.
TEMPERATURES = (0.25, 10.0)
DEFAULT_THRESHOLD = 0.5  # with two labels: the most probable one
LOWEST_THRESHOLD = 0.05  # one missed fault in validation must not make the station flag everything
ENOUGH_POSITIVES = 5
LEAST_SLOPE = 0.05  # of a fault's sigmoid for one standard deviation; below 0 a hotter map would mean less of a fault
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
    _check(logits, targets, logits.shape[-1])
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
    return reliability_of(confidence, np.concatenate([found.argmax(axis=1) == truth for found in probabilities]))


def reliability_of(confidence: Array, right: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Return the same for N answers by their `confidence` (0..1), and whether each was `right`."""
    place = np.minimum((confidence * RELIABILITY_BINS).astype(int), RELIABILITY_BINS - 1)
    bins = [
        {"confidence": float(confidence[own].mean()), "accuracy": float(right[own].mean()), "images": int(own.sum())}
        for own in (place == at for at in range(RELIABILITY_BINS))
        if own.any()
    ]
    gaps = [abs(found["confidence"] - found["accuracy"]) * found["images"] for found in bins]
    return {"ece": float(sum(gaps) / len(right)), "bins": bins}


def fit_rule(
    head: Head,
    scores: Array,
    targets: Targets,
    labels: tuple[str, ...],
    faults: tuple[str, ...],
    recall_target: float = 0.0,
    specificity: float = 0.0,
) -> tuple[Rule, dict[str, ThresholdChoice]]:
    """Return the rule for scores (N, M) of held-out frames, and what the threshold of each fault label rests on.

    `targets` (N,) are places in `labels`. A threshold has the best F1, or is the highest with `recall_target`, or the
    lowest with `specificity` (both 0..1; 0: not asked for). The labels of one kind of a spatial head share a threshold,
    because its score does not know the group.
    """
    if recall_target and specificity:
        raise InputError(
            f"a recall of {recall_target} and a specificity of {specificity} were asked for; a threshold can be made "
            "for one of them: set the other to 0"
        )
    _check(scores, targets, len(labels))
    if isinstance(head, SpatialHead):
        return _fit_spatial(head, scores, targets, labels, faults, recall_target, specificity)
    temperature = fit_temperature(scores, targets)
    probabilities = DecisionRule(labels, (), temperature).probabilities(scores)
    choices = choose_thresholds(probabilities, targets, labels, faults, recall_target, specificity)
    thresholds = {label: choice.threshold for label, choice in choices.items()}
    return DecisionRule(labels, faults, temperature, thresholds), choices


def _fit_spatial(
    head: SpatialHead,
    scores: Array,
    targets: Targets,
    labels: tuple[str, ...],
    faults: tuple[str, ...],
    recall_target: float,
    specificity: float,
) -> tuple[SpatialRule, dict[str, ThresholdChoice]]:
    shown = np.array(labels)[targets]
    scale, offset, choices = {}, {}, {}
    for kind, column in zip(head.kinds, scores.T[len(head.groups) :], strict=True):
        own = [label for label in faults if head.kind_of[label] == kind]
        positive = np.isin(shown, own)
        scale[kind], offset[kind] = fit_sigmoid(column, positive)
        chances = expit(scale[kind] * column.astype(np.float64) + offset[kind])
        common = _choose(chances, positive, recall_target, specificity)
        for label in own:
            some = (shown == label) | ~positive
            choices[label] = _choice_at(chances[some], (shown == label)[some], common.threshold, common.needed)
    thresholds = {label: choices[label].threshold for label in faults}
    temperature = _fit_group_temperature(head, scores, shown)
    return SpatialRule(head, labels, faults, temperature, scale, offset, thresholds), choices


def _fit_group_temperature(head: SpatialHead, scores: Array, shown: npt.NDArray[np.str_]) -> float:
    """Fit on the frames whose label belongs to one group alone; 1 where that says nothing."""
    groups_of: dict[str, list[int]] = {}
    for place, group in enumerate(head.groups):
        for label in (group.healthy, *group.faults.values()):
            groups_of.setdefault(label, []).append(place)
    known = np.array([len(groups_of[label]) == 1 for label in shown])
    if len(head.groups) < 2 or not known.any():
        return 1.0
    return fit_temperature(scores[known, : len(head.groups)], np.array([groups_of[label][0] for label in shown[known]]))


def fit_sigmoid(scores: Array, positive: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Return a > 0 and b for which sigmoid(a * score + b) makes `positive` (N,) likeliest; 1 and 0 where all are alike.

    The targets are those of Platt (1999), (n + 1) / (n + 2) and 1 / (n + 2) in the place of 1 and 0: of n frames that
    are parted without a mistake none is certain.
    """
    count = int(positive.sum())
    if not 0 < count < len(positive):
        return 1.0, 0.0
    wanted = np.where(positive, (count + 1) / (count + 2), 1 / (len(positive) - count + 2))
    values = scores.astype(np.float64)
    middle, spread = float(values.mean()), float(values.std()) or 1.0
    values = (values - middle) / spread  # so that the search is as easy for any scale of scores

    def loss(found: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        raw = found[0] * values + found[1]
        error = expit(raw) - wanted
        return float((np.logaddexp(0, raw) - wanted * raw).mean()), np.array([(error * values).mean(), error.mean()])

    bounds = [(LEAST_SLOPE, None), (None, None)]
    steep, shift = minimize(loss, [1.0, 0.0], jac=True, bounds=bounds, method="L-BFGS-B", tol=1e-12).x
    return float(steep / spread), float(shift - steep * middle / spread)


def choose_thresholds(
    probabilities: Array,
    targets: Targets,
    labels: Sequence[str],
    fault_labels: Sequence[str],
    recall_target: float = 0.0,
    specificity: float = 0.0,
) -> dict[str, ThresholdChoice]:
    """Return per fault label the threshold, from `LOWEST_THRESHOLD` to 0.5, with the best F1 against the rest.

    With a `recall_target` (0..1) the highest that flags this share of the label's frames, or the lowest if none does.
    With a `specificity` (0..1) the lowest, up to 1, that leaves this share of the other frames alone.
    `probabilities` (N, K) are calibrated and in the order of `labels`; `targets` (N,) index them.
    With fewer than `ENOUGH_POSITIVES` frames of the label there is nothing to fit: the default, and the choice says so.
    """
    if probabilities.shape[1:] != (len(labels),):
        raise InputError(f"the probabilities are {probabilities.shape}, expected a column for each of {list(labels)}")
    _check(probabilities, targets, len(labels))
    columns = {label: place for place, label in enumerate(labels)}
    return {
        label: _choose(probabilities[:, columns[label]], targets == columns[label], recall_target, specificity)
        for label in fault_labels
    }


def positives_needed(recall_target: float) -> int:
    """Return the smallest number of positives that shows a recall of at least `recall_target` if all of them are found.

    This many are found by chance in at most 5 % of the samples where the recall is lower.
    """
    if not recall_target:
        return ENOUGH_POSITIVES
    return max(ENOUGH_POSITIVES, math.ceil(math.log(1 - CONFIDENCE) / math.log(recall_target)))


def _choose(
    scores: Array, positive: npt.NDArray[np.bool_], recall_target: float, specificity: float
) -> ThresholdChoice:
    needed = positives_needed(recall_target)
    if int(positive.sum()) < ENOUGH_POSITIVES:
        return _choice_at(scores, positive, DEFAULT_THRESHOLD, needed)
    if specificity:
        return _choice_at(scores, positive, _quiet_threshold(scores, positive, specificity), needed)
    candidates = _candidates(scores)
    if recall_target:
        kept = [at for at in candidates if (scores[positive] >= at).mean() >= recall_target]
        return _choice_at(scores, positive, max(kept, default=LOWEST_THRESHOLD), needed)
    # On equal F1 the highest threshold: fewer false alarms at night.
    best = max(candidates, key=lambda threshold: (_f1(scores, positive, threshold), threshold))
    return _choice_at(scores, positive, best, needed)


def _quiet_threshold(scores: Array, positive: npt.NDArray[np.bool_], specificity: float) -> float:
    """Return the lowest threshold that flags at most 1 - `specificity` of the frames without the fault."""
    others = np.sort(scores[~positive])[::-1]
    allowed = math.floor((1 - specificity) * len(others) + 1e-9)  # frames that may be flagged
    if allowed >= len(others):
        return LOWEST_THRESHOLD
    above = scores[scores > others[allowed]]
    highest = float(above.min()) if len(above) else 1.0
    return max(LOWEST_THRESHOLD, (float(others[allowed]) + highest) / 2)


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


def _check(scores: Array, targets: Targets, labels: int) -> None:
    if scores.ndim != 2 or targets.shape != (len(scores),) or not len(scores):
        raise InputError(f"calibration needs (N, M) scores and (N,) targets, got {scores.shape} and {targets.shape}")
    if not np.isfinite(scores).all():
        raise InputError("calibration met a score that is no finite number; the training diverged, lower its rate")
    if targets.min() < 0 or targets.max() >= labels:
        raise InputError(f"a target is outside 0..{labels - 1}; labels and network do not belong together")
