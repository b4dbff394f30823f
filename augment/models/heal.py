"""A fault picture with its faults removed: the counterfactual that teaches a classifier to look at the fault.

A picture with a fault and the same picture without it differ in nothing but the fault, so that a score which rests on
the surroundings cannot tell them apart. False-colour pictures are cooled in their temperature channel; others are
painted over, by a generator (`stages.generate`) or, where there is none, by OpenCV.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from augment.models.false_colour import Box, Grey, Palette, temperatures
from edge_runtime.bundle.preprocess import Frame

KEPT_HEAT = 0.12  # of what a spot is hotter than its surroundings: a healthy joint is a little warm too
RING = 0.5  # of a box's sides, the width of the ring around it that says how warm the equipment is
LEAST_RING = 6  # pixels
WARM_PERCENTILE = 75  # of the ring's temperatures: the median of its warmer half, the equipment without the sky
RIM = 0.12  # of a box's shorter side, over which cooling fades out beyond the box
LEAST_RIM = 2  # pixels


def cooled(frame: Frame, boxes: Sequence[Box], palette: Palette) -> Frame:
    """Return a false-colour picture, uint8 (H, W, 3) BGR, with what is hot in each box cooled towards its ring."""
    before = temperatures(frame)
    inside = np.zeros(before.shape, bool)
    for box in boxes:
        inside[_area(before.shape, box, 0)] = True
    after = before.copy()
    for box in boxes:
        weight = _fading(before.shape, box)
        usual = _ring_level(before, inside, box)
        lowered = usual + KEPT_HEAT * (before - usual)
        after = np.where(before > usual, np.minimum(after, before + weight * (lowered - before)), after)
    return palette.recoloured(frame, before, after.astype(np.float32))


def _ring_level(levels: Grey, inside: npt.NDArray[np.bool_], box: Box) -> float:
    ring = np.zeros(levels.shape, bool)
    ring[_area(levels.shape, box, max(LEAST_RING, RING * min(box[2:])))] = True
    ring &= ~inside
    around = levels[ring] if ring.any() else levels.ravel()
    split, _ = cv2.threshold(around.astype(np.uint8), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return float(np.median(around[around > split]) if (around > split).any() else split)


def _area(shape: tuple[int, ...], box: Box, margin: float) -> tuple[slice, slice]:
    x, y, width, height = box
    rows = slice(max(0, int(y - margin)), min(shape[0], int(np.ceil(y + height + margin))))
    columns = slice(max(0, int(x - margin)), min(shape[1], int(np.ceil(x + width + margin))))
    return rows, columns


def _fading(shape: tuple[int, ...], box: Box) -> Grey:
    """Return (H, W) weights: 1 in the box, falling to 0 within the rim around it."""
    rim = max(LEAST_RIM, RIM * min(box[2:]))
    outside = np.ones(shape, np.uint8)
    outside[_area(shape, box, 0)] = 0
    distance = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(np.clip(1 - distance / (rim + 1), 0, 1), np.float32)
