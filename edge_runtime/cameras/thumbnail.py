"""A small picture of a frame, made once, that the health checks and the change gate share. Pure."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ..bundle.preprocess import Frame
from .regions import Unmasked

Plane = npt.NDArray[np.float32]
WIDTH, HEIGHT = 160, 90  # pixels of the thumbnail, whatever the frame's shape
ROWS = 64  # whole rows that are kept for exact comparison: an on-screen clock's digits span several


@dataclass(frozen=True)
class Thumbnail:
    """What the checks need of one frame.

    `luma` (90, 160) float32 in grey levels; `chroma`, the mean distance of a pixel's strongest and weakest colour;
    `rows` (about 64, W, 3) uint8, every n-th row as it came; `size` height and width of the frame in pixels.
    """

    luma: Plane
    chroma: float
    rows: npt.NDArray[np.uint8]
    size: tuple[int, int]


def thumbnail_of(image: Frame, unmasked: Unmasked | None = None) -> Thumbnail:
    """Return the thumbnail of an `image` uint8 (H, W, 3) BGR, of whose memory it keeps nothing.

    Each of its pixels is the average of four sampled points, which lowers the sensor's noise. `unmasked` is of the
    camera's masks, where it has any: the thumbnail shows the rest alone.
    """
    height, width = image.shape[:2]
    sampled, rows = _sampled(image), _rows(image)
    if unmasked is not None:
        sampled = unmasked.fill(sampled, (height, width), _sampled)
        rows = unmasked.fill(rows, (height, width), _rows)
    grey = cv2.cvtColor(sampled, cv2.COLOR_BGR2GRAY).astype(np.float32)
    luma = cv2.resize(grey, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    blue, green, red = cv2.split(cv2.resize(sampled, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA))
    strongest = cv2.max(cv2.max(blue, green), red)
    weakest = cv2.min(cv2.min(blue, green), red)
    chroma = cv2.mean(cv2.subtract(strongest, weakest))[0]
    return Thumbnail(luma, float(chroma), rows, (height, width))


def _sampled(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    sampled: npt.NDArray[np.uint8] = cv2.resize(image, (2 * WIDTH, 2 * HEIGHT), interpolation=cv2.INTER_NEAREST)
    return sampled


def _rows(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return image[:: max(1, image.shape[0] // ROWS)].copy()  # the image may lie in memory that changes


def temporal_noise(now: Plane, before: Plane) -> float:
    """Return the standard deviation of a thumbnail's noise in grey levels.

    Movement in less than half of the picture does not count.
    """
    change = (now - before)[::3, ::3]  # a ninth of the pixels is enough for two medians
    change = change - np.median(change)  # a change of light is not noise
    return float(np.median(np.abs(change))) * 1.4826 / 2**0.5
