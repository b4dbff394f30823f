"""Regions of interest: which part of a camera's picture the model sees. Pure."""

from dataclasses import dataclass

from ..bundle.errors import InputError
from ..bundle.preprocess import Frame

ROUNDING = 1e-6  # by which a sum of two fractions may exceed 1


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
                f"the region {[self.x, self.y, self.width, self.height]} leaves the picture; "
                "expected x, y, width, height as fractions of the frame, from 0 to 1"
            )

    def crop(self, image: Frame) -> Frame:
        """Return this part of `image` uint8 (H, W, 3), at least one pixel, without a copy."""
        height, width = image.shape[:2]
        left, top = min(round(self.x * width), width - 1), min(round(self.y * height), height - 1)
        right, bottom = round((self.x + self.width) * width), round((self.y + self.height) * height)
        return image[top : max(bottom, top + 1), left : max(right, left + 1)]
