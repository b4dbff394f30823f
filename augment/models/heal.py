"""A fault picture with its faults removed: the counterfactual that teaches a classifier to look at the fault.

A picture with a fault and the same picture without it differ in nothing but the fault, so that a score which rests on
the surroundings cannot tell them apart. False-colour pictures are cooled in their temperature channel; others are
painted over by a generator (`stages.generate`). Where there is none, what a box holds is covered with a part of the
same picture whose surroundings are alike. It is never inpainted by OpenCV: that is what the paint-out test does, which
would be no test if its smudges had been taught as healthy.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from augment.models.false_colour import Box, Grey, Palette, palette_of, parted, temperatures
from edge_runtime.bundle.preprocess import Frame

# How a picture was healed, as its record says.
COOLED, PATCHED = "cooled", "patched from elsewhere in the picture"
KEPT_HEAT = 0.12  # of what a spot is hotter than its surroundings: a healthy joint is a little warm too
RING = 0.5  # of a box's shorter side, the width of the ring around it that says how warm the equipment is
LEAST_RING = 6  # pixels
RIM = 0.12  # of a box's shorter side, over which healing fades out beyond the box
LEAST_RIM = 2  # pixels


def healed(frame: Frame, boxes: Sequence[Box], amplitude: float = 1.0) -> tuple[Frame | None, str]:
    """Return `frame`, uint8 (H, W, 3) BGR, without what `boxes` hold, and how it was healed.

    None where no other part of a picture is large enough to cover a box. Beyond the boxes and their rims every byte
    stays. `amplitude` 0 leaves the picture as it is.
    """
    palette = palette_of(frame)
    if palette.is_false_colour:
        return cooled(frame, boxes, palette, amplitude), COOLED
    covered, inside = frame, _inside(frame.shape, boxes)
    for box in boxes:
        cover = _alike(covered, inside, box)
        if cover is None:
            return None, PATCHED
        weight = _fading(frame.shape, box)[..., None]
        covered = (covered + weight * (cover - covered)).round().astype(np.uint8)
    return cv2.addWeighted(covered, amplitude, frame, 1 - amplitude, 0), PATCHED


def cooled(frame: Frame, boxes: Sequence[Box], palette: Palette, amplitude: float = 1.0) -> Frame:
    """Return a false-colour picture with what is hot in each box cooled towards the equipment around the box."""
    before = temperatures(frame)
    inside, after = _inside(before.shape, boxes), before.copy()
    for box in boxes:
        usual = _warmth_around(before, inside, box)
        lowered = before - amplitude * _fading(before.shape, box) * (1 - KEPT_HEAT) * (before - usual)
        after = np.where(before > usual, np.minimum(after, lowered), after)
    return palette.recoloured(frame, before, after.astype(np.float32))


def box_area(shape: tuple[int, ...], box: Box, margin: float = 0) -> tuple[slice, slice]:
    """Return the rows and columns of a picture of `shape` (H, W, ...) that a box with a margin touches."""
    x, y, width, height = box
    rows = slice(max(0, int(y - margin)), min(shape[0], int(np.ceil(y + height + margin))))
    columns = slice(max(0, int(x - margin)), min(shape[1], int(np.ceil(x + width + margin))))
    return rows, columns


def _warmth_around(levels: Grey, inside: npt.NDArray[np.bool_], box: Box) -> float:
    """Return the median temperature of the warm part of a box's ring: of the equipment and not the sky.

    Otsu's threshold parts the two, for a ring around a thin conductor is sky nearly all over.
    """
    ring = np.zeros(levels.shape, bool)
    ring[_with_ring(levels.shape, box)] = True
    ring &= ~inside
    return parted(levels[ring] if ring.any() else levels)[2]


def _fading(shape: tuple[int, ...], box: Box) -> Grey:
    """Return (H, W) weights: 1 in the box, falling to 0 within the rim around it."""
    outside = np.ones(shape[:2], np.uint8)
    outside[box_area(shape, box)] = 0
    distance = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(np.clip(1 - distance / (1 + max(LEAST_RIM, RIM * min(box[2:]))), 0, 1), np.float32)


def _inside(shape: tuple[int, ...], boxes: Sequence[Box]) -> npt.NDArray[np.bool_]:
    """Return (H, W): what any of the boxes holds."""
    inside = np.zeros(shape[:2], bool)
    for box in boxes:
        inside[box_area(shape, box)] = True
    return inside


def _with_ring(shape: tuple[int, ...], box: Box) -> tuple[slice, slice]:
    return box_area(shape, box, max(LEAST_RING, RING * min(box[2:])))


def _alike(frame: Frame, inside: npt.NDArray[np.bool_], box: Box) -> npt.NDArray[np.float32] | None:
    """Return `frame` (H, W, 3) as float, its box and ring covered by the part without faults whose ring is most alike.

    It is as bright as the ring of the box. None where there is no such part.
    """
    area = _with_ring(frame.shape, box)
    hidden = inside[area]
    height, width = hidden.shape
    faults = cv2.integral(inside.astype(np.uint8))
    free = (
        faults[height:, width:] - faults[height:, :-width] - faults[:-height, width:] + faults[:-height, :-width] == 0
    )
    if not free.any() or hidden.all():
        return None
    ring = (~hidden).astype(np.float32)
    difference = cv2.matchTemplate(frame, np.ascontiguousarray(frame[area]), cv2.TM_SQDIFF, mask=np.dstack([ring] * 3))
    top, left = np.unravel_index(int(np.where(free, difference, np.inf).argmin()), free.shape)
    part = frame[top : top + height, left : left + width].astype(np.float32)
    cover = frame.astype(np.float32)
    cover[area] = np.clip(part + (cover[area][~hidden] - part[~hidden]).mean(axis=0), 0, 255)
    return cover
