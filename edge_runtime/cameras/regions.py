"""Regions of interest: which part of a camera's picture the model sees. Privacy masks: which part nobody sees. Pure.

Masks are painted over before the picture leaves the capture process, so that neither model nor samples, evidence or
live pictures ever have what lies below. What is painted is no picture of anything, and a lens cap below a bright mask
would not be black: the checks of the picture look at a copy in which pixels of the rest stand in its place.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ..bundle.errors import InputError
from ..bundle.preprocess import Frame

ROUNDING = 1e-6  # by which a sum of two fractions may exceed 1
GREY = 128  # of the paint, on the 0..255 scale
MIRRORINGS = 4  # at masks and at the edge of the picture, until what is left in a mask takes its nearest pixel
GRID = 1000  # steps in each direction, by which shares of the picture are measured

Rectangle = tuple[float, float, float, float]
"""x, y, width and height as fractions of the frame."""
Plane = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]


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
    """Return which pixels of a picture are painted over: all that a mask touches."""
    plane: Plane = np.zeros((height, width), np.bool_)
    for left, top, across, down in masks:
        bottom, right = np.ceil((top + down) * height), np.ceil((left + across) * width)
        plane[int(top * height) : int(bottom), int(left * width) : int(right)] = True
    return plane


def paint(image: Frame, masks: tuple[Rectangle, ...]) -> None:
    """Paint over what the masks hide of `image` uint8 (H, W, 3), in place."""
    if masks:
        image[painted(masks, *image.shape[:2])] = GREY


def hidden_share(masks: tuple[Rectangle, ...], region: Region) -> float:
    """Return the share of `region` that the masks hide, 0..1."""
    return float(region.crop(painted(masks, GRID, GRID)[..., None]).mean())  # type: ignore[arg-type]


class Unmasked:
    """Puts pixels of the rest in the place of what masks hide, for measures of the picture as a whole.

    The rest is mirrored at the edge of a mask, as often as it takes: no edge comes into being there, and brightness,
    spread, noise and what share of the picture changes are those of the rest.
    """

    def __init__(self, masks: tuple[Rectangle, ...]) -> None:
        self._masks = masks
        self._size = (0, 0)  # of the frame, for which the two below hold
        self._plane: Plane = np.zeros((0, 0), np.bool_)
        self._mirrored: dict[tuple[int, ...], tuple[Indices, Indices]] = {}  # by the size of a reduced plane

    def plane(self, height: int, width: int) -> Plane:
        """Return which pixels of a frame are painted over."""
        if (height, width) != self._size:
            self._size, self._plane, self._mirrored = (height, width), painted(self._masks, height, width), {}
        return self._plane

    def fill(self, image: Frame, hidden: Plane) -> Frame:
        """Return `image` uint8 (H, W, 3), reduced from a frame, with pixels of the rest where it is `hidden` (H, W)."""
        if hidden.shape not in self._mirrored:
            self._mirrored[hidden.shape] = mirrored(hidden)
        filled = image.copy()
        filled[hidden] = image[self._mirrored[hidden.shape]]
        return filled


def mirrored(hidden: Plane) -> tuple[Indices, Indices]:
    """Return row and column, for each `hidden` pixel of a plane in the order of rows, of the pixel that replaces it."""
    height, width = hidden.shape
    places = np.indices(hidden.shape).transpose(1, 2, 0)  # (H, W, 2)
    if hidden.all():
        return tuple(places[hidden].T)
    _, labels = cv2.distanceTransformWithLabels(
        hidden.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    free = np.zeros((int(labels.max()) + 1, 2), np.intp)
    free[labels[~hidden]] = places[~hidden]
    nearest = free[labels]
    seen = places[hidden]
    for _ in range(MIRRORINGS):
        beyond = 2 * nearest[tuple(seen.T)] - seen
        beyond = np.where(beyond < 0, -beyond, beyond)
        last = np.array([height - 1, width - 1])
        seen = np.clip(np.where(beyond > last, 2 * last - beyond, beyond), 0, last)
    seen = nearest[tuple(seen.T)]  # what is in a mask still
    return seen[:, 0], seen[:, 1]
