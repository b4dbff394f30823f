"""The two pictures of an event as JPEG: the clean frame, and the frame with heat map and caption."""

from collections.abc import Sequence

import cv2
import numpy as np

from ..bundle.heads import Array
from ..bundle.manifest import Manifest
from ..bundle.preprocess import Frame
from ..media.heatmap import overlay
from ..media.jpeg import encode_jpeg, mark_own

FRAME_QUALITY = 95  # it may become training data
ANNOTATED_QUALITY = 80  # it is looked at, and often sent over a thin link
ANNOTATED_SIDE = 960  # pixels

_FONT = cv2.FONT_HERSHEY_SIMPLEX


def clean_jpeg(frame: Frame) -> bytes:
    """Return a uint8 (H, W, 3) BGR frame as JPEG, with nothing drawn on it."""
    return encode_jpeg(frame, FRAME_QUALITY)


def annotated_jpeg(frame: Frame, cam: Array, manifest: Manifest, lines: Sequence[str]) -> bytes:
    """Return `frame` under the heat of `cam` (h, w), at most 960 pixels long, above a strip with `lines` of text.

    The `manifest` is of the bundle that gave `cam`.
    """
    picture = overlay(frame, cam, manifest.input, manifest.head.full_heat, ANNOTATED_SIDE)
    return mark_own(encode_jpeg(np.vstack([picture, _caption(picture.shape[1], lines)]), ANNOTATED_QUALITY))


def _caption(width: int, lines: Sequence[str]) -> Frame:
    """Return a strip of text, white on black; each line shrinks to the width."""
    height = 24  # pixels of a line
    strip: Frame = np.zeros((height * len(lines), width, 3), np.uint8)
    for place, line in enumerate(lines):
        plain = line.encode("ascii", "replace").decode()  # the fonts know no more
        natural = cv2.getTextSize(plain, _FONT, 1.0, 1)[0][0]
        scale = min(0.55, (width - 8) / max(natural, 1))
        if scale > 0:
            at = (4, height * place + 17)
            cv2.putText(strip, plain, at, _FONT, scale, (255, 255, 255), 1, cv2.LINE_AA)
    return strip
