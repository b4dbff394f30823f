"""Heat maps: the class-activation map drawn over the picture, to show where the evidence for the label lies."""

import hashlib
import os
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ..bundle.errors import UnavailableError, os_errors_as
from ..bundle.files import replace_file
from ..bundle.preprocess import Frame
from .jpeg import encode_jpeg

MAX_SIDE = 1600  # pixels; enough to see, small enough to send
OPACITY = 0.6  # of the hottest spot; the colder, the clearer
QUALITY = 90  # of the written JPEG


def overlay(frame: Frame, cam: npt.NDArray[np.floating], max_side: int = MAX_SIDE) -> Frame:
    """Draw `cam` (h, w) of one label over `frame` uint8 (H, W, 3) BGR, scaled down to `max_side` pixels where larger.

    Heat is the positive evidence relative to its maximum: 0 shows the picture, 1 the hottest colour. The picture turns
    grey, because a thermal camera's own false colours would drown any other.
    """
    scale = min(1.0, max_side / max(frame.shape[:2]))
    size = (max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale)))
    grey = cv2.cvtColor(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    heat = cv2.resize(np.maximum(cam, 0).astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    heat = np.clip(heat / max(float(heat.max()), 1e-12), 0, 1)
    colours = cv2.applyColorMap((heat * 225).astype(np.uint8), cv2.COLORMAP_TURBO)  # its last tenth is dark again
    weight = (heat * OPACITY)[..., None]
    blended: Frame = (grey[..., None] * (1 - weight) + colours * weight).round().astype(np.uint8)
    return blended


def write_overlay(folder: Path, source: Path, frame_number: int | None, picture: Frame) -> Path:
    """Write a JPEG into `folder`, named after `source` and unique for its whole path and frame number."""
    key = hashlib.sha256(os.fsencode(source.absolute())).hexdigest()[:10]
    part = "" if frame_number is None else f"-{frame_number:06d}"
    path = folder / f"{source.stem[:40]}-{key}{part}.jpg"
    with os_errors_as(UnavailableError, f"the heat-map {path} cannot be written", "choose another folder"):
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(path, encode_jpeg(picture, QUALITY))
    return path
