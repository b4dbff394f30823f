"""The steps between a drawn scene and the stored picture: ground, light, weather, lens, sensor, overlay, JPEG.

Canvases are uint8 (128, 128, 3) BGR while drawing and float32 on the 0..255 scale from `lit` to `captured`. Whatever is
random takes its generator as an argument, so the same scene gives the same bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.preprocess import Frame
from edge_runtime.media.jpeg import encode_jpeg

Canvas = npt.NDArray[np.float32]

CANVAS = 128  # pixels
HORIZON = 88  # row where ground begins


@dataclass(frozen=True)
class CameraModel:
    """How one camera renders the world. Noise is in grey levels, blur in canvas pixels."""

    gain: tuple[float, float, float]  # per channel, BGR
    saturation: float
    blur: float
    noise: float
    vignette: float  # darkening of the corners, 0..1
    jpeg_quality: int
    overlay: bool  # timestamp and camera name burnt in


CATALOGUE_CAMERAS: Mapping[str, CameraModel] = {
    "clean": CameraModel((1.0, 1.0, 1.0), 1.0, 0.0, 2.0, 0.0, 92, False),
    "handheld": CameraModel((0.93, 1.0, 1.05), 1.1, 0.6, 4.0, 0.1, 80, False),
    "fixed": CameraModel((1.05, 1.0, 0.95), 0.8, 0.9, 7.0, 0.2, 60, True),
}
STATION_CAMERA = CameraModel((0.86, 1.08, 0.92), 0.62, 1.15, 9.0, 0.42, 45, True)


def background(name: str, weather: str, rng: np.random.Generator) -> Frame:
    """Return a fresh canvas with `name` one of gravel, grass, wall, brick."""
    canvas: Canvas = np.empty((CANVAS, CANVAS, 3), np.float32)
    canvas[:HORIZON] = _above(name)[:HORIZON]
    ground = {"gravel": (140, 145, 150), "grass": (55, 125, 85), "wall": (95, 95, 98), "brick": (95, 100, 105)}[name]
    canvas[HORIZON:] = (225, 222, 220) if weather == "snow" else ground
    grain = cv2.resize(rng.standard_normal((32, 32), np.float32), (CANVAS, CANVAS), interpolation=cv2.INTER_LINEAR)
    canvas[HORIZON:] += 16 * grain[HORIZON:, :, None]
    canvas[:HORIZON] += 4 * grain[:HORIZON, :, None]
    return np.asarray(np.clip(canvas + rng.uniform(-8, 8), 0, 255), np.uint8)


@lru_cache
def _above(name: str) -> Canvas:
    rows = np.linspace(0, 1, CANVAS, dtype=np.float32)[:, None, None]
    if name in ("gravel", "grass"):  # open sky, paler towards the horizon
        top, bottom = np.array((235, 190, 145), np.float32), np.array((235, 228, 218), np.float32)
        return np.repeat((1 - rows) * top + rows * bottom, CANVAS, axis=1)
    wall = np.empty((CANVAS, CANVAS, 3), np.float32)
    if name == "wall":
        wall[:] = (178, 180, 182)
        wall[:, 31::32] = wall[43:45] = (140, 142, 144)
        return wall
    wall[:] = (70, 88, 150)
    wall[7::8] = (120, 128, 140)
    for row in range(0, CANVAS, 8):
        wall[row : row + 7, (row // 8 % 2) * 8 + 7 :: 16] = (120, 128, 140)
    return wall


@lru_cache
def _radius() -> Canvas:
    axis = np.linspace(-1, 1, CANVAS, dtype=np.float32)
    return np.asarray(np.sqrt(axis[:, None] ** 2 + axis[None] ** 2)[:, :, None])


def lit(canvas: Frame, light: str) -> Canvas:
    """Light a uint8 canvas (day, dusk, night, infrared) -> float32 canvas."""
    if light == "day":
        return canvas.astype(np.float32)
    if light == "dusk":
        tinted = canvas * np.array((0.5, 0.6, 0.92), np.float32)
        return np.asarray(tinted + np.array((12, 8, 10), np.float32), np.float32)
    lamp = np.clip(1.25 - 0.75 * _radius(), 0.25, 1)
    if light == "night":
        tinted = canvas * lamp * np.array((0.62, 0.5, 0.42), np.float32)
        return np.asarray(tinted + np.array((18, 8, 4), np.float32), np.float32)
    grey = canvas @ np.array((0.25, 0.3, 0.45), np.float32)
    return np.asarray(np.repeat(grey[:, :, None] * lamp * 0.95 + 10, 3, axis=2))


def weathered(image: Canvas, weather: str, rng: np.random.Generator) -> Canvas:
    """Draw rain, fog or flakes over a float32 canvas, scaled to how bright the picture is; clear changes nothing."""
    if weather == "clear":
        return image
    bright = float(np.clip(image.mean() * 1.6, 60, 235))
    if weather == "fog":
        return image * 0.6 + 0.4 * bright
    layer = np.zeros((CANVAS, CANVAS), np.uint8)
    if weather == "rain":
        for x, y in rng.integers(0, CANVAS, (45, 2)).tolist():
            cv2.line(layer, (x, y), (x - 4, y + 14), 150, 1, cv2.LINE_AA)
    else:
        for x, y in rng.integers(0, CANVAS, (60, 2)).tolist():
            cv2.circle(layer, (x, y), 1, 220, -1, cv2.LINE_AA)
    cover = layer[:, :, None].astype(np.float32) * np.float32(1 / 255)
    return np.asarray(image * (1 - cover) + cover * min(255.0, bright * 1.2))


def captured(image: Canvas, camera: CameraModel, rng: np.random.Generator) -> Frame:
    """Convert a float32 canvas -> uint8 canvas as `camera` stores it."""
    grey = image @ np.array((0.114, 0.587, 0.299), np.float32)
    image = (image - grey[:, :, None]) * camera.saturation + grey[:, :, None]
    image = image * (np.array(camera.gain, np.float32) * (1 - camera.vignette * 0.6 * _radius() ** 2))
    if camera.blur:
        image = cv2.GaussianBlur(image, (0, 0), camera.blur)
    image += camera.noise * rng.standard_normal((CANVAS, CANVAS, 1), np.float32)
    frame = np.clip(image, 0, 255).astype(np.uint8)
    if camera.overlay:
        _burn_in(frame, rng)
    stored = np.frombuffer(encode_jpeg(frame, camera.jpeg_quality), np.uint8)
    return cast(Frame, cv2.imdecode(stored, cv2.IMREAD_COLOR))


def _burn_in(frame: Frame, rng: np.random.Generator) -> None:
    hour, minute, number = (int(rng.integers(top)) for top in (24, 60, 9))
    text = f"CAM{number + 1} {hour:02d}:{minute:02d}"
    cv2.putText(frame, text, (3, 10), cv2.FONT_HERSHEY_PLAIN, 0.7, (240, 240, 240), 1, cv2.LINE_AA)
