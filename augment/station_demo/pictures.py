"""Wide pictures of a station's yard and rooms, as its cameras show them: the equipment of `augment.mini`, sharper.

A `Sight` is a value; the same sight always gives the same picture. Canvases are uint8 (360, 640, 3) BGR while drawing
and float32 on the 0..255 scale from `_lit` on. A `Camera` adds what changes from frame to frame: noise and the clock.
"""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from augment.mini.equipment import COUNTERPARTS, Pen, draw
from edge_runtime.bundle.preprocess import Frame
from edge_runtime.media.jpeg import encode_jpeg

Canvas = npt.NDArray[np.float32]

WIDTH, HEIGHT = 640, 360  # pixels
FINER = 2  # times as fine a canvas is drawn on, and then reduced: smooth edges
HORIZON = 0.62  # of the height, where ground begins
EDGE = 12  # grey levels by which a shape's edge may differ that another shape passes behind
NOISES = 8  # planes of sensor noise that a camera takes turns with
NOISE_LEVEL = 3.5  # grey levels
FONT = cv2.FONT_HERSHEY_SIMPLEX
QUALITY = 82  # of a camera's JPEGs
PLACES = ("gravel", "grass", "room", "brick")
LIGHTS = ("day", "dusk", "night", "infrared")


@dataclass(frozen=True)
class Sight:
    """What a camera looks at.

    `label` is one of `augment.mini`'s; `place` one of PLACES, `light` one of LIGHTS. `right` is how far the equipment
    stands right of the middle, as a share of the width; `scale` is half its height as a share of the picture's; `lean`
    is the shear of a view from one side. `seed` settles paint, needle angle, ground and whatever else has no name here.
    """

    label: str
    place: str
    light: str
    right: float
    scale: float
    lean: float
    seed: int


def random_sight(label: str, seed: int) -> Sight:
    """Return a sight of `label` whose every other attribute is drawn from `seed`."""
    rng = np.random.default_rng((seed, 5))
    return Sight(
        label,
        place=PLACES[rng.integers(len(PLACES))],
        light=LIGHTS[rng.choice(len(LIGHTS), p=(0.4, 0.25, 0.2, 0.15))],
        right=float(rng.uniform(-0.2, 0.2)),
        scale=float(rng.uniform(0.34, 0.44)),
        lean=float(rng.uniform(-0.1, 0.1)),
        seed=int(rng.integers(2**62)),
    )


def clean_picture(sight: Sight) -> Frame:
    """Return the picture before noise and clock: uint8 (360, 640, 3) BGR."""
    return np.asarray(np.clip(_through_lens(_lit(_drawn(sight), sight.light)), 0, 255), np.uint8)


def fault_box(sight: Sight) -> tuple[float, float, float, float] | None:
    """Return x, y, width and height of the fault in pixels, None where the sight is healthy.

    The box holds all that would be drawn otherwise if the equipment were healthy.
    """
    if sight.label not in COUNTERPARTS:
        return None
    faulty, healthy = (_drawn(replace(sight, label=label)) for label in (sight.label, COUNTERPARTS[sight.label]))
    rows, columns = np.nonzero(cv2.absdiff(faulty, healthy).max(axis=2) > EDGE)
    left, top, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    return float(left), float(top), float(right - left), float(bottom - top)


class Camera:
    """Makes the JPEG frames of one fixed camera; noise differs from frame to frame, the view does not."""

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self._rng = np.random.default_rng((seed, 9))
        shape = (NOISES, HEIGHT, WIDTH, 1)
        self._noises = (NOISE_LEVEL * self._rng.standard_normal(shape, np.float32)).round().astype(np.int16)

    def frame(self, picture: Frame, time: str) -> bytes:
        """Return `picture` (uint8, 360 x 640) as this camera stores it, with its name and `time` burnt in."""
        noise = np.roll(self._noises[self._rng.integers(NOISES)], int(self._rng.integers(WIDTH)), axis=1)
        frame = np.clip(picture + noise, 0, 255).astype(np.uint8)
        for text, left in ((self.name.upper(), 12), (time, WIDTH - 172)):
            for colour, off in (((20, 20, 20), 1), ((235, 235, 235), 0)):
                cv2.putText(frame, text, (left + off, 22 + off), FONT, 0.45, colour, 1, cv2.LINE_AA)
        return encode_jpeg(frame, QUALITY)


