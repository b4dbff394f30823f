"""Transplants on drawn pictures: only heat is carried, in the host's palette, to a fitting place."""

import cv2
import numpy as np

from augment.models.cut_paste import fit, fit_heat, heat_box, heat_up, transplant
from augment.models.false_colour import temperatures
from tests.support.thermal_pictures import hotspots, needs_thermal

LEVELS = np.arange(256, dtype=np.uint8)[:, None]


def coloured(grey, colours=cv2.COLORMAP_INFERNO):
    return cv2.applyColorMap(grey, colours)


def scene(conductor: int, sky: int = 30) -> np.ndarray:
    """A level conductor across a cold sky."""
    grey = np.full((80, 120), sky, np.uint8)
    grey[38:44] = conductor
    return grey


def donor() -> np.ndarray:
    grey = scene(90)
    cv2.circle(grey, (60, 41), 4, 240, -1)
    return coloured(grey)


BOX = (55.0, 36.0, 10.0, 10.0)


def test_the_spot_lands_on_the_conductor_in_the_hosts_palette():
    host = coloured(scene(100))
    made = transplant(fit(host, donor(), BOX, seed=3))
    changed = np.abs(made.astype(int) - host).sum(axis=2) > 30
    rows, _ = np.nonzero(changed)
    assert changed.any()
    assert 34 <= rows.mean() <= 48
    inferno = {tuple(colour) for colour in coloured(LEVELS).reshape(-1, 3).tolist()}
    nearest = [
        min(sum(abs(a - b) for a, b in zip(pixel, colour, strict=True)) for colour in inferno)
        for pixel in made[changed].tolist()
    ]
    assert np.median(nearest) < 40  # interpolated between the levels that the host shows
    grey = cv2.cvtColor(made, cv2.COLOR_BGR2GRAY).astype(int) - cv2.cvtColor(host, cv2.COLOR_BGR2GRAY)
    assert grey.min() >= -2  # nothing grows colder


def test_the_same_seed_gives_the_same_picture_and_another_a_different_one():
    host = coloured(scene(100))
    first, again, other = (transplant(fit(host, donor(), BOX, seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_patch_larger_than_the_host_is_none():
    assert fit(np.zeros((12, 12, 3), np.uint8), donor(), BOX, seed=0) is None


def test_colour_pictures_are_blended():
    rng = np.random.default_rng(0)
    host, source = (rng.integers(60, 200, (80, 120, 3), np.uint8) for _ in range(2))
    source[36:46, 55:65] = (10, 10, 250)
    made = transplant(fit(host, source, BOX, seed=0))
    assert made.shape == host.shape
    assert (made != host).any(axis=2).mean() < 0.1


def test_a_heat_up_brings_the_heat_of_the_spot_to_warm_equipment_and_to_no_sky():
    host = coloured(scene(90))
    fitted = fit_heat(host, donor(), [BOX], BOX, seed=3)
    made = heat_up(fitted)
    hotter = temperatures(made) - temperatures(host)
    assert hotter.min() >= -2
    assert 60 < hotter.max() < 165  # of 240 - 90 levels before the colours, 12 % of which stay with the donor
    assert hotter[38:44].sum() > 0.95 * hotter.sum()
    x, y, width, height = heat_box(made, host)
    assert 38 <= y < y + height <= 44
    assert 4 <= width <= 16
    assert hotter[y : y + height, x : x + width].sum() > 0.8 * hotter.sum()


def test_what_is_in_no_false_colours_cannot_be_heated_up():
    noise = np.random.default_rng(0).integers(60, 200, (80, 120, 3), np.uint8)
    assert fit_heat(noise, donor(), [BOX], BOX, seed=0) is None
    assert fit_heat(coloured(scene(90)), noise, [BOX], BOX, seed=0) is None


def test_composed_with_amplitude_zero_a_picture_is_its_host_byte_for_byte():
    host = coloured(scene(100))
    assert transplant(fit(host, donor(), BOX, seed=1), amplitude=0).tobytes() == host.tobytes()
    assert heat_up(fit_heat(host, donor(), [BOX], BOX, seed=1), amplitude=0).tobytes() == host.tobytes()


@needs_thermal
def test_real_pictures_composed_with_amplitude_zero_are_their_hosts_byte_for_byte():
    pictures = hotspots(4)
    for (host, _), (source, boxes) in zip(pictures, pictures[::-1], strict=True):
        fitted, heat = fit(host, source, boxes[0], 1), fit_heat(host, source, boxes, boxes[0], 1)
        assert transplant(fitted, amplitude=0).tobytes() == host.tobytes()
        assert heat_up(heat, amplitude=0).tobytes() == host.tobytes()
        assert (heat_up(heat) != host).any()


def test_a_blended_picture_with_amplitude_zero_is_its_host_but_for_rounding():
    rng = np.random.default_rng(0)
    host, source = (rng.integers(60, 200, (80, 120, 3), np.uint8) for _ in range(2))
    made = transplant(fit(host, source, BOX, seed=0), amplitude=0)
    assert np.abs(made.astype(int) - host).max() <= 1
