"""Heat maps: the map of a label drawn over the picture, to show where the evidence for it lies."""

import hashlib
import os
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from ..bundle.errors import UnavailableError, os_errors_as
from ..bundle.files import replace_file
from ..bundle.heads import Array
from ..bundle.preprocess import Frame, PreprocessSpec
from .jpeg import encode_jpeg, mark_own

MAX_SIDE = 1600  # pixels; enough to see, small enough to send
FAINT = 0.1  # of full heat; where a map has a scale, what is below is nothing: a healthy picture stays grey
OPACITY = 0.6  # of the hottest spot; the colder, the clearer
QUALITY = 90  # of the written JPEG


def overlay(
    frame: Frame,
    cam: Array,
    spec: PreprocessSpec | None = None,
    full_heat: float | None = None,
    max_side: int = MAX_SIDE,
) -> Frame:
    """Draw `cam` (h, w) of one label over `frame` uint8 (H, W, 3) BGR, scaled down to `max_side` pixels where larger.

    `cam` covers the canvas of `spec`, whose bars are cut away; without a `spec` it covers the frame itself. Heat is the
    positive evidence relative to `full_heat`, and what is below `FAINT` of it is not drawn; without `full_heat` it is
    relative to the map's own maximum. The picture turns grey, because a thermal camera's own false colours would drown
    any other.
    """
    small = fitted(frame, max_side)
    size = (small.shape[1], small.shape[0])
    grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
    heat = over_frame(np.maximum(cam, 0).astype(np.float32), spec, frame.shape[:2], size)
    if full_heat is None:
        heat = np.clip(heat / max(float(heat.max()), 1e-12), 0, 1)
    else:
        heat = np.clip((heat / full_heat - FAINT) / (1 - FAINT), 0, 1)
    colours = cv2.applyColorMap((heat * 225).astype(np.uint8), cv2.COLORMAP_TURBO)  # its last tenth is dark again
    weight = (heat * OPACITY)[..., None]
    blended: Frame = (grey[..., None] * (1 - weight) + colours * weight).round().astype(np.uint8)
    return blended


def fitted(frame: Frame, max_side: int) -> Frame:
    """Return the frame, scaled down where a side is longer than `max_side` pixels."""
    scale = max_side / max(frame.shape[:2])
    if scale >= 1:
        return frame
    size = (max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale)))
    return cast(Frame, cv2.resize(frame, size, interpolation=cv2.INTER_AREA))


def over_frame(cam: Array, spec: PreprocessSpec | None, shape: tuple[int, ...], size: tuple[int, int]) -> Array:
    """Return that part of a map (h, w) that covers a frame of `shape` (height, width), at `size` (width, height)."""
    if spec is None:
        return cast(Array, cv2.resize(cam, size, interpolation=cv2.INTER_CUBIC))
    place = spec.placement(shape[0], shape[1])
    across, down = size[0] / place.width, size[1] / place.height  # pixels drawn per pixel of the canvas
    canvas = (round(spec.canvas[1] * across), round(spec.canvas[0] * down))
    left, top = round(place.left * across), round(place.top * down)
    whole = cv2.resize(cam, canvas, interpolation=cv2.INTER_CUBIC)
    return cast(Array, whole[top : top + size[1], left : left + size[0]])


def write_overlay(folder: Path, source: Path, part: str, picture: Frame) -> Path:
    """Write a JPEG into `folder`, named after `source` and unique for its whole path and the `part` of it.

    The file says that it is no camera's picture, so that nobody judges or trains on it.
    """
    key = hashlib.sha256(os.fsencode(source.absolute())).hexdigest()[:10]
    path = folder / f"{source.stem[:40]}-{key}{part}.jpg"
    with os_errors_as(UnavailableError, f"the heat-map {path} cannot be written", "choose another folder"):
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(path, mark_own(encode_jpeg(picture, QUALITY)))
    return path