def _drawn(sight: Sight) -> Frame:
    """Return place and equipment in flat light."""
    rng = np.random.default_rng(sight.seed)
    canvas = _room(sight.place, rng) if sight.place in ("room", "brick") else _yard(sight.place, rng)
    large = cv2.resize(canvas, (WIDTH * FINER, HEIGHT * FINER), interpolation=cv2.INTER_LINEAR)
    scale = sight.scale * HEIGHT * FINER
    matrix = np.array([[scale, sight.lean * scale, 0], [sight.lean * scale / 3, scale, 0]], np.float32)
    matrix[:, 2] = WIDTH * FINER * (0.5 + sight.right), HEIGHT * FINER * 0.53
    shadow = large.copy()
    Pen(shadow, matrix).ellipse((0.1, 0.98), 1.05, 0.12, (25, 25, 28))
    large = cv2.addWeighted(large, 0.5, cv2.GaussianBlur(shadow, (0, 0), 6), 0.5, 0)
    draw(sight.label, Pen(large, matrix), rng)
    return np.asarray(cv2.resize(large, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)


def _grain(rng: np.random.Generator, rows: int, cell: int, strength: float) -> Canvas:
    """Return soft random patches (rows, 640, 1) of about `cell` pixels."""
    few = rng.standard_normal((max(2, rows // cell), WIDTH // cell), np.float32)
    return np.asarray(strength * cv2.resize(few, (WIDTH, rows), interpolation=cv2.INTER_CUBIC)[:, :, None])


def _yard(place: str, rng: np.random.Generator) -> Frame:
    """Return sky, the far side of the yard with its portals and fence, and ground of gravel or grass."""
    split = int(HEIGHT * HORIZON + rng.uniform(-12, 12))
    canvas: Canvas = np.empty((HEIGHT, WIDTH, 3), np.float32)
    down = np.linspace(0, 1, split, dtype=np.float32)[:, None, None]
    canvas[:split] = (1 - down) * np.array((214, 176, 138), np.float32) + down * np.array((226, 219, 208), np.float32)
    canvas[:split] += _grain(rng, split, 80, 9)
    base = np.array((132, 140, 146) if place == "gravel" else (66, 122, 92), np.float32)
    depth = np.linspace(0.86, 1.06, HEIGHT - split, dtype=np.float32)[:, None, None]
    canvas[split:] = base * depth + _grain(rng, HEIGHT - split, 24, 5) + _grain(rng, HEIGHT - split, 4, 7)
    frame = np.asarray(np.clip(canvas, 0, 255), np.uint8)
    far = frame.copy()
    for left in rng.uniform(-60, WIDTH, 4):
        _portal(far, float(left), split, float(rng.uniform(70, 125)))
    cv2.line(far, (0, split - 26), (WIDTH, split - 26), (140, 138, 132), 2, cv2.LINE_AA)
    for x in range(int(rng.integers(30)), WIDTH, 32):
        cv2.line(far, (x, split), (x, split - 30), (126, 124, 120), 2, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(cv2.addWeighted(frame, 0.45, far, 0.55, 0), (0, 0), 0.9), np.uint8)


def _portal(frame: Frame, left: float, ground: int, height: float) -> None:
    """Draw a lattice portal far away, whose feet stand on row `ground`."""
    top, right, steel = ground - height, left + height * 1.1, (112, 108, 104)
    for x in (left, right):
        for side in (-1, 1):
            start, end = (round(x + side * 7), ground), (round(x + side * 3), round(top))
            cv2.line(frame, start, end, steel, 1, cv2.LINE_AA)
        for step in range(int(height) // 12):
            foot = ground - 12 * step
            cv2.line(frame, (round(x - 6), foot), (round(x + 5), foot - 12), steel, 1, cv2.LINE_AA)
    for beam in (top, top + 7):
        cv2.line(frame, (round(left), round(beam)), (round(right), round(beam)), steel, 1, cv2.LINE_AA)


def _room(place: str, rng: np.random.Generator) -> Frame:
    """Return a wall, plain with a skirting or of brick, above a floor."""
    split = int(HEIGHT * 0.8 + rng.uniform(-10, 10))
    canvas: Canvas = np.empty((HEIGHT, WIDTH, 3), np.float32)
    canvas[:split] = np.array((186, 188, 184), np.float32) if place == "room" else np.array((84, 98, 148), np.float32)
    canvas[split:] = (104, 106, 110)
    if place == "room":
        canvas[split - 12 : split] = (120, 122, 124)
        canvas[:split, int(rng.integers(60, 160)) :: 210] = (160, 162, 160)
    else:
        for row in range(0, split, 16):
            canvas[row : row + 14] += rng.uniform(-8, 8)
            canvas[row + 14 : row + 16] = (132, 138, 142)
            canvas[row : row + 14, (row // 16 % 2) * 20 :: 40] = (132, 138, 142)
        canvas[split:] = (104, 106, 110)
    canvas += _grain(rng, HEIGHT, 90, 6) + _grain(rng, HEIGHT, 6, 2)
    return np.asarray(cv2.GaussianBlur(np.clip(canvas, 0, 255), (0, 0), 0.7), np.uint8)


def _lit(canvas: Frame, light: str) -> Canvas:
    """Light a uint8 canvas -> float32 canvas."""
    x, y = np.meshgrid(np.linspace(-1, 1, WIDTH, dtype=np.float32), np.linspace(-1, 1, HEIGHT, dtype=np.float32))
    lamp = np.clip(1.2 - 0.62 * np.sqrt(x**2 + (y - 0.1) ** 2), 0.22, 1)[:, :, None]
    image = canvas.astype(np.float32)
    if light == "day":
        return image * np.float32(0.94)
    if light == "dusk":
        return np.asarray(image * np.array((0.76, 0.62, 0.6), np.float32) + np.array((10, 6, 6), np.float32))
    if light == "night":
        return np.asarray(image * lamp * np.array((0.5, 0.56, 0.66), np.float32) + np.array((12, 8, 6), np.float32))
    grey = image @ np.array((0.25, 0.35, 0.4), np.float32)
    return np.asarray(np.repeat(grey[:, :, None] * lamp * 0.92 + 8, 3, axis=2))


def _through_lens(image: Canvas) -> Canvas:
    """Darken the corners and soften what the sensor cannot resolve."""
    x, y = np.meshgrid(np.linspace(-1, 1, WIDTH, dtype=np.float32), np.linspace(-1, 1, HEIGHT, dtype=np.float32))
    dark = 1 - 0.16 * (x**2 + y**2)[:, :, None]
    return np.asarray(cv2.GaussianBlur(image * dark, (0, 0), math.sqrt(0.5)))
