"""The mark in a frame: found where it is whole, and nowhere else."""

import numpy as np
import pytest

from edge_runtime.cameras.frame_marker import draw_mark, has_mark


@pytest.mark.parametrize("size", [(16, 16), (90, 160), (1080, 1920)])
@pytest.mark.parametrize("token", [1, 2**32 - 1])
def test_a_mark_is_found_in_pictures_of_every_size(size, token):
    image = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    marked = draw_mark(image, token)
    assert has_mark(marked, token)
    assert not has_mark(marked, token - 1)
    assert not has_mark(image, token)
    assert marked.shape == image.shape


def test_half_of_a_marked_frame_does_not_pass():
    image = np.zeros((90, 160, 3), np.uint8)
    marked = draw_mark(image, 7)
    marked[45:] = image[45:]
    assert not has_mark(marked, 7)


def test_a_picture_without_room_for_two_marks_gets_none():
    assert draw_mark(np.zeros((15, 100, 3), np.uint8), 1) is None
