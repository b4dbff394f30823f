"""A hole in a real picture of healthy equipment, as large as a real fault, for the generator to paint a fault into.

The hole goes where `transplant` would set that fault. The generator sees a square around it at its own resolution, so
that a small fault on a large picture is painted in detail; of what it paints only the hole comes back, and every pixel
outside stays as the camera gave it.
"""

from dataclasses import dataclass
from typing import TypeVar, cast

import cv2
import numpy as np
import numpy.typing as npt

from augment.models.cut_paste import Fitted
from augment.models.false_colour import Grey, palette_of, temperatures
from edge_runtime.bundle.preprocess import Frame

Pixels = TypeVar("Pixels", Frame, Grey)

CONTEXT = 2.0  # the square's side, in longer sides of the hole


@dataclass(frozen=True)
class Hole:
    """The part of a host that is painted anew, and the square around it; in pixels of the host."""

    fitted: Fitted
    weight: Grey  # (h, w) of the patch's place: 1 inside the fault's box, falling to 0 at the rim
    square: tuple[int, int, int]  # left, top, side; it may reach over the host's rim

    def crop(self, side: int) -> tuple[Frame, npt.NDArray[np.bool_]]:
        """Return the square, (side, side, 3) uint8 BGR, and what of it is painted anew, (side, side)."""
        host = self.fitted.host
        weight = np.zeros(host.shape[:2], np.float32)
        weight[self.fitted.area] = self.weight
        left, top, length = self.square
        rows = np.clip(np.arange(top, top + length), 0, host.shape[0] - 1)
        columns = np.clip(np.arange(left, left + length), 0, host.shape[1] - 1)
        return _scaled(host[np.ix_(rows, columns)], side), _scaled(weight[np.ix_(rows, columns)], side) > 0

    def fill(self, painted: Frame) -> Frame:
        """Return the host with what `painted`, the square, shows in the hole; false colours in the cameras' palette."""
        host, (left, top, length) = self.fitted.host, self.square
        height, width = self.weight.shape
        fresh = _scaled(painted, length)[self.fitted.top - top :, self.fitted.left - left :][:height, :width]
        weight = self.weight[..., None]
        under = host[self.fitted.area]
        mixed = np.where(weight > 0, (weight * fresh + (1 - weight) * under).round(), under).astype(np.uint8)
        palette = palette_of(host, self.fitted.donor)
        if palette.is_false_colour:  # mixed colours would be some that no camera makes
            mixed = palette.recoloured(under, temperatures(under), temperatures(mixed))
        made = host.copy()
        made[self.fitted.area] = mixed
        return made


def hole_for(fitted: Fitted) -> Hole:
    """Return the hole where the fitted patch would go."""
    height, width = fitted.patch.shape[:2]
    rows, columns = fitted.host.shape[:2]
    left, top, right, bottom = fitted.inner
    weight = np.outer(_ramp(height, top, bottom), _ramp(width, left, right)).astype(np.float32)
    longer = max(height, width)
    length = max(longer, min(round(CONTEXT * longer), rows, columns))
    square = (_around(fitted.left, width, length, columns), _around(fitted.top, height, length, rows), length)
    return Hole(fitted, weight, square)


def _ramp(length: int, start: int, stop: int) -> npt.NDArray[np.float64]:
    """Return (length,) weights: 1 from `start` to `stop`, falling to 0 at both ends."""
    return np.interp(np.arange(length), [0, max(1, start), min(length - 2, stop - 1), length - 1], [0, 1, 1, 0])


def _around(start: int, extent: int, length: int, limit: int) -> int:
    """Return where `length` pixels begin that have `extent` from `start` in the middle; within `limit` if they fit."""
    begin = start - (length - extent) // 2
    return begin if length > limit else min(max(begin, 0), limit - length)


def _scaled(image: Pixels, side: int) -> Pixels:
    interpolation = cv2.INTER_AREA if side < image.shape[0] else cv2.INTER_LINEAR
    return cast(Pixels, cv2.resize(image, (side, side), interpolation=interpolation))
