"""Regions of interest: which part of a camera's picture the model sees. Pure."""

from dataclasses import dataclass

from ..bundle.errors import InputError
from ..bundle.preprocess import Frame


@dataclass(frozen=True)
class Region:
    """A rectangle: `left`, `top`, `width`, `height`, all in fractions of the picture (at most 1) or all in pixels."""

    name: str
    left: float
    top: float
    width: float
    height: float

    def __post_init__(self) -> None:
        sides = (self.left, self.top, self.width, self.height)
        if min(sides) < 0 or not self.width or not self.height:
            raise InputError(f"region {self.name} is {sides}; give left and top from 0, width and height above 0")
        if self.in_fractions and (self.left + self.width > 1.0001 or self.top + self.height > 1.0001):
            raise InputError(f"region {self.name} is {sides}, which reaches beyond the picture; keep the sums within 1")
        if not self.in_fractions and any(side != int(side) for side in sides):
            raise InputError(f"region {self.name} is {sides}; give whole pixels, or fractions of at most 1 throughout")

    @property
    def in_fractions(self) -> bool:
        """By its numbers: a region of one pixel makes no sense."""
        return max(self.left, self.top, self.width, self.height) <= 1

    def fits(self, size: tuple[int, int]) -> bool:
        """Whether it lies inside a picture of `size` (height, width) in pixels."""
        return self.in_fractions or (self.left + self.width <= size[1] and self.top + self.height <= size[0])

    def crop(self, frame: Frame) -> Frame:
        """Its part of `frame` uint8 (H, W, 3), at least one pixel, without a copy; InputError where it does not fit."""
        height, width = frame.shape[:2]
        if not self.fits((height, width)):
            raise InputError(
                f"region {self.name} ends at {self.left + self.width:.0f}, {self.top + self.height:.0f}, but the "
                f"picture has {width} x {height} pixels; set the region anew, or in fractions"
            )
        x, y = (width, height) if self.in_fractions else (1, 1)
        left, top = min(round(self.left * x), width - 1), min(round(self.top * y), height - 1)
        right, bottom = round((self.left + self.width) * x), round((self.top + self.height) * y)
        return frame[top : max(bottom, top + 1), left : max(right, left + 1)]
