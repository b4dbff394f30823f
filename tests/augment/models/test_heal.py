"""Healing: the spot is gone, its surroundings are as they were, and amplitude zero changes no byte."""

import cv2
import numpy as np
import pytest

from augment.models.false_colour import palette_of, temperatures
from augment.models.heal import COOLED, PATCHED, healed
from tests.support.thermal_pictures import hotspots, needs_thermal

BOX = (54.0, 34.0, 14.0, 14.0)


def conductor(spots=((60, 41),)) -> np.ndarray:
    """A thin warm conductor across a cold sky, with hot joints."""
    grey = np.full((80, 120), 30, np.uint8)
    grey[40:43] = 120
    for at in spots:
        cv2.circle(grey, at, 3, 240, -1)
    return cv2.applyColorMap(grey, cv2.COLORMAP_INFERNO)


def photograph() -> np.ndarray:
    """Grey noise in colours that no palette has, with a red spot."""
    frame = np.random.default_rng(0).integers(90, 130, (80, 120, 3), np.uint8)
    frame[38:44, 58:64] = (20, 20, 240)
    return frame


def beyond(shape, boxes, margin) -> np.ndarray:
    mask = np.ones(shape[:2], bool)
    for x, y, width, height in boxes:
        rows, columns = (
            slice(max(0, int(at - margin)), int(at + size + margin) + 1) for at, size in ((y, height), (x, width))
        )
        mask[rows, columns] = False
    return mask


def test_a_hot_joint_becomes_as_warm_as_its_conductor_and_all_else_stays():
    frame, without = conductor(), conductor(spots=())
    made, how = healed(frame, [BOX])
    assert how == COOLED
    warmth = temperatures(without)[41, 0]
    hottest = temperatures(made)[34:48, 54:68].max()
    assert warmth < hottest <= warmth + 0.12 * (temperatures(frame).max() - warmth) + 2
    away = beyond(frame.shape, [BOX], margin=3)
    np.testing.assert_array_equal(made[away], frame[away])
    assert np.abs(made.astype(int) - without)[41, 54:68].max() < 60


def test_of_two_spots_neither_tells_how_warm_the_conductor_is():
    boxes = [BOX, (68.0, 34.0, 14.0, 14.0)]
    made, _ = healed(conductor(spots=((60, 41), (74, 41))), boxes)
    warmth = temperatures(conductor(spots=()))[41, 0]
    assert temperatures(made).max() <= warmth + 0.12 * 150 + 2


def test_other_pictures_get_a_part_of_their_own_whose_surroundings_are_alike():
    frame = photograph()
    made, how = healed(frame, [BOX])
    assert how == PATCHED
    away = beyond(frame.shape, [BOX], margin=3)
    np.testing.assert_array_equal(made[away], frame[away])
    assert made[34:48, 54:68].max() < 140  # the red is gone
    assert made[36:46, 56:66].std() > 0.7 * frame[:30].std()  # and the grain is there


def test_stripes_go_on_where_the_spot_was():
    frame = np.zeros((80, 120, 3), np.uint8)
    frame[:] = (np.arange(120) // 5 % 2 * 90 + 60)[None, :, None] + np.arange(80)[:, None, None] // 4
    whole = frame.copy()
    frame[38:44, 58:64] = (20, 20, 240)
    made, how = healed(frame, [BOX])
    assert how == PATCHED
    assert np.abs(made.astype(int) - whole).max() <= 10


def test_a_box_that_no_other_part_can_cover_is_not_healed():
    assert healed(photograph(), [(10.0, 5.0, 100.0, 70.0)]) == (None, PATCHED)


@pytest.mark.parametrize("frame", [conductor(), photograph()])
def test_amplitude_zero_gives_back_the_same_bytes(frame):
    made, _ = healed(frame, [BOX], amplitude=0)
    assert made.tobytes() == frame.tobytes()


@needs_thermal
@pytest.mark.parametrize("label", ["substation_hotspot", "line_hotspot"])
def test_real_hotspots_cool_and_nothing_grows_warmer(label):
    cooled = 0
    for frame, boxes in hotspots(8, label):
        made, how = healed(frame, boxes)
        assert how == COOLED
        rims = [3 + 0.12 * min(box[2:]) for box in boxes]
        away = beyond(frame.shape, boxes, margin=max(rims))
        np.testing.assert_array_equal(made[away], frame[away])
        assert (temperatures(made) - temperatures(frame)).max() <= 3  # rounding of three channels
        assert healed(frame, boxes, amplitude=0)[0].tobytes() == frame.tobytes()
        cooled += bool((temperatures(frame) - temperatures(made)).max() > 20)
    assert cooled >= 7
    assert palette_of(made).is_false_colour
