"""What each cell of a map is to learn, from the boxes around the faults of a picture."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

CellTargets = npt.NDArray[np.int8]
POSITIVE, NEGATIVE, IGNORED = 1, 0, -1


def cell_targets(boxes: Sequence[Sequence[float]], shape: tuple[int, int], size: tuple[int, int]) -> CellTargets:
    """Return int8 (h, w), what each cell of a map of `shape` (h, w) is for an input of `size` (height, width) pixels.

    `boxes` are x, y, width, height in pixels of the input. A cell is POSITIVE where its centre lies in a box, and so is
    the cell that holds a box's centre, so that no fault is too small to have one. It is IGNORED where a box only
    touches it: whether it shows the fault is open. All others are NEGATIVE.
    """
    height, width = size[0] / shape[0], size[1] / shape[1]  # of a cell, in pixels
    tops, lefts = np.arange(shape[0]) * height, np.arange(shape[1]) * width
    rows, columns = tops + height / 2, lefts + width / 2  # the centres
    inside, touched = np.zeros(shape, bool), np.zeros(shape, bool)
    for x, y, across, down in boxes:
        right, bottom = x + across, y + down
        inside |= np.outer((rows >= y) & (rows < bottom), (columns >= x) & (columns < right))
        touched |= np.outer((tops < bottom) & (tops + height > y), (lefts < right) & (lefts + width > x))
        row, column = int((y + down / 2) // height), int((x + across / 2) // width)
        if 0 <= row < shape[0] and 0 <= column < shape[1]:  # else the box lies outside, as in a tile that it misses
            inside[row, column] = True
    return np.where(inside, POSITIVE, np.where(touched, IGNORED, NEGATIVE)).astype(np.int8)
