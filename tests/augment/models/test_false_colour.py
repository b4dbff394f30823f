"""Temperatures change and the picture by the difference in colour alone, on drawn and on real thermal pictures."""

import cv2
import numpy as np
import pytest

from augment.models.false_colour import palette_of, temperatures
from tests.support.thermal_pictures import hotspots, needs_thermal

RAMP = cv2.applyColorMap(np.tile(np.arange(200, dtype=np.uint8), (40, 1)), cv2.COLORMAP_INFERNO)


def noisy(frame):
    """What a camera's JPEG makes of it."""
    return cv2.imdecode(cv2.imencode(".jpg", frame)[1], cv2.IMREAD_COLOR)


def test_a_false_colour_picture_is_known_by_its_palette():
    assert palette_of(noisy(RAMP)).is_false_colour
    assert not palette_of(np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)).is_false_colour
    grey = np.tile(np.arange(200, dtype=np.uint8)[None, :, None], (40, 1, 3))
    assert not palette_of(grey).is_false_colour
    dull = grey + np.random.default_rng(0).integers(0, 12, grey.shape, np.uint8)  # a photograph of something grey
    assert np.abs(dull.astype(int) - grey).mean() < 6
    assert not palette_of(dull).is_false_colour


@pytest.mark.parametrize("frame", [RAMP, noisy(RAMP), *(frame for frame, _ in hotspots(4))])
def test_where_no_temperature_changes_no_byte_does(frame):
    levels = temperatures(frame)
    other = levels.copy()
    other[:20, :20] += 10
    made = palette_of(frame).recoloured(frame, levels, other)
    assert palette_of(frame).recoloured(frame, levels, levels.copy()).tobytes() == frame.tobytes()
    np.testing.assert_array_equal(made[20:], frame[20:])
    assert (made[:20, :20] != frame[:20, :20]).any()


def test_the_noise_of_each_pixel_stays():
    frame = noisy(RAMP)
    palette, levels = palette_of(frame), temperatures(frame)
    made = palette.recoloured(frame, levels, levels + 0.5 * (levels < 100))

    def noise(picture, at):
        return (picture - palette._at(at.ravel()).reshape(picture.shape))[5:35, 5:90]

    kept = noise(made, levels + 0.5 * (levels < 100)), noise(frame, levels)
    assert np.abs(kept[0] - kept[1]).max() <= 0.5  # rounding
    assert kept[1].std() > 0.3


@needs_thermal
def test_real_thermal_pictures_have_one_channel():
    assert all(palette_of(frame).is_false_colour for frame, _ in hotspots(12))
