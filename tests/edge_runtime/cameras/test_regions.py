"""Regions: fractions of a picture."""

import numpy as np
import pytest

from edge_runtime.bundle.errors import InputError
from edge_runtime.cameras.regions import Region


def test_a_region_is_cut_out_and_has_at_least_one_pixel():
    image = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    assert np.array_equal(Region("a", 0.5, 0.25, 0.5, 0.5).crop(image), image[1:3, 3:])
    assert np.array_equal(Region("b", 0, 0, 1, 1).crop(image), image)
    assert Region("c", 0.999, 0.999, 0.001, 0.001).crop(image).shape == (1, 1, 3)


@pytest.mark.parametrize("sides", [(0.9, 0, 0.1, 1), (0.7, 0.1, 0.3, 0.9), (1 / 3, 2 / 3, 2 / 3, 1 / 3)])
def test_a_region_may_reach_the_edge_whatever_the_rounding(sides):
    assert Region("x", *sides).crop(np.zeros((30, 30, 3), np.uint8)).size


@pytest.mark.parametrize(
    "sides", [(0, 0, 0, 1), (0, 0, 1, 0), (-0.1, 0, 0.5, 0.5), (0.6, 0, 0.5, 1), (0, 0.5, 1, 0.6), (2, 1, 4, 3)]
)
def test_regions_that_cannot_be_are_refused(sides):
    with pytest.raises(InputError, match="leaves the picture; expected x, y, width, height as fractions"):
        Region("x", *sides)
