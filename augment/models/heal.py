"""A fault picture with its faults removed: the counterfactual that teaches a classifier to look at the fault.

A picture with a fault and the same picture without it differ in nothing but the fault, so that a score which rests on
the surroundings cannot tell them apart. False-colour pictures are cooled in their temperature channel; others are
painted over, by a generator (`stages.generate`) or, where there is none, by OpenCV.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from augment.models.false_colour import Box, Grey, Palette, palette_of, parted, temperatures
from edge_runtime.bundle.preprocess import Frame

COOLED, PAINTED_OVER = "cooled", "inpainted by OpenCV"  # how a picture was healed, as its record says
KEPT_HEAT = 0.12  # of what a spot is hotter than its surroundings: a healthy joint is a little warm too
RING = 0.5  # of a box's shorter side, the width of the ring around it that says how warm the equipment is
LEAST_RING = 6  # pixels
RIM = 0.12  # of a box's shorter side, over which healing fades out beyond the box
LEAST_RIM = 2  # pixels
REACH = 5.0  # pixels around a hole from which OpenCV takes the colours for each pixel in it


def healed(frame: Frame, boxes: Sequence[Box], amplitude: float = 1.0) -> tuple[Frame, str]:
    """Return `frame`, uint8 (H, W, 3) BGR, without what `boxes` hold, and how: COOLED or PAINTED_OVER.

    Beyond the boxes and their rims every byte stays. `amplitude` 0 leaves the picture as it is.
    """
    palette = palette_of(frame)
    if palette.is_false_colour:
        return cooled(frame, boxes, palette, amplitude), COOLED
    return _painted_over(frame, boxes, amplitude), PAINTED_OVER


def cooled(frame: Frame, boxes: Sequence[Box], palette: Palette, amplitude: float = 1.0) -> Frame:
    """Return a false-colour picture with what is hot in each box cooled towards the equipment around the box."""
    before = temperatures(frame)
    inside = np.zeros(before.shape, bool)
    for box in boxes:
        inside[box_area(before.shape, box)] = True
    after = before.copy()
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
    ring[box_area(levels.shape, box, max(LEAST_RING, RING * min(box[2:])))] = True
    ring &= ~inside
    return parted(levels[ring] if ring.any() else levels)[2]


def _fading(shape: tuple[int, ...], box: Box) -> Grey:
    """Return (H, W) weights: 1 in the box, falling to 0 within the rim around it."""
    outside = np.ones(shape[:2], np.uint8)
    outside[box_area(shape, box)] = 0
    distance = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(np.clip(1 - distance / (1 + max(LEAST_RIM, RIM * min(box[2:]))), 0, 1), np.float32)


def _painted_over(frame: Frame, boxes: Sequence[Box], amplitude: float) -> Frame:
    weight = np.max([_fading(frame.shape, box) for box in boxes], axis=0)
    painted = cv2.inpaint(frame, (weight > 0).astype(np.uint8), REACH, cv2.INPAINT_TELEA)
    part = amplitude * weight[..., None]
    return np.asarray(((1 - part) * frame + part * painted).round().astype(np.uint8))
