"""Drawings as SVG text in the colours of the page that they stand in: lines over axes, rows of intervals, a grid.

Classes name what a shape is (`grid`, `text`, `series-0`); the page's style gives it its colour, so that one drawing
serves a dark screen, a light one and paper. `alone` adds the colours of paper, for a file of its own.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

SERIES = 8  # kinds of colour and marker; a ninth series looks like the first
LETTER = 6.9  # pixels, the mean width of a character at the size of TEXT
WIDTH, HEIGHT = 480, 280  # pixels of a drawing's axes with what stands beside them
LEFT, RIGHT, TOP, BOTTOM, LINE = 62, 24, 10, 44, 18
PALETTE = ("#0067b1", "#c04f00", "#007a5a", "#a8388f", "#8a6a00", "#2f7fa8", "#7a4ec2", "#5c6773")
PAPER = (
    "svg{font:12px system-ui,sans-serif;background:#fff}text{fill:#1a1a1a}.grid{stroke:#d5d9de}.axis{stroke:#6b737c}"
    ".promise{stroke:#1a1a1a;stroke-dasharray:5 4}.cell{fill:#0067b1}.inverse{fill:#fff}.faint{fill:#545c65}"
    + "".join(f".series-{place}{{stroke:{colour};fill:{colour}}}" for place, colour in enumerate(PALETTE))
    + ".quiet{stroke:#9aa2ab;fill:#9aa2ab}.line{fill:none;stroke-width:2}.thin{stroke-width:1}"
)


@dataclass(frozen=True)
class Axis:
    """A horizontal axis from `low` to `high` with a number at each of `ticks`."""

    name: str
    low: float
    high: float
    ticks: Sequence[float]
    logarithmic: bool = False
    percent: bool = False

    def share(self, value: float) -> float:
        """Return where `value` stands, 0 at `low` and 1 at `high`."""
        low, high, value = (math.log(n) if self.logarithmic else n for n in (self.low, self.high, value))
        return (value - low) / ((high - low) or 1)

    def words(self, value: float) -> str:
        """Write a value as it stands below the axis."""
        return f"{100 * value:.0f} %" if self.percent else f"{value:g}"


SHARE = Axis("", 0, 1, (0, 0.2, 0.4, 0.6, 0.8, 1), percent=True)


@dataclass(frozen=True)
class Line:
    """Points (x, share 0..1) joined to a line; without a `name` it is not in the legend."""

    points: Sequence[tuple[float, float]]
    series: str  # class: series-0 to series-7, quiet, promise
    name: str = ""


def series(place: int) -> str:
    """Return the class of the series at `place`."""
    return f"series-{place % SERIES}"


def lines(drawn: Sequence[Line], across: Axis, up: str) -> str:
    """Draw lines over `across`, their shares from 0 to 100 % upwards, with a legend of those that have a name."""
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def at(x: float, y: float) -> tuple[float, float]:
        return LEFT + wide * across.share(x), TOP + high * (1 - y)

    parts = [_upward(up, wide, high), _across(across, LEFT, wide, TOP, high)]
    for line in drawn:
        places = [at(x, y) for x, y in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        width = "thin" if line.series == "quiet" else ""
        parts.append(f'<polyline class="line {line.series} {width}" points="{path}"/>')
        if line.name:
            parts += [marker(x, y, line.series) for x, y in places]
    legend, height = _legend([line for line in drawn if line.name])
    return _drawing(WIDTH, HEIGHT + height, [*parts, legend])


def intervals(rows: Mapping[str, Sequence[tuple[str, float, float, float]]], across: Axis, names: Sequence[str]) -> str:
    """Draw a row of intervals for each name in `rows`, (series, value, low, high) each; `names` are the legend's.

    Where zero lies inside the axis it has a line of its own.
    """
    left = 18 + LETTER * max(map(len, rows))
    wide, lane = max(220.0, WIDTH - left - RIGHT), 11
    tall = sum(lane * len(found) + 9 for found in rows.values())
    parts = [_across(across, left, wide, TOP, tall)]
    if across.low < 0 < across.high:
        zero = left + wide * across.share(0)
        parts.append(_straight("promise", zero, TOP, zero, TOP + tall))
    top = float(TOP)
    for name, found in rows.items():
        parts.append(_text(left - 10, top + 4 + lane * len(found) / 2 + 4, name, "end"))
        for place, (kind, value, low, high) in enumerate(found):
            y = top + 4 + lane * (place + 0.5)
            ends = [left + wide * min(1.0, max(0.0, across.share(end))) for end in (low, value, high)]
            parts.append(f'<path class="line {kind}" d="M{ends[0]:.1f} {y:.1f}H{ends[2]:.1f}"/>')
            parts.append(marker(ends[1], y, kind))
        top += lane * len(found) + 9
    width, height = left + wide + RIGHT, TOP + tall + BOTTOM
    legend, more = _legend([Line((), series(place), name) for place, name in enumerate(names)], height, width)
    return _drawing(width, height + more, [*parts, legend])


def grid(labels: Sequence[str], shares: Sequence[Sequence[float]], words: Sequence[Sequence[str]], side: int) -> str:
    """Draw a square of `side` pixels for each row and column of `labels`, the darker the larger its share, 0..1."""
    room = 14 + LETTER * max(map(len, labels))
    parts = []
    for row, label in enumerate(labels):
        y = TOP + side * row
        parts.append(_text(room - 8, y + side / 2 + 4, label, "end"))
        x, below = room + side * (row + 0.5), TOP + side * len(labels) + 12
        parts.append(f'<g transform="translate({x:.1f} {below:.1f}) rotate(-45)">{_text(0, 4, label, "end")}</g>')
        for column, share in enumerate(shares[row]):
            x = room + side * column
            parts.append(
                f'<rect class="cell" x="{x:.1f}" y="{y}" width="{side - 1}" height="{side - 1}" '
                f'fill-opacity="{0.06 + 0.94 * share:.2f}"/>'
            )
            if words[row][column]:
                colour = "inverse" if share > 0.5 else ""
                parts.append(_text(x + side / 2, y + side / 2 + 4, words[row][column], "middle", colour))
    size = side * len(labels)
    return _drawing(room + size + RIGHT, TOP + size + 20 + 0.75 * room, parts)


def marker(x: float, y: float, kind: str) -> str:
    """Draw a mark whose shape tells the series too, for those who do not tell the colours."""
    shapes = ("M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0", "M-3.5-3.5h7v7h-7z", "M0-4.5L4.5 3.5h-9z", "M0-5L5 0L0 5L-5 0z")
    shape = shapes[int(kind[-1]) % len(shapes)] if kind[-1].isdigit() else shapes[0]
    return f'<path class="{kind}" transform="translate({x:.1f} {y:.1f})" d="{shape}"/>'


def alone(drawing: str) -> str:
    """Return a drawing with the colours of paper inside, for a file of its own."""
    head, rest = drawing.split(">", 1)
    return f"{head}><style>{PAPER}</style>{rest}"


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return round numbers between `low` and `high`, at most so many."""
    step = (high - low) / max(1, most - 1) or 1
    power = 10 ** math.floor(math.log10(step))
    step = next(nice * power for nice in (1, 2, 5, 10) if nice * power >= step * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(n * step, 10) for n in range(first, math.floor(high / step + 1e-9) + 1)]


