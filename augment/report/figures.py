"""The report's figures, drawn with seaborn and matplotlib; `figure_style.as_svg` makes them text for the page."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import seaborn
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import (
    LogLocator,
    MaxNLocator,
    MultipleLocator,
    NullLocator,
    PercentFormatter,
    StrMethodFormatter,
)
from matplotlib.transforms import offset_copy

from augment.evaluation.tables import METRIC_NAMES
from augment.record_types import ComparisonSummary, Evaluation, Interval, LearningCurve
from augment.report.figure_style import ACCENT, LETTER, LINE, OFF, ON_ACCENT, PANEL, SERIES, TEXT, axes, styled

MANY_CLASSES = 15  # beyond this, counts inside a confusion matrix can't be read
MANY_LINES = len(SERIES)  # beyond this, lines can't be told apart, and their mean is drawn alone in colour
NO_IMAGE = Interval(value=0, low=0, high=0)  # of a class that the test set does not hold
WIDTH, HEIGHT = 320, 210  # units of the axes of a drawing of lines
MARKERS = ("o", "s", "^", "D")  # for those who do not tell the colours
# Opacities at which a count is legible in every theme (contrast 4.5 or more): `TEXT` up to half of a class, and
# `ON_ACCENT` above. None between the two serves both.
OPACITIES = (*np.linspace(0.06, 0.48, 128), *np.linspace(0.82, 1, 128))
SHADES = ListedColormap([to_rgba(ACCENT, opacity) for opacity in OPACITIES])
PERCENT = PercentFormatter(1, decimals=0, symbol=" %")


class Line(NamedTuple):
    """One line: its legend's name, which several lines may share, and its points from left to right."""

    name: str
    across: Sequence[float]
    up: Sequence[float]


@styled
def confusion_matrix(summary: ComparisonSummary, arm: str) -> Figure:
    """Draw the share of each true class's images that each label was given to, with the counts of all trainings."""
    counts = np.array(summary.arms[arm].confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    small = len(summary.labels) <= MANY_CLASSES
    words = np.array([[str(count) if count else "" for count in row] for row in counts.tolist()])
    side = (32 if small else 14) * len(summary.labels)
    drawn = axes(side, side)
    seaborn.heatmap(
        shares, vmin=0, vmax=1, cmap=SHADES, cbar=False, annot=words if small else False, fmt="", linewidths=1,
        linecolor=PANEL, clip_on=False, xticklabels=summary.labels, yticklabels=summary.labels, ax=drawn,
    )  # fmt: skip
    for word, share in zip(drawn.texts, shares.flat, strict=False):  # none is written where there are many classes
        word.set_color(ON_ACCENT if share >= 0.5 else TEXT)
    drawn.tick_params(axis="y", rotation=0)
    for label in drawn.get_xticklabels():
        label.set(rotation=45, rotation_mode="anchor", horizontalalignment="right", verticalalignment="center")
    return _figure(drawn)


@styled
def recall_intervals(summary: ComparisonSummary) -> Figure:
    """Draw the recall per class and arm with its interval; fault classes are marked."""
    rows = {}
    for label in summary.labels:
        name = f"{label} (fault)" if label in summary.fault_labels else label
        rows[name] = [result.recall[label] or NO_IMAGE for result in summary.arms.values()]
    drawn = _intervals(rows, list(summary.arms), 1)
    drawn.set(xlim=(0, 1), xlabel=f"recall on the test set,\nwith {100 * summary.confidence:g} % interval")
    drawn.xaxis.set_major_locator(MultipleLocator(0.2))
    drawn.xaxis.set_major_formatter(PERCENT)
    _legend(drawn)
    return _figure(drawn)


@styled
def differences(summary: ComparisonSummary) -> Figure:
    """Draw by how many points each arm differs from the baseline on the verdict's metric, with its interval."""
    found = {arm: [difference.metrics[summary.metric]] for arm, difference in summary.differences.items()}
    drawn = _intervals(found, (), 100)
    ends = [0.0, *(100 * end for (one,) in found.values() for end in (one.low, one.high))]
    drawn.axvline(0, color=TEXT, linewidth=1, linestyle=(0, (5, 4)), zorder=1.5)
    name = f"points of {METRIC_NAMES[summary.metric]}\nmore than {summary.baseline}"
    drawn.set(xlim=(min(ends) - 1, max(ends) + 1), xlabel=name)
    drawn.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    return _figure(drawn)


def _intervals(rows: Mapping[str, Sequence[Interval]], names: Sequence[str], scale: float) -> Axes:
    """Draw a row of intervals for each name in `rows`; `names` are the legend's, or else each row has its colour."""
    lanes = max(map(len, rows.values()))
    row = max(22, 12 * lanes + 12)  # units of height; an interval takes 12, a line of text 15
    drawn = axes(max(210.0, WIDTH + 60 - LETTER * max(map(len, rows))), row * len(rows))
    for top, found in enumerate(rows.values()):
        for lane, one in enumerate(found):
            place = lane if names else top + 1
            value, reach = scale * one.value, [[scale * (one.value - one.low)], [scale * (one.high - one.value)]]
            drawn.errorbar(
                value, top + 12 * (lane - (lanes - 1) / 2) / row, xerr=np.maximum(reach, 0), color=_colour(place),
                marker=MARKERS[place % len(MARKERS)], clip_on=False, label=names[lane] if names and top == 0 else None,
            )  # fmt: skip
    drawn.set(ylim=(len(rows) - 0.5, -0.5))
    drawn.set_yticks(range(len(rows)), list(rows))
    drawn.grid(axis="x")
    return drawn


@styled
def learning_curves(curve: LearningCurve) -> Figure:
    """Plot the recall of each class against the real images it was learnt from; dashed is the recall aimed at."""
    lines = [_line(label, found.images, found.recall) for label, found in curve.classes.items()]
    drawn = axes(WIDTH, HEIGHT)
    if len(curve.classes) > MANY_LINES:
        for line in lines:
            drawn.plot(line.across, line.up, color=OFF, linewidth=1, alpha=0.55)
        images = np.mean([found.images for found in curve.classes.values()], axis=0)
        lines = [_line("mean over the classes", images.tolist(), curve.macro_recall)]
    drawn.axhline(curve.recall_target, color=TEXT, linewidth=1, linestyle=(0, (5, 4)))
    _lines(drawn, lines)
    drawn.set(xscale="log", xlabel="real images of the class", ylabel="recall in cross-validation")
    drawn.xaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5), numticks=12))
    drawn.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    drawn.xaxis.set_minor_locator(NullLocator())
    _legend(drawn)
    return _figure(drawn)


