"""The report's figures as SVG text: the same numbers give the same text."""

from collections.abc import Mapping, Sequence

import numpy as np

from augment.evaluation.tables import METRIC_NAMES
from augment.record_types import ComparisonSummary, Evaluation, Interval, LearningCurve
from augment.report import svg

MANY_CLASSES = 15  # beyond this, counts inside a confusion matrix can't be read
MANY_LINES = 8  # beyond this, lines can't be told apart, and their mean is drawn alone in colour
NO_IMAGE = Interval(value=0, low=0, high=0)  # of a class that the test set does not hold


def confusion_matrix(summary: ComparisonSummary, arm: str) -> str:
    """Draw the share of each true class's images that each label was given to, with the counts of all trainings."""
    counts = np.array(summary.arms[arm].confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    small = len(summary.labels) <= MANY_CLASSES
    words = [[str(count) if count and small else "" for count in row] for row in counts.tolist()]
    return svg.grid(summary.labels, shares.tolist(), words, 32 if small else 13)


def recall_intervals(summary: ComparisonSummary) -> str:
    """Draw the recall per class and arm with its interval; fault classes are marked."""
    rows = {}
    for label in summary.labels:
        found = [result.recall[label] or NO_IMAGE for result in summary.arms.values()]
        name = f"{label} (fault)" if label in summary.fault_labels else label
        rows[name] = [(svg.series(place), one.value, one.low, one.high) for place, one in enumerate(found)]
    name = f"recall on the test set, with {100 * summary.confidence:g} % interval"
    return svg.intervals(rows, svg.Axis(name, 0, 1, svg.SHARE.ticks, percent=True), list(summary.arms))


def differences(summary: ComparisonSummary) -> str:
    """Draw by how many points each arm differs from the baseline on the verdict's metric, with its interval."""
    found = {arm: difference.metrics[summary.metric] for arm, difference in summary.differences.items()}
    rows = {
        arm: [(svg.series(place), 100 * one.value, 100 * one.low, 100 * one.high)]
        for place, (arm, one) in enumerate(found.items(), 1)
    }
    ends = [0.0, *(100 * end for one in found.values() for end in (one.low, one.high))]
    low, high = min(ends) - 1, max(ends) + 1
    name = f"points of {METRIC_NAMES[summary.metric]} more than {summary.baseline}"
    return svg.intervals(rows, svg.Axis(name, low, high, svg.ticks(low, high)), ())


def learning_curves(curve: LearningCurve) -> str:
    """Plot the recall of each class against the real images it was learnt from; dashed is the recall aimed at."""
    many = len(curve.classes) > MANY_LINES
    drawn = []
    for place, (label, found) in enumerate(curve.classes.items()):
        points = [(n, value) for n, value in zip(found.images, found.recall, strict=True) if value is not None and n]
        if points:
            drawn.append(svg.Line(points, "quiet" if many else svg.series(place), "" if many else label))
    if many:
        drawn.append(_mean(curve))
    numbers = [n for line in drawn for n, _ in line.points] or [1.0]
    low, high = min(numbers), max(numbers)
    drawn.append(svg.Line([(low, curve.recall_target), (high, curve.recall_target)], "promise"))
    across = svg.Axis("real images of the class", low, high, svg.powers(low, high), logarithmic=True)
    return svg.lines(drawn, across, "recall in cross-validation")


def _mean(curve: LearningCurve) -> svg.Line:
    """Return the mean over the classes, of their recall and of their images."""
    images = np.mean([found.images for found in curve.classes.values()], axis=0).tolist()
    points = [(n, value) for n, value in zip(images, curve.macro_recall, strict=True) if value is not None]
    return svg.Line(points, svg.series(0), "mean over the classes")


def reliability(summary: ComparisonSummary, arms: Sequence[str]) -> str:
    """Plot the share of right labels against their calibrated probability; the diagonal is what is promised."""
    drawn = [svg.Line([(0, 0), (1, 1)], "promise")]
    for place, arm in enumerate(arms):
        found = summary.arms[arm].reliability
        name = f"{arm} (calibration error {100 * found.ece:.1f} points)"
        drawn.append(svg.Line([(entry.confidence, entry.accuracy) for entry in found.bins], svg.series(place), name))
    name = "probability of the likeliest label"
    return svg.lines(drawn, svg.Axis(name, 0, 1, svg.SHARE.ticks, percent=True), "how often it is right")


def validation_curves(histories: Mapping[str, Sequence[Sequence[Evaluation]]]) -> str:
    """Plot validation macro F1 at every evaluation; one line per training, one colour per arm."""
    drawn = []
    for place, (arm, trainings) in enumerate(histories.items()):
        for number, evaluations in enumerate(trainings):
            points = [(one.step, one.validation["macro_f1"]) for one in evaluations]
            drawn.append(svg.Line(points, svg.series(place), arm if number == 0 else ""))
    last = max((x for line in drawn for x, _ in line.points), default=1)
    across = svg.Axis("step", 0, last, svg.ticks(0, last))
    return svg.lines(drawn, across, f"{METRIC_NAMES['macro_f1']} on validation images")