def powers(low: float, high: float) -> list[float]:
    """Return 1, 2, 5, 10, 20 and so on between `low` and `high`."""
    numbers = (nice * 10.0**power for power in range(0, 7) for nice in (1, 2, 5))
    return [number for number in numbers if low <= number <= high]


def _drawing(width: float, height: float, parts: Iterable[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" font-size="12" style="max-width:{1.3 * width:.0f}px">{"".join(parts)}</svg>'
    )


def _upward(name: str, wide: float, high: float) -> str:
    parts = []
    for value in SHARE.ticks:
        y = TOP + high * (1 - value)
        parts += [_straight("grid", LEFT, y, LEFT + wide, y), _text(LEFT - 6, y + 4, SHARE.words(value), "end")]
    middle = TOP + high / 2
    turned = _text(0, 0, name, "middle", "faint")
    return "".join(parts) + f'<g transform="translate(12 {middle:.1f}) rotate(-90)">{turned}</g>' * bool(name)


def _across(axis: Axis, left: float, wide: float, top: float, high: float) -> str:
    parts, bottom = [], top + high
    for value in axis.ticks:
        x = left + wide * axis.share(value)
        parts += [_straight("grid", x, top, x, bottom), _text(x, bottom + 16, axis.words(value), "middle")]
    parts.append(_straight("axis", left, bottom, left + wide, bottom))
    return "".join([*parts, _text(left + wide / 2, bottom + 34, axis.name, "middle", "faint")])


def _legend(named: Sequence[Line], top: float = HEIGHT, width: float = WIDTH) -> tuple[str, float]:
    """Return the legend's marks and words below a drawing, and how much height they take."""
    parts, x, y = [], 12.0, top + 10.0
    for line in named:
        needed = 26 + LETTER * len(line.name)
        if x > 12 and x + needed > width:
            x, y = 12.0, y + LINE
        parts += [marker(x + 4, y, line.series), _text(x + 14, y + 4, line.name, "start")]
        x += needed
    return "".join(parts), (y - top + 10 if named else 0)


def _straight(kind: str, x0: float, y0: float, x1: float, y1: float) -> str:
    return f'<path class="line {kind} thin" d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}"/>'


def _text(x: float, y: float, words: str, anchor: str, kind: str = "") -> str:
    attribute = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{attribute}>{escape(words)}</text>'
