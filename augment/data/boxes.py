"""Boxes around what makes an image what its label says: what a file states, and what that is in the image's pixels."""

from dataclasses import dataclass
from typing import Any

from edge_runtime.bundle.errors import InputError

CLICK = 2.0  # pixels; a box with a shorter side marks a point and holds no fault
LEAST_SIDE = 1.0  # pixels; below, a box stands for fractions taken for pixels, or for a slip of the mouse
ROUNDING = 1.0  # pixels by which tools draw over the border without meaning it
STICKS_OUT = "sticks out and is cut at the border"


@dataclass(frozen=True)
class DrawnBox:
    """A box as its file states it, from the top left corner; `where` names file and line for messages.

    The numbers are pixels of the upright image, or `fractions` of its width and height. `name` is the class that the
    file gives the box, `picture` the width and height of the image that it was drawn on; "" and None: not stated.
    """

    x: float
    y: float
    width: float
    height: float
    where: str
    name: str = ""
    fractions: bool = False
    picture: tuple[int, int] | None = None

    def stated(self) -> list[Any]:
        """Return what the file says, wherever it lies, as JSON; of a manifest's box its four numbers."""
        numbers = [self.x, self.y, self.width, self.height]
        more = [self.name, self.fractions, list(self.picture or ())]
        return [*numbers, *more] if any(more) else numbers

    def pixels(self, width: int, height: int) -> tuple[list[float], str]:
        """Return x, y, width and height in pixels of an upright image of `width` x `height`, and a note or "".

        What sticks out is cut off, which the note says. Raises InputError for a box that cannot be one of this image.
        """
        if self.picture not in (None, (width, height)):
            across, down = self.picture or (0, 0)
            raise InputError(
                f"{self.where}: drawn on an image of {across} x {down} pixels, but the image has {width} x {height} "
                "when it stands upright; draw the boxes on the image as it is now"
            )
        numbers = [self.x, self.y, self.width, self.height]
        if self.fractions:
            numbers = [round(number * side, 2) for number, side in zip(numbers, (width, height) * 2, strict=True)]
        left, top = max(numbers[0], 0.0), max(numbers[1], 0.0)
        right, bottom = min(numbers[0] + numbers[2], width), min(numbers[1] + numbers[3], height)
        if right <= left or bottom <= top:
            raise InputError(
                f"{self.where}: box {_listed(numbers)} lies outside the image of {width} x {height} pixels"
            )
        if min(numbers[2:]) < LEAST_SIDE:
            raise InputError(
                f"{self.where}: box {_listed(numbers)} (x, y, width, height) is less than a pixel; "
                "expected pixels of the image, not fractions of it"
            )
        if min(numbers[2:]) < CLICK:
            raise InputError(
                f"{self.where}: box {_listed(numbers)} (x, y, width, height) is hardly a pixel, a click rather than a "
                "box; draw it around the fault"
            )
        over = max(left - numbers[0], top - numbers[1], sum(numbers[::2]) - right, sum(numbers[1::2]) - bottom)
        if over <= 0:
            return numbers, ""
        cut = [left, top, right - left, bottom - top]
        return cut, f"box {_listed(numbers)} {STICKS_OUT}" if over > ROUNDING else ""


def _listed(numbers: list[float]) -> str:
    return ", ".join(f"{number:g}" for number in numbers)
