"""Regions of interest: which part of a camera's picture the model sees. Privacy masks: which part nobody sees. Pure.

Masks are painted over before the picture leaves the capture process, so that neither model nor samples, evidence or
live pictures ever have what lies below. What is painted is no picture of anything, and a lens cap below a bright mask
would not be black: the checks of the picture look at a copy in which pixels of the rest stand in its place.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ..bundle.errors import InputError
from ..bundle.preprocess import Frame

ROUNDING = 1e-6  # by which a sum of two fractions may exceed 1
GREY = 128  # of the paint, on the 0..255 scale
MIRRORINGS = 4  # at masks and at the edge of the picture, until what is left in a mask takes its nearest pixel
MOST_SIZES = 8  # that are remembered: a folder may hold pictures of several
GRID = 1000  # steps in each direction, by which shares of the picture are measured

Rectangle = tuple[float, float, float, float]
"""x, y, width and height as fractions of the frame."""
Plane = npt.NDArray[np.uint8]
Sources = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Region:
    """A rectangle from its left upper corner `x`, `y`; all four numbers are fractions of the picture."""

    name: str
    x: float
    y: float
    width: float
    height: float

    def __post_init__(self) -> None:
        right, bottom = self.x + self.width, self.y + self.height
        if min(self.x, self.y) < 0 or min(self.width, self.height) <= 0 or max(right, bottom) > 1 + ROUNDING:
            raise InputError(
                f"the {self.name.partition('-')[0]} {[self.x, self.y, self.width, self.height]} leaves the picture; "
                "expected x, y, width, height as fractions of the frame, from 0 to 1"
            )

    def crop(self, image: Frame) -> Frame:
        """Return this part of `image` uint8 (H, W, 3), at least one pixel, without a copy."""
        height, width = image.shape[:2]
        left, top = min(round(self.x * width), width - 1), min(round(self.y * height), height - 1)
        right, bottom = round((self.x + self.width) * width), round((self.y + self.height) * height)
        return image[top : max(bottom, top + 1), left : max(right, left + 1)]


def painted(masks: tuple[Rectangle, ...], height: int, width: int) -> Plane:
    """Return a plane (height, width) of a picture: 255 where it is painted over, which is all that a mask touches."""
    plane: Plane = np.zeros((height, width), np.uint8)
    _paint(plane, masks, 255)
    return plane


def paint(image: Frame, masks: tuple[Rectangle, ...]) -> None:
    """Paint over what the masks hide of `image` uint8 (H, W, 3), in place."""
    _paint(image, masks, GREY)


def _paint(image: Plane, masks: tuple[Rectangle, ...], level: int) -> None:
    height, width = image.shape[:2]
    for left, top, across, down in masks:
        bottom, right = np.ceil((top + down) * height), np.ceil((left + across) * width)
        image[int(top * height) : int(bottom), int(left * width) : int(right)] = level


def hidden_share(masks: tuple[Rectangle, ...], region: Region) -> float:
    """Return the share of `region` that the masks hide, 0..1."""
    return float(region.crop(painted(masks, GRID, GRID)).mean()) / 255


class Unmasked:
    """Puts pixels of the rest in the place of what masks hide, for measures of the picture as a whole.

    The rest is mirrored at the edge of a mask, as often as it takes: no edge comes into being there, and brightness,
    spread, noise and what share of the picture changes are those of the rest.
    """

    def __init__(self, masks: tuple[Rectangle, ...]) -> None:
        self._masks = masks
        self._sources: dict[tuple[int, ...], Sources] = {}  # by the sizes of the frame and of what was made of it

    def fill(self, small: Frame, size: tuple[int, int], reduce: Callable[[Plane], Plane]) -> Frame:
        """Return `small` uint8 (h, w, 3), which `reduce` made of a frame of `size`, height and width, with the rest."""
        key = (*size, *small.shape)
        if key not in self._sources:
            if len(self._sources) >= MOST_SIZES:
                self._sources.clear()
            self._sources[key] = mirrored(reduce(painted(self._masks, *size)) > 0)
        filled: Frame = cv2.remap(small, self._sources[key], None, cv2.INTER_NEAREST)
        return filled


def mirrored(hidden: npt.NDArray[np.bool_]) -> Sources:
    """Return (h, w, 2) column and row of the pixel that each pixel shows: its own where it is not `hidden` (h, w)."""
    height, width = hidden.shape
    seen = np.indices(hidden.shape).transpose(1, 2, 0)
    if not hidden.all():
        _, labels = cv2.distanceTransformWithLabels(
            hidden.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
        )
        free = np.zeros((int(labels.max()) + 1, 2), np.intp)
        free[labels[~hidden]] = seen[~hidden]
        nearest = free[labels]  # pixel that is not hidden
        last = np.array([height - 1, width - 1])
        for _ in range(MIRRORINGS):
            beyond = np.abs(2 * nearest[seen[..., 0], seen[..., 1]] - seen)
            seen = np.clip(np.where(beyond > last, 2 * last - beyond, beyond), 0, last)
        seen = nearest[seen[..., 0], seen[..., 1]]  # what is in a mask still
    return np.ascontiguousarray(seen[..., ::-1]).astype(np.int16)
