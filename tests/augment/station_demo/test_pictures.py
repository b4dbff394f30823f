"""The demo's pictures: the same twice, a fault inside its box, frames that differ by noise and clock alone."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from augment.mini.scenes import COUNTERPARTS, FAULT_LABELS, LABELS
from augment.station_demo.pictures import HEIGHT, WIDTH, Camera, clean_picture, fault_box, random_sight

CLOCK_ROWS = 30  # where name and clock stand


@pytest.mark.parametrize("label", [LABELS[0], FAULT_LABELS[0]])
def test_a_sight_gives_the_same_picture_twice_and_another_seed_another(label):
    first = clean_picture(random_sight(label, 4))
    assert (first.shape, first.dtype) == ((HEIGHT, WIDTH, 3), np.uint8)
    np.testing.assert_array_equal(first, clean_picture(random_sight(label, 4)))
    assert (first != clean_picture(random_sight(label, 5))).any()


@pytest.mark.parametrize("fault", FAULT_LABELS)
def test_what_a_person_sees_of_a_fault_lies_in_its_box(fault):
    sight = replace(random_sight(fault, 8), light="day")
    healthy = replace(sight, label=COUNTERPARTS[fault])
    seen = cv2.absdiff(clean_picture(sight), clean_picture(healthy)).max(axis=2) > 25
    left, top, width, height = (round(edge) for edge in fault_box(sight))
    inside = np.zeros_like(seen)
    inside[max(top - 2, 0) : top + height + 2, max(left - 2, 0) : left + width + 2] = True
    assert seen.sum() > 0.005 * seen.size
    assert not (seen & ~inside).any()
    assert fault_box(healthy) is None


def test_two_frames_of_a_camera_differ_by_noise_and_clock():
    picture, camera = clean_picture(random_sight(LABELS[0], 1)), Camera("gate-1", 1)
    one, two = (
        cv2.imdecode(np.frombuffer(camera.frame(picture, f"2026-11-26 03:00:0{second}"), np.uint8), cv2.IMREAD_COLOR)
        for second in (1, 2)
    )
    assert one.shape == (HEIGHT, WIDTH, 3)
    difference = one[CLOCK_ROWS:].astype(float) - two[CLOCK_ROWS:]
    assert 1 < difference.std() < 6
    assert np.abs(difference.mean()) < 0.2
