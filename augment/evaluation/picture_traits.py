"""What can be known of a picture without looking at what it shows: how its file was made, saved, dated and framed.

A network that learns on pictures sees most of these too: the marks of a camera, of a compression, of a border.
"""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from augment.data.image_store import resize_by_area
from edge_runtime.media.jpeg import encode_jpeg

Traits: TypeAlias = dict[str, float | str]

QUALITY = 90  # of the JPEG beside which a file's bytes are counted
SHARPNESS_SIDE = 256  # pixels of the longer side
_EVEN = 8  # grey levels: a border's line varies by no more
_STEP = 24  # grey levels: so far the picture beside a border differs from it, along most of the line
_MOST = 0.6
_GRID = 8  # pixels: the blocks of JPEG
# The luminance table of the JPEG standard at quality 50 (ITU T.81, table K.1), in zigzag order, sums to this.
_STANDARD_SUM = 3688
# EXIF tags, and the directories that hold more of them.
_MAKE, _MODEL, _SOFTWARE, _CHANGED, _PHOTO, _PLACE = 0x010F, 0x0110, 0x0131, 0x0132, 0x8769, 0x8825
_TAKEN, _SERIAL = 0x9003, 0xA431


def traits_of(path: Path, frame: NDArray[np.uint8]) -> Traits:
    """Return the traits of one file, whose picture is `frame`, uint8 (H, W, 3) BGR. Texts are "" where it has none."""
    height, width = frame.shape[:2]
    size = path.stat().st_size
    traits: Traits = {
        "bytes": round(size / max(len(encode_jpeg(frame, QUALITY)), 1), 3),
        "pixels": float(height * width),
        "aspect": round(width / height, 3),
        **_borders(frame),
        "blocks": round(blocking(frame), 3),
    }
    return traits | _container(path) | _content(frame)


# The file


def _container(path: Path) -> Traits:
    """Return what Pillow reads from the head of a file; no pixel is decoded."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # large pictures and odd EXIF are no news here
            with Image.open(path) as image:
                return {"format": image.format or "", "mode": image.mode, **_jpeg(image), **_exif(image)}
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return {"format": path.suffix.lower().removeprefix(".")}


def _jpeg(image: Image.Image) -> Traits:
    tables: Mapping[int, Any] = getattr(image, "quantization", None) or {}
    if not tables:
        return {}
    total = sum(tables[min(tables)])
    layers = getattr(image, "layer", [])
    return {
        "quality": float(round(quality_of(total), 1)),
        "sampling": " ".join(f"{layer[1]}x{layer[2]}" for layer in layers),
        "progressive": "yes" if image.info.get("progressive") else "no",
    }


def quality_of(total: float) -> float:
    """Return the quality (1 to 100) of a JPEG from the sum of its luminance table, as libjpeg scales it."""
    scale = 100 * total / _STANDARD_SUM
    return max(1.0, (200 - scale) / 2 if scale <= 100 else 5000 / scale)


def _exif(image: Image.Image) -> Traits:
    exif = image.getexif()
    if not exif:
        return {"EXIF": "no"}
    photo, place = exif.get_ifd(_PHOTO), exif.get_ifd(_PLACE)
    taken = _text(photo.get(_TAKEN)) or _text(exif.get(_CHANGED))
    traits: Traits = {
        "EXIF": "yes",
        "camera": f"{_text(exif.get(_MAKE))} {_text(exif.get(_MODEL))}".strip(),
        "serial": _text(photo.get(_SERIAL)),
        "software": _text(exif.get(_SOFTWARE)),
        "place": _degrees(place),
    }
    if date := re.match(r"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d)", taken):
        year, month, day, hour, minute = date.groups()
        traits |= {"day": f"{year}-{month}-{day}", "hour": round(int(hour) + int(minute) / 60, 2)}
    return traits


def _text(value: object) -> str:
    return value.strip("\0 ") if isinstance(value, str) else ""


def _degrees(place: Mapping[int, Any]) -> str:
    """Return latitude and longitude to a thousandth of a degree, some 100 m; "" where EXIF has none."""
    try:
        found = []
        for sign, value in ((place[1], place[2]), (place[3], place[4])):
            degrees = sum(float(part) / 60**at for at, part in enumerate(value))
            found.append(f"{-degrees if sign in ('S', 'W') else degrees:.3f}")
        return " ".join(found)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return ""


# The frame


def _borders(frame: NDArray[np.uint8]) -> Traits:
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    return {
        "borders above or below": round((_border(grey) + _border(grey[::-1])) / grey.shape[0], 3),
        "borders at the sides": round((_border(grey.T) + _border(grey.T[::-1])) / grey.shape[1], 3),
    }


def _border(grey: NDArray[np.uint8]) -> int:
    """Count the rows from the first on that are a border: even, of one grey, and ending in a step.

    A clear sky ends softly, or in the tip of something, so it is none.
    """
    even = np.ptp(grey, axis=1) <= _EVEN
    rows = int(np.argmin(even)) if not even.all() else 0
    if rows == 0:
        return 0
    level = float(np.median(grey[:rows]))
    beside = grey[rows : rows + 3].astype(np.float32)  # a compressed border blurs by a pixel or two
    step = np.abs(beside - level).max(axis=0) >= _STEP
    return rows if step.mean() >= _MOST else 0


def blocking(frame: NDArray[np.uint8]) -> float:
    """Return how much larger the steps across the grid of JPEG blocks are than others: 1 where there is no grid."""
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY).astype(np.float32)
    ratios = []
    for steps in (np.abs(np.diff(grey, axis=1)).mean(axis=0), np.abs(np.diff(grey, axis=0)).mean(axis=1)):
        on_grid = np.arange(len(steps)) % _GRID == _GRID - 1
        if on_grid.sum() >= 2:
            ratios.append((steps[on_grid].mean() + 0.1) / (steps[~on_grid].mean() + 0.1))
    return float(np.mean(ratios)) if ratios else 1.0


def _content(frame: NDArray[np.uint8]) -> Traits:
    """Return what a glance tells: colour, light, contrast, sharpness. These may well belong to what is shown."""
    height, width = frame.shape[:2]
    scale = min(1.0, SHARPNESS_SIDE / max(height, width))
    small = resize_by_area(frame, max(1, round(width * scale)), max(1, round(height * scale)))
    grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
    blue, green, red = (float(mean) for mean in small.reshape(-1, 3).mean(axis=0))
    return {
        "redness": round(red - green, 1),
        "blueness": round(blue - green, 1),
        "brightness": round(float(grey.mean()), 1),
        "contrast": round(float(grey.std()), 1),
        "sharpness": round(float(np.log1p(cv2.Laplacian(grey, cv2.CV_32F).var())), 2),
    }
