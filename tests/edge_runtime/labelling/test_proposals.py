import numpy as np
import pytest

from edge_runtime.bundle.preprocess import PreprocessSpec
from edge_runtime.labelling.proposals import box_of

SPEC = PreprocessSpec(96, 96, "letterbox")


def spot(rows: slice, columns: slice, size: int = 12) -> np.ndarray:
    found = np.zeros((size, size), np.float32)
    found[rows, columns] = 1.0
    return found


def test_the_box_lies_around_the_peak_in_pixels_of_the_picture():
    # The picture of 192 x 192 fills the canvas: a cell of the map is 16 pixels of it.
    x, y, width, height = box_of(spot(slice(4, 6), slice(7, 10)), SPEC, (192, 192))
    assert (x, y) == pytest.approx((7 * 16, 4 * 16), abs=6)
    assert (width, height) == pytest.approx((3 * 16, 2 * 16), abs=10)


def test_the_bars_beside_a_narrow_picture_are_no_part_of_it():
    # 96 x 192 (height, width) lies in the middle half of the canvas: rows 3 to 8 of the map.
    x, y, _, height = box_of(spot(slice(3, 5), slice(0, 2)), SPEC, (96, 192))
    assert (x, y) == pytest.approx((0, 0), abs=3)
    assert height == pytest.approx(2 * 16, abs=8)


def test_a_second_spot_that_is_not_connected_stays_out():
    found = spot(slice(1, 3), slice(1, 3)) + 0.8 * spot(slice(9, 11), slice(9, 11))
    x, y, width, height = box_of(found, SPEC, (96, 96))
    assert max(x + width, y + height) < 48


def test_a_map_without_evidence_has_no_box():
    assert box_of(np.full((12, 12), -1.0, np.float32), SPEC, (96, 96)) is None


def test_a_box_is_never_too_small_to_take_hold_of_and_never_outside():
    for row, column in ((0, 0), (47, 47), (0, 47), (20, 20)):
        found = np.zeros((48, 48), np.float32)
        found[row, column] = 1
        x, y, width, height = box_of(found, SPEC, (24, 24))
        assert min(width, height) >= 4
        assert min(x, y) >= 0
        assert max(x + width, y + height) <= 24
