"""The look of the report's figures, which matplotlib draws as SVG: colours that the page chooses, text that stays text.

A figure is drawn in colours that only stand for names: what is drawn in `TEXT` becomes `var(--text)` on the page, and
the light theme's colour in a file of its own. So one drawing is right on a dark screen, a light one and on paper.
"""

import io
import re
import warnings
from dataclasses import dataclass
from html import escape

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from edge_runtime.web.page_style import STATIC, theme

INCH = 72  # units of the drawing, which are pixels where it is shown at its own size
NAMES = ("text", "muted", "line", "panel", "accent", "on-accent", "off", *(f"series-{place}" for place in range(8)))
TEXT, MUTED, LINE, PANEL, ACCENT, ON_ACCENT, OFF, *SERIES = (f"#fe01{place:02x}" for place in range(len(NAMES)))
STANDS_FOR = re.compile(r"(?<=: )#fe01(0[0-9a-e])")  # a value inside a style attribute
FONT = "DejaVu Sans"  # comes with matplotlib, so every machine measures text alike
LETTER = 7.0  # units, the mean width of a character
SMALLEST, LARGEST = 0.82, 1.3  # how far a page scales a drawing: text has 10 px at least, and narrower boxes scroll
# A decorator: inside, matplotlib draws in this look, and afterwards its settings are as before.
styled = rc_context({
    "svg.fonttype": "none", "text.parse_math": False, "font.family": [FONT], "font.size": 12, "text.color": TEXT,
    "figure.facecolor": "none", "figure.dpi": INCH, "axes.facecolor": "none", "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED, "axes.labelsize": 12, "axes.linewidth": 1, "axes.axisbelow": True, "grid.color": LINE,
    "axes.spines.top": False, "axes.spines.right": False, "axes.spines.left": False, "grid.linewidth": 1,
    "xtick.labelcolor": TEXT, "ytick.labelcolor": TEXT, "xtick.labelsize": 12, "ytick.labelsize": 12,
    "xtick.major.size": 0, "ytick.major.size": 0, "xtick.minor.size": 0, "xtick.major.pad": 8, "ytick.major.pad": 6,
    "lines.linewidth": 2, "lines.markersize": 8, "legend.frameon": False, "legend.fontsize": 12,
    "legend.borderaxespad": 0, "legend.handlelength": 1, "legend.columnspacing": 1.5,
})  # fmt: skip


@dataclass(frozen=True)
class Drawing:
    """One figure as SVG text: `page` in the variables of a page's style, `file` in the colours of the light theme."""

    page: str
    file: str


@styled
def axes(width: float, height: float) -> Axes:
    """Return axes of this many units in a figure of their own; what stands beside them is added when it is saved."""
    figure = Figure(figsize=(width / INCH, height / INCH))
    FigureCanvasSVG(figure)
    return figure.add_axes((0, 0, 1, 1))


@styled
def as_svg(figure: Figure, name: str, title: str, seen: str) -> Drawing:
    """Return the figure; the same figure gives the same text. Screen readers read `title` and what can be `seen`.

    `name` is the figure's own on its page: identifiers inside begin with it or are made from it.
    """
    text, nothing = io.StringIO(), dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with rc_context({"svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # the page's fonts write it, not this one
        figure.savefig(text, format="svg", bbox_inches="tight", pad_inches=4 / INCH, metadata=nothing)
    found = re.search(r'<svg [^>]*viewBox="0 0 ([\d.]+) ([\d.]+)"[^>]*>\s*(.*)', text.getvalue(), re.DOTALL)
    if not found:
        raise AssertionError("matplotlib's SVG has no size")
    width, height, inside = float(found[1]), float(found[2]), found[3]
    # Inside a page this rule would hold for the whole page; the root's own style says the same.
    inside = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", inside, count=1, flags=re.DOTALL)
    # Nothing refers to a group's identifier, and every figure has the same ones.
    inside = re.sub(r'<g id="[^"]*">', "<g>", re.sub(r'<g id="[^"]*"/>', "", inside))
    inside = re.sub(r"\n\s*", "\n", re.sub(r'(?<= d=")[^"]*', _shorter, inside))
    told = "".join(
        f'<{tag} id="{name}-{tag}">{escape(said)}</{tag}>' for tag, said in (("title", title), ("desc", seen))
    )
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" role="img" '
        f'aria-labelledby="{name}-title" aria-describedby="{name}-desc" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:.0f}" height="{height:.0f}" style="stroke-linejoin: round; stroke-linecap: butt; '
    )
    size = f'min-width: {SMALLEST * width:.0f}px; max-width: {LARGEST * width:.0f}px">'
    light, rest = light_theme(), told + inside
    page = STANDS_FOR.sub(lambda value: f"var(--{NAMES[int(value[1], 16)]})", rest).replace(f"'{FONT}'", "var(--font)")
    file = STANDS_FOR.sub(lambda value: light[NAMES[int(value[1], 16)]], rest).replace(
        f"'{FONT}'", f"'{FONT}', sans-serif"
    )
    return Drawing(head + size + page, f'{head}background: {light["panel"]}">{file}')


def _shorter(path: re.Match[str]) -> str:
    """Return a path without spaces around its letters, to a hundredth of a unit: half of a large matrix is paths."""
    return re.sub(r"\s*([MLCQz])\s*", r"\1", re.sub(r"(\.\d\d)\d+", r"\1", path[0]))


def light_theme() -> dict[str, str]:
    """Return the colours of the light theme, and of series of a drawing in it, by name."""
    sheet = "".join((STATIC / name).read_text(encoding="utf-8") for name in ("base.css", "standalone.css"))
    return dict(re.findall(r"--([\w-]+): ([^;]+);", theme(sheet, "light")))
