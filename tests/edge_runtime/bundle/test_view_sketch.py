"""Sketches of views: equal pixels have equal ones, and their difference tells how far pixels are apart."""

import cv2
import numpy as np
import pytest

from edge_runtime.bundle.view_sketch import SUMS, apart, sketch

VIEWS = np.random.default_rng(3).integers(40, 200, (2, 96, 128, 3), np.uint8)


def test_equal_views_have_equal_sketches_everywhere_and_for_ever() -> None:
    assert apart(VIEWS, sketch(VIEWS)) == 0
    tiny = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    assert sketch(tiny) == [38, 24, -28, -10, -22, -26, 0, 38]  # packed bundles hold such numbers


def test_a_difference_of_known_size_is_told_to_about_a_quarter() -> None:
    noise = np.random.default_rng(5).normal(0, 6, VIEWS.shape)
    noisy = (VIEWS + noise).round().astype(np.uint8)
    assert apart(noisy, sketch(VIEWS)) == pytest.approx(6, rel=0.5)
    assert len(sketch(VIEWS)) == SUMS


def test_a_rounding_here_and_there_hardly_shows() -> None:
    rounded = VIEWS.copy()
    rounded.reshape(-1)[::50] += 1
    assert 0 < apart(rounded, sketch(VIEWS)) < 0.5


@pytest.mark.parametrize(
    "mistake",
    [
        lambda v: v[..., ::-1],
        lambda v: v[:, ::-1],
        lambda v: v[:, :, ::-1],
        lambda v: v[::-1],
        lambda v: (16 + v * (219 / 255)).round().astype(np.uint8),
        lambda v: np.stack([cv2.GaussianBlur(view, (3, 3), 0) for view in v]),
        lambda v: np.roll(v, 1, axis=2),
    ],
)
def test_mistakes_of_preprocessing_show_by_many_levels(mistake) -> None:
    assert apart(np.ascontiguousarray(mistake(VIEWS)), sketch(VIEWS)) > 5
