"""Regions: fractions of a picture."""

import numpy as np
import pytest

from edge_runtime.bundle.errors import InputError
from edge_runtime.cameras.regions import GREY, Region, Unmasked, hidden_share, paint, painted


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


def test_a_mask_hides_every_pixel_that_it_touches():
    image = np.zeros((10, 10, 3), np.uint8)
    paint(image, ((0.25, 0.5, 0.11, 0.5), (0.9, 0, 0.1, 0.01)))
    expected = np.zeros((10, 10), bool)
    expected[5:, 2:4] = expected[0, 9] = True
    assert np.array_equal((image == GREY).all(-1), expected)
    assert np.array_equal(painted(((0.25, 0.5, 0.11, 0.5), (0.9, 0, 0.1, 0.01)), 10, 10), 255 * expected)


@pytest.mark.parametrize("size", [(7, 13), (100, 100), (1080, 1920), (1, 1)])
def test_a_mask_reaches_the_edge_whatever_the_rounding(size):
    for third in (1 / 3, 0.1, 0.7):
        assert painted(((third, third, 1 - third, 1 - third),), *size)[-1, -1]


def test_the_hidden_share_counts_what_two_masks_hide_once_and_of_a_region_alone():
    masks = ((0.0, 0.0, 0.5, 1.0), (0.25, 0.0, 0.5, 1.0))
    assert hidden_share(masks, Region("a", 0, 0, 1, 1)) == pytest.approx(0.75, abs=0.002)
    assert hidden_share(masks, Region("a", 0.5, 0, 0.5, 1)) == pytest.approx(0.5, abs=0.002)
    assert hidden_share((), Region("a", 0, 0, 1, 1)) == 0


def test_a_fill_mirrors_the_rest_at_the_edge_of_the_mask_and_at_that_of_the_picture():
    row = np.arange(8, dtype=np.uint8)
    image = np.repeat(np.tile(row, (4, 1))[..., None], 3, 2)
    image[:, 3:] = GREY
    before, unmasked = image.copy(), Unmasked(((3 / 8, 0, 5 / 8, 1),))
    filled = unmasked.fill(image, (4, 8), lambda plane: plane)
    assert np.array_equal(image, before)
    assert filled[1, :, 0].tolist() == [0, 1, 2, 1, 0, 1, 2, 1]
    assert np.array_equal(unmasked.fill(image[:3], (4, 8), lambda plane: plane[:3] | 255), image[:3]), "nothing is left"
    assert unmasked.fill(image[:, ::2], (4, 8), lambda plane: plane[:, ::2])[1, :, 0].tolist() == [0, 2, 0, 2]


def test_a_fill_of_noise_has_the_brightness_and_the_spread_of_the_rest():
    image = np.random.default_rng(0).normal(90, 20, (90, 160, 3)).astype(np.uint8)
    masks = ((0.1, 0.1, 0.6, 0.6), (0.8, 0.0, 0.2, 0.5))
    unmasked = Unmasked(masks)
    paint(image, masks)
    filled = unmasked.fill(image, (90, 160), lambda plane: plane)
    assert (filled.mean(), filled.std()) == (pytest.approx(90, abs=1), pytest.approx(20, abs=1))
