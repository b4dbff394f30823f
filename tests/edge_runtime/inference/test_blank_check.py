"""Health of frames whose numbers can be worked out by hand, and which of them are blank."""

import numpy as np
import pytest

from edge_runtime.bundle.radiometric import RadiometricRule
from edge_runtime.inference.blank_check import Health, blank, blank_cause, measure


def test_a_flat_grey_frame_measures_its_level():
    assert measure(np.full((20, 20, 3), 77, np.uint8)) == Health(77.0, 0.0, 0.0)


def test_two_halves_spread_by_half_their_distance():
    frame = np.zeros((20, 20, 3), np.uint8)
    frame[:10] = 100
    health = measure(frame)
    assert (health.mean, health.std) == (50.0, 50.0)
    assert health.sharpness > 0


def test_false_colours_of_equal_luma_still_spread():
    frame = np.full((20, 20, 3), (0, 0, 200), np.uint8)  # red: luma 60
    frame[:10] = (0, 102, 0)  # green: luma 60
    assert measure(frame).std == 100.0


@pytest.mark.parametrize(
    ("health", "words"),
    [
        (Health(0, 0, 0), "black"),
        (Health(7.9, 3.9, 1), "black"),
        (Health(7.9, 4.1, 1), None),  # dim, but something is there
        (Health(8.1, 3.9, 1), None),
        (Health(128, 1.4, 1), "one flat tone"),
        (Health(255, 0, 0), "one flat tone"),
        (Health(128, 1.6, 1), None),
    ],
)
def test_only_what_shows_nothing_is_blank(health, words):
    reason = blank(health)
    assert (reason is None) if words is None else (words in str(reason))


def test_a_dark_frame_with_sensor_noise_is_still_black_after_the_resize():
    from edge_runtime.bundle.preprocess import PreprocessSpec

    noise = np.random.default_rng(0).normal(3, 5, (720, 1280, 3)).clip(0, 255).astype(np.uint8)
    assert "black" in str(blank(measure(PreprocessSpec(224, 224).apply(noise))))


@pytest.mark.parametrize(
    ("health", "shown"), [(Health(3, 1.6, 1), True), (Health(250, 1.6, 1), True), (Health(3, 1.4, 1), False)]
)
def test_a_radiometric_picture_may_be_dark_or_bright_all_over_but_not_flat(health, shown):
    rule = RadiometricRule.parse("range 20 90")
    assert (blank_cause(health, rule) is None) is shown
    assert (blank(health, rule) is None) is shown
    assert "lens" not in str(blank(health, rule))
