"""Reads HEIC, the format of many phones, where the optional library pillow-heif is installed: the extra `heic`.

The library turns a picture upright by the file's own transformations; an EXIF orientation beside them says the same
once more and must not be applied again (ISO/IEC 23008-12, 6.5.10). Ten and twelve bits become eight.
"""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..bundle.errors import InputError
from ..bundle.preprocess import Frame
from .image_headers import too_large
from .iso_boxes import boxes

_ERRORS = (ValueError, OSError, EOFError, RuntimeError, SyntaxError, KeyError)  # of the library, for damaged files
DAMAGED = "is a damaged HEIC (cut off?) or of an unknown variant; copy it again, or save it as JPEG"


def read_heic(data: bytes, most_pixels: int) -> Iterator[Frame | InputError]:
    """Yield each picture of the file, the main one first, as uint8 (H, W, 3) BGR, or why it cannot be had.

    Thumbnails, depth maps and gain maps are no pictures of their own. A picture is decoded when it is asked for.
    """
    import pillow_heif

    try:
        opened = pillow_heif.open_heif(data, convert_hdr_to_8bit=True)
        main = opened.primary_index
        images = [opened[main], *(image for place, image in enumerate(opened) if place != main)]
    except _ERRORS:
        yield InputError(DAMAGED)
        return
    for image in images:
        refused = too_large(*image.size, most_pixels)
        yield InputError(refused) if refused else _frame(image)


def _frame(image: Any) -> Frame | InputError:
    try:
        pixels = np.asarray(image)
    except _ERRORS:
        return InputError(DAMAGED)
    grey = pixels.ndim == 2 or pixels.shape[2] < 3
    planes = [pixels.reshape(*pixels.shape[:2], -1)[..., place] for place in ((0, 0, 0) if grey else (2, 1, 0))]
    return np.stack(planes, axis=-1)


def film_in(data: bytes) -> int | None:
    """Return where the film of a motion photo begins: the content of the box `mpvd`; None without one."""
    return next((start + 8 for start, _, kind in boxes(io.BytesIO(data), len(data)) if kind == b"mpvd"), None)
