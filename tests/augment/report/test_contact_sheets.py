"""Tiles of a sheet are found again in it."""

import numpy as np

from augment.records import RunFolder
from augment.report.contact_sheets import LARGE_SIDE, LINE, large_tile, large_tiles, write_large
from edge_runtime.media.image_files import read_image


def test_each_picture_of_a_sheet_is_found_without_the_white_around_it(tmp_path):
    wide, high = np.full((90, 180, 3), 40, np.uint8), np.full((300, 150, 3), 90, np.uint8)
    tiles = [large_tile(wide, "1 wide"), large_tile(high, "2 high", [(10, 10, 40, 40)], (75, 150))]
    path = write_large(RunFolder(tmp_path), "sheets/some.jpg", tiles)
    first, second = large_tiles(read_image(tmp_path / path).frame)
    assert abs(first.picture.shape[0] - LARGE_SIDE // 2) <= 2
    assert first.picture.shape[1] == LARGE_SIDE
    assert second.picture.shape[0] == LARGE_SIDE
    assert abs(second.picture.shape[1] - LARGE_SIDE // 2) <= 2
    assert first.captioned.shape == (first.picture.shape[0] + LINE, LARGE_SIDE, 3)
