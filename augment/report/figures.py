"""The report's figures as PNG bytes: the same numbers give the same bytes (no dates, no version inside)."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
import seaborn
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from augment.evaluation.tables import METRIC_NAMES
from augment.record_types import ComparisonSummary, Evaluation, Interval, LearningCurve

DOTS_PER_INCH = 110
MANY_CLASSES = 15  # beyond this, counts inside a confusion matrix can't be read
MARKERS = ("o", "s", "^", "D")
NO_IMAGE = Interval(value=0, low=0, high=0)  # of a class that the test set does not hold
COLOURS = seaborn.color_palette("colorblind").as_hex()


def confusion_matrix(summary: ComparisonSummary, arm: str) -> bytes:
    """Draw the share of each true class's images that each label was given to, with the counts of all trainings."""
    labels, counts = summary.labels, np.array(summary.arms[arm].confusion)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 2.2 + 0.42 * len(labels)
    figure, axes = _axes(side + 0.8, side)
    small = len(labels) <= MANY_CLASSES
    seaborn.heatmap(
        share, vmin=0, vmax=1, cmap="Blues", annot=counts if small else False, fmt="d", square=True, ax=axes,
        annot_kws={"size": 8}, cbar_kws={"label": "share of the class", "shrink": 0.7},
        xticklabels=labels, yticklabels=labels,
    )  # fmt: skip
    axes.set(title=f"{arm}, all seeds together", xlabel="predicted", ylabel="true")
    axes.tick_params(labelsize=8)
    axes.set_xticklabels(axes.get_xticklabels(), rotation=45, ha="right")
    return _png(figure)


def recall_bars(summary: ComparisonSummary) -> bytes:
    """Draw the recall per class and arm with its interval; fault classes are marked."""
    labels, arms = summary.labels, list(summary.arms)
    figure, axes = _axes(7.5, 1.4 + len(labels) * (0.16 + 0.16 * len(arms)))
    height = 0.8 / len(arms)
    for place, arm in enumerate(arms):
        recall = [summary.arms[arm].recall[label] or NO_IMAGE for label in labels]
        value = np.array([entry.value for entry in recall])
        reach = [value - [entry.low for entry in recall], [entry.high for entry in recall] - value]
        axes.barh(
            np.arange(len(labels)) + place * height, value, height, xerr=np.maximum(reach, 0), label=arm,
            color=_colour(place), error_kw={"lw": 0.8, "capsize": 2},
        )  # fmt: skip
    marked = [f"{label} (fault)" if label in summary.fault_labels else label for label in labels]
    axes.set_yticks(np.arange(len(labels)) + 0.4 - height / 2, marked, fontsize=8)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1.02), xlabel=f"recall on the test set, with {100 * summary.confidence:g} % interval")
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1))
    return _png(figure)


def learning_curves(curve: LearningCurve) -> bytes:
    """Plot the recall of each class against the real images it was learnt from; dashed is the recall aimed at."""
    figure, axes = _axes(7.5, 3.8)
    for place, (label, found) in enumerate(curve.classes.items()):
        points = [(n, value) for n, value in zip(found.images, found.recall, strict=True) if value is not None]
        if points:
            marker = MARKERS[place // len(COLOURS) % 4]
            axes.plot(*zip(*points, strict=True), color=_colour(place), lw=1, marker=marker, ms=4, label=label)
    axes.axhline(curve.recall_target, color="black", lw=0.8, ls="--")
    axes.set(ylim=(0, 1.02), xscale="log", xlabel="real images of the class", ylabel="recall in cross-validation")
    axes.grid(alpha=0.3)
    if len(curve.classes) <= MANY_CLASSES:
        axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.01, 1))
    return _png(figure)


def reliability(summary: ComparisonSummary, arms: Sequence[str]) -> bytes:
    """Plot the share of right labels against their calibrated probability; the diagonal is what is promised."""
    figure, axes = _axes(4.6, 4.2)
    axes.plot([0, 1], [0, 1], color="black", lw=0.8, ls="--")
    for place, arm in enumerate(arms):
        found = summary.arms[arm].reliability
        points = [(entry.confidence, entry.accuracy) for entry in found.bins]
        name = f"{arm} (calibration error {100 * found.ece:.1f} points)"
        axes.plot(*zip(*points, strict=True), color=_colour(place), marker=MARKERS[place % 4], lw=1.2, label=name)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="probability of the likeliest label", ylabel="how often it is right")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.15))
    return _png(figure)


def validation_curves(histories: Mapping[str, Sequence[Sequence[Evaluation]]]) -> bytes:
    """Plot validation macro F1 at every evaluation; one line per training, one colour per arm."""
    figure, axes = _axes(7.5, 3.6)
    for place, (arm, trainings) in enumerate(histories.items()):
        for number, evaluations in enumerate(trainings):
            steps = [evaluation.step for evaluation in evaluations]
            values = [evaluation.validation["macro_f1"] for evaluation in evaluations]
            axes.plot(steps, values, color=_colour(place), lw=1.2, marker=".", label=arm if number == 0 else None)
    axes.set(ylim=(0, 1.02), xlabel="step", ylabel=f"{METRIC_NAMES['macro_f1']} on validation images")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return _png(figure)


def _colour(place: int) -> str:
    colour: str = COLOURS[place % len(COLOURS)]
    return colour


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    """Make a figure of its own, in inches; pyplot's global state stays out of it."""
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _png(figure: Figure) -> bytes:
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=DOTS_PER_INCH, bbox_inches="tight", metadata={"Software": None})
    return data.getvalue()
