"""Draws the twelve labels: six kinds of equipment, each in its normal state and with one fault.

Everything is drawn in object space: x to the right, y down, the object inside [-1, 1] x [-1, 1]. A `Pen` places object
space on the canvas, so a drawing never knows the viewpoint. Colours are BGR, 0..255.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np

SUBPIXEL_BITS = 4  # OpenCV takes fixed-point coordinates: 16 steps per pixel
Colour = tuple[float, float, float]
Point = tuple[float, float]

STEEL: Colour = (120, 115, 110)
DARK: Colour = (38, 36, 36)
OIL: Colour = (12, 14, 18)


def shade(colour: Colour, gain: float) -> Colour:
    """Return `colour` made brighter (gain > 1) or darker, kept within 0..255."""
    blue, green, red = (min(255.0, max(0.0, level * gain)) for level in colour)
    return blue, green, red


@dataclass(frozen=True)
class Pen:
    """Draws on `canvas` (uint8 (H, W, 3), changed in place) through `matrix` (2, 3), object space to pixels."""

    canvas: np.ndarray
    matrix: np.ndarray

    def moved(self, dx: float, dy: float, degrees: float = 0.0) -> "Pen":
        """Return a pen whose object space is turned by `degrees` (clockwise on screen) and then shifted by (dx, dy)."""
        cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        local = np.array([[cos, -sin, dx], [sin, cos, dy], [0, 0, 1]], np.float32)
        return Pen(self.canvas, self.matrix @ local)

    def polygon(self, points: Iterable[Point], colour: Colour) -> None:
        """Fill a polygon."""
        corners = np.array(list(points), np.float32)
        pixels = corners @ self.matrix[:, :2].T + self.matrix[:, 2]
        fixed = np.round(pixels * (1 << SUBPIXEL_BITS)).astype(np.int32)
        cv2.fillPoly(self.canvas, [fixed], colour, cv2.LINE_AA, SUBPIXEL_BITS)

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """Fill an upright rectangle of object space."""
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], colour)

    def line(self, start: Point, end: Point, width: float, colour: Colour) -> None:
        """Draw a straight bar of `width` (object units)."""
        (x0, y0), (x1, y1) = start, end
        length = math.hypot(x1 - x0, y1 - y0)
        nx, ny = (y0 - y1) / length * width / 2, (x1 - x0) / length * width / 2
        self.polygon([(x0 + nx, y0 + ny), (x1 + nx, y1 + ny), (x1 - nx, y1 - ny), (x0 - nx, y0 - ny)], colour)

    def ellipse(self, centre: Point, rx: float, ry: float, colour: Colour) -> None:
        """Fill an ellipse with radii `rx` and `ry`."""
        self.polygon(_arc(centre, rx, ry, 0, 360), colour)

    def ring(self, centre: Point, outer: float, inner: float, span: Point, colour: Colour) -> None:
        """Fill the part of a ring between the two angles of `span` (degrees, clockwise from the right)."""
        self.polygon(_arc(centre, outer, outer, *span) + _arc(centre, inner, inner, *span)[::-1], colour)

    def cylinder(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """Fill an upright cylinder: strips that are bright left of the middle and dark at the rim."""
        edges = np.linspace(left, right, len(_CYLINDER_GAINS) + 1)
        for x0, x1, gain in zip(edges[:-1], edges[1:], _CYLINDER_GAINS, strict=True):
            self.box(float(x0), top, float(x1) + 0.01, bottom, shade(colour, gain))


_CYLINDER_GAINS = (0.62, 0.92, 1.2, 1.08, 0.86, 0.66, 0.5)


def _arc(centre: Point, rx: float, ry: float, start: float, end: float) -> list[Point]:
    angles = np.radians(np.linspace(start, end, max(4, int(abs(end - start) / 15) + 1)))
    return [(centre[0] + rx * math.cos(a), centre[1] + ry * math.sin(a)) for a in angles]


def _disc(pen: Pen, y: float, colour: Colour) -> None:
    pen.polygon([(-0.17, y - 0.10), (0.17, y - 0.10), (0.47, y + 0.05), (-0.47, y + 0.05)], colour)
    pen.ellipse((0, y + 0.05), 0.47, 0.065, shade(colour, 0.55))
    pen.polygon([(-0.13, y - 0.09), (0.0, y - 0.09), (-0.06, y + 0.03), (-0.3, y + 0.03)], shade(colour, 1.5))


def _insulator(pen: Pen, rng: np.random.Generator, fault: bool) -> None:
    colour: Colour = ((55, 75, 140), (190, 185, 175))[rng.integers(2)]
    pen.box(-0.95, -1.0, 0.95, -0.84, shade(STEEL, 0.8))
    pen.box(-0.05, -0.9, 0.05, 0.2 if fault else 0.9, DARK)
    whole = np.linspace(-0.68, 0.72, 6)
    for y in whole[:2] if fault else whole:
        _disc(pen, float(y), colour)
    if fault:  # the lower half has come off its seat: it hangs to the side below a bare rod
        fallen = pen.moved(0.28, 0.2, -34)
        fallen.box(-0.05, -0.25, 0.05, 0.75, DARK)
        fallen.polygon([(-0.45, 0.1), (-0.1, -0.08), (0.02, 0.06), (0.16, -0.1), (0.2, 0.1)], colour)
        for y in (0.3, 0.6):
            _disc(fallen, y, colour)
        pen.polygon([(-0.75, 0.92), (-0.6, 0.78), (-0.42, 0.84), (-0.36, 0.95)], colour)


def _gauge(pen: Pen, rng: np.random.Generator, fault: bool) -> None:
    pen.cylinder(-0.14, 0.6, 0.14, 1.0, STEEL)
    pen.ellipse((0, -0.08), 0.88, 0.88, ((45, 45, 45), (60, 130, 165))[rng.integers(2)])
    pen.ellipse((0, -0.08), 0.76, 0.76, (235, 238, 238))
    pen.ring((0, -0.08), 0.74, 0.52, (135, 292), (70, 170, 60))
    pen.ring((0, -0.08), 0.74, 0.52, (300, 405), (45, 40, 215))
    angle = math.radians(rng.uniform(345, 385) if fault else rng.uniform(190, 240))
    if fault:
        pen.ellipse((0, -0.08), 0.5, 0.5, (120, 120, 240))
    tip = (0.62 * math.cos(angle), -0.08 + 0.62 * math.sin(angle))
    tail = (-0.16 * math.cos(angle), -0.08 - 0.16 * math.sin(angle))
    pen.line(tail, tip, 0.13, (15, 15, 15))
    pen.ellipse((0, -0.08), 0.13, 0.13, (15, 15, 15))


def _transformer(pen: Pen, rng: np.random.Generator, fault: bool) -> None:
    colour: Colour = ((165, 165, 150), (175, 150, 120))[rng.integers(2)]
    for x in (-0.45, 0.0, 0.45):
        pen.line((x, -0.35), (x * 1.25, -0.95), 0.13, (50, 70, 120))
    pen.box(-0.72, -0.42, 0.72, 0.72, colour)
    pen.box(-0.72, -0.42, 0.72, -0.3, shade(colour, 1.25))
    for side in (-1, 1):
        for x in (0.78, 0.9):
            pen.box(side * x - 0.045, -0.25, side * x + 0.045, 0.6, shade(colour, 0.7))
    for x in (-0.45, -0.15, 0.15, 0.45):
        pen.box(x - 0.02, -0.25, x + 0.02, 0.65, shade(colour, 0.8))
    pen.box(-0.8, 0.72, 0.8, 0.82, DARK)
    if fault:
        start = float(rng.uniform(-0.3, 0.1))
        for dx, width, top in ((0.0, 0.34, -0.15), (0.24, 0.16, 0.1), (-0.24, 0.14, 0.25)):
            pen.polygon([(start + dx - width / 4, top), (start + dx + width / 4, top), (start + dx + width / 2, 0.85),
                         (start + dx - width / 2, 0.85)], OIL)  # fmt: skip
        pen.ellipse((start, 0.9), 0.72, 0.13, OIL)


def _cabinet(pen: Pen, rng: np.random.Generator, fault: bool) -> None:
    colour: Colour = ((185, 185, 180), (140, 175, 185))[rng.integers(2)]
    pen.box(-0.56, -0.92, 0.62, 0.9, shade(colour, 0.6))
    pen.box(-0.62, -0.95, 0.66, -0.84, shade(colour, 0.85))
    if fault:
        pen.box(-0.5, -0.8, 0.55, 0.82, (22, 20, 20))
        for x, wire in ((-0.25, (40, 40, 200)), (0.05, (60, 200, 220)), (0.32, (200, 120, 50))):
            pen.line((x, -0.6), (x + float(rng.uniform(-0.1, 0.1)), 0.65), 0.08, wire)
        pen.polygon([(-0.52, -0.82), (-0.98, -0.98), (-0.98, 1.0), (-0.52, 0.84)], shade(colour, 1.15))
        return
    pen.box(-0.5, -0.8, 0.55, 0.82, colour)
    pen.polygon([(0.02, -0.6), (0.26, -0.18), (-0.22, -0.18)], (30, 200, 235))
    pen.box(0.4, 0.0, 0.48, 0.3, DARK)
    for y in (0.5, 0.6, 0.7):
        pen.box(-0.3, y, 0.3, y + 0.04, shade(colour, 0.55))


def _breather(pen: Pen, rng: np.random.Generator, fault: bool) -> None:
    beads: Colour = (190, 165, 250) if fault else (150, 50, 25)
    pen.cylinder(-0.1, -1.0, 0.1, -0.7, STEEL)
    pen.cylinder(-0.48, -0.76, 0.48, -0.56, (70, 70, 70))
    pen.cylinder(-0.42, -0.56, 0.42, 0.52, beads)
    for x, y in rng.uniform((-0.36, -0.5), (0.36, 0.46), (14, 2)):
        pen.ellipse((float(x), float(y)), 0.06, 0.06, shade(beads, float(rng.uniform(0.8, 1.25))))
    pen.cylinder(-0.48, 0.52, 0.48, 0.68, (70, 70, 70))
    pen.cylinder(-0.28, 0.68, 0.28, 0.96, (150, 160, 160))


def _post(pen: Pen, x: float) -> None:
    pen.cylinder(x - 0.09, -0.25, x + 0.09, 0.75, (60, 80, 145))
    for y in np.linspace(-0.1, 0.62, 5):
        pen.ellipse((x, float(y)), 0.21, 0.06, (50, 66, 120))


def _disconnector(pen: Pen, rng: np.random.Generator, fault: bool) -> None:
    pen.box(-0.95, 0.74, 0.95, 0.92, shade(STEEL, 0.75))
    for x in (-0.6, 0.6):
        _post(pen, x)
        pen.box(x - 0.14, -0.42, x + 0.14, -0.25, DARK)
    blade: Colour = ((75, 135, 210), (215, 215, 215))[rng.integers(2)]
    arm = pen.moved(-0.6, -0.36, -float(rng.uniform(38, 52)) if fault else 0.0)
    arm.line((-0.2, 0), (1.42, 0), 0.15, shade(blade, 0.6))
    arm.line((-0.2, -0.03), (1.42, -0.03), 0.08, blade)
    pen.ellipse((-0.6, -0.36), 0.12, 0.12, DARK)


Drawing = Callable[[Pen, np.random.Generator, bool], None]

# normal label, fault label, how to draw both
KINDS: tuple[tuple[str, str, Drawing], ...] = (
    ("whole_insulator", "broken_insulator", _insulator),
    ("normal_gauge", "redlined_gauge", _gauge),
    ("sealed_transformer", "leaking_transformer", _transformer),
    ("closed_cabinet", "breached_cabinet", _cabinet),
    ("dry_breather", "saturated_breather", _breather),
    ("closed_disconnector", "jammed_disconnector", _disconnector),
)

LABELS: tuple[str, ...] = tuple(label for normal, fault, _ in KINDS for label in (normal, fault))
FAULT_LABELS: tuple[str, ...] = tuple(fault for _, fault, _ in KINDS)
COUNTERPARTS: Mapping[str, str] = {fault: normal for normal, fault, _ in KINDS}
GROUPS: Mapping[str, tuple[str, str]] = {normal.split("_")[-1]: (normal, fault) for normal, fault, _ in KINDS}
_DRAWINGS: Mapping[str, Drawing] = {label: drawing for *pair, drawing in KINDS for label in pair}


def draw(label: str, pen: Pen, rng: np.random.Generator) -> None:
    """Draw one of LABELS with `pen`; `rng` settles paint, needle angle and the like."""
    _DRAWINGS[label](pen, rng, label in FAULT_LABELS)