def _line(name: str, images: Sequence[float], recall: Sequence[float | None]) -> Line:
    """Return the points that have both images, which a logarithmic axis needs, and a recall."""
    points = [(n, value) for n, value in zip(images, recall, strict=True) if value is not None and n]
    return Line(name, [n for n, _ in points], [value for _, value in points])


@styled
def reliability(summary: ComparisonSummary, arms: Sequence[str]) -> Figure:
    """Plot the share of right labels against their calibrated probability; the diagonal is what is promised."""
    drawn, lines = axes(WIDTH, HEIGHT), []
    drawn.plot([0, 1], [0, 1], color=TEXT, linewidth=1, linestyle=(0, (5, 4)))
    for arm in dict.fromkeys(arms):
        found = summary.arms[arm].reliability
        name = f"{arm} (calibration error {100 * found.ece:.1f} points)"
        lines.append(Line(name, [entry.confidence for entry in found.bins], [entry.accuracy for entry in found.bins]))
    _lines(drawn, lines)
    drawn.set(xlim=(0, 1), xlabel="probability of the likeliest label", ylabel="how often it is right")
    drawn.xaxis.set_major_locator(MultipleLocator(0.2))
    drawn.xaxis.set_major_formatter(PERCENT)
    _legend(drawn)
    return _figure(drawn)


@styled
def validation_curves(histories: Mapping[str, Sequence[Sequence[Evaluation]]]) -> Figure:
    """Plot validation macro F1 at every evaluation; one line per training, one colour per arm."""
    lines = [
        Line(arm, [one.step for one in evaluations], [one.validation["macro_f1"] for one in evaluations])
        for arm, trainings in histories.items()
        for evaluations in trainings
    ]
    drawn = axes(WIDTH, HEIGHT)
    _lines(drawn, lines)
    drawn.set(xlabel="step", ylabel=f"{METRIC_NAMES['macro_f1']} on validation images")
    drawn.set_xlim(left=0)
    drawn.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True))
    _legend(drawn)
    return _figure(drawn)


def _lines(drawn: Axes, lines: Sequence[Line]) -> None:
    """Plot lines over shares from 0 to 100 %, each name with its colour and marker."""
    shown = [line for line in lines if line.up]
    places = {name: place for place, name in enumerate(dict.fromkeys(line.name for line in shown))}
    columns = {
        "across": [x for line in shown for x in line.across],
        "up": [y for line in shown for y in line.up],
        "name": [line.name for line in shown for _ in line.up],
        "line": [number for number, line in enumerate(shown) for _ in line.up],
    }
    if shown:
        seaborn.lineplot(
            columns, x="across", y="up", hue="name", style="name", units="line", estimator=None, dashes=False,
            palette={name: _colour(place) for name, place in places.items()}, markeredgecolor=PANEL, clip_on=False,
            markers={name: MARKERS[place % len(MARKERS)] for name, place in places.items()}, ax=drawn,
        )  # fmt: skip
    drawn.set(ylim=(0, 1))
    drawn.yaxis.set_major_locator(MultipleLocator(0.2))
    drawn.yaxis.set_major_formatter(PERCENT)
    drawn.grid(color=LINE)


def _legend(drawn: Axes) -> None:
    """Place the legend below the horizontal axis and its name, in as many columns as have room."""
    handles, names = drawn.get_legend_handles_labels()
    if not names:
        return
    columns = max(1, int((WIDTH + 80) / (32 + LETTER * max(map(len, names)))))
    down = 30 + 15 * (1 + drawn.get_xlabel().count("\n"))  # units: the numbers, and the lines of the name
    below = offset_copy(drawn.transAxes, drawn.get_figure(root=True), -40, -down, units="points")
    drawn.legend(handles, names, ncols=columns, loc="upper left", bbox_to_anchor=(0, 0), bbox_transform=below)


def _colour(place: int) -> str:
    return SERIES[place % len(SERIES)]


def _figure(drawn: Axes) -> Figure:
    figure = drawn.get_figure(root=True)
    if figure is None:
        raise AssertionError("these axes have no figure")
    return figure
