"""Holes in pictures: where they are, that all else stays, and that the embedded model paints into them."""

import cv2
import numpy as np
import pytest

from augment.methods import parse_method
from augment.mini.scenes import render, sample_scene
from augment.models.cut_paste import fit
from augment.models.inpaint_mask import hole_for
from augment.models.interfaces import Order
from augment.models.registry import Models
from augment.presets import PRESETS

BOX = (50.0, 40.0, 20.0, 12.0)


def noise(*shape: int) -> np.ndarray:
    """A picture in so many colours that it is no thermal one."""
    return np.random.default_rng(0).integers(60, 200, (*shape, 3), np.uint8)


def outside(hole) -> np.ndarray:
    """(H, W) bool: what of the host the fault's grown box does not cover."""
    mask = np.ones(hole.fitted.host.shape[:2], bool)
    height, width = hole.weight.shape
    mask[hole.fitted.top : hole.fitted.top + height, hole.fitted.left : hole.fitted.left + width] = False
    return mask


def test_a_hole_is_the_box_with_a_soft_rim_and_its_square_lies_in_the_host():
    fitted = fit(noise(120, 200), noise(120, 200), BOX, seed=1)
    hole = hole_for(fitted)
    left, top, side = hole.square
    assert side == min(2 * max(hole.weight.shape), 120)
    assert 0 <= left <= fitted.left
    assert 0 <= top <= fitted.top
    assert fitted.left + hole.weight.shape[1] <= left + side <= 200
    assert fitted.top + hole.weight.shape[0] <= top + side <= 120
    x, y, width, height = fitted.box
    inside = hole.weight[y - fitted.top : y - fitted.top + height, x - fitted.left : x - fitted.left + width]
    assert (inside == 1).all()
    assert not hole.weight[[0, -1]].any()
    assert not hole.weight[:, [0, -1]].any()
    assert 0 < hole.weight[1, hole.weight.shape[1] // 2] < 1


@pytest.mark.parametrize("box", [BOX, (2.0, 3.0, 150.0, 20.0), (0.0, 0.0, 9.0, 3.0)])
def test_what_is_seen_goes_back_unchanged(box):
    fitted = fit(noise(120, 240), noise(120, 240), box, seed=2)
    hole = hole_for(fitted)
    view, mask = hole.crop(hole.square[2])
    assert view.shape[:2] == mask.shape == (hole.square[2],) * 2
    assert mask.sum() == (hole.weight > 0).sum()
    np.testing.assert_array_equal(hole.fill(view), fitted.host)


def test_what_is_painted_comes_back_in_the_hole_alone():
    fitted = fit(noise(120, 200), noise(120, 200), BOX, seed=3)
    hole = hole_for(fitted)
    made = hole.fill(np.full((64, 64, 3), 255, np.uint8))
    np.testing.assert_array_equal(made[outside(hole)], fitted.host[outside(hole)])
    x, y, width, height = fitted.box
    assert (made[y : y + height, x : x + width] == 255).all()


def test_a_thermal_picture_keeps_to_its_palette():
    grey = np.tile(np.linspace(20, 220, 200).astype(np.uint8), (120, 1))
    host = cv2.applyColorMap(grey, cv2.COLORMAP_INFERNO)
    hole = hole_for(fit(host, host, BOX, seed=4))
    green = np.full((64, 64, 3), (20, 200, 20), np.uint8)
    made = hole.fill(green).reshape(-1, 3).astype(int)
    colours = host[0].astype(int)
    nearest = np.abs(made[:, None] - colours).sum(axis=2).min(axis=1)
    assert nearest.max() < 20
    assert (hole.fill(green) != host).any()


@pytest.fixture(scope="module")
def painter():
    return Models(PRESETS["mini"]).painter


@pytest.fixture(scope="module")
def hole():
    host = render(sample_scene(10, "station", "sealed_transformer"), 160)
    donor = render(sample_scene(50, "station", "leaking_transformer"), 160)
    return hole_for(fit(host, donor, (50.0, 60.0, 50.0, 40.0), seed=0))


def painted(painter, hole, seed: int, strength: str = "0.9") -> np.ndarray:
    order = Order("a photo of a leaking transformer, in daylight", seed, *hole.crop(painter.side))
    return painter.paint([order], parse_method(f"inpaint-{strength}"), None)[0]


def test_the_embedded_model_paints_into_the_hole_and_nowhere_else(painter, hole):
    made = hole.fill(painted(painter, hole, seed=1))
    host = hole.fitted.host
    np.testing.assert_array_equal(made[outside(hole)], host[outside(hole)])
    x, y, width, height = hole.fitted.box
    change = np.abs(made.astype(int) - host)[y : y + height, x : x + width]
    assert change.mean() > 5  # grey levels
    assert change.max() > 40


def test_the_same_seed_paints_the_same_bytes_and_another_does_not(painter, hole):
    first, again, other = (painted(painter, hole, seed) for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes() != other.tobytes()


def test_around_the_hole_the_model_sees_the_host_at_every_step(painter, hole):
    """Even from pure noise the kept part of the square is what the codec makes of it; the hole is not."""
    source, mask = hole.crop(painter.side)
    codec = painter.paint([Order("", 0, source)], parse_method("codec"), None)[0].astype(int)
    change = np.abs(painted(painter, hole, seed=1, strength="1.0") - codec).mean(axis=2)
    far = ~cv2.dilate(mask.astype(np.uint8), np.ones((17, 17))).astype(bool)  # more than a cell of the codec away
    assert far.sum() > 500
    assert change[far].mean() < 5 < 10 < change[mask].mean()
    free = painter.paint([Order("a photo", 1, source)], parse_method("img2img-1.0"), None)[0]
    assert np.abs(free - codec).mean(axis=2)[far].mean() > 10
