"""Health and heat-map on hand numbers."""

import numpy as np
import pytest

from edge_runtime.inference.blank_check import Health, blank, measure
from edge_runtime.media.heatmap import MAX_SIDE, overlay, write_overlay


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


def test_heat_shows_where_the_evidence_is_and_leaves_the_rest():
    frame = np.full((40, 40, 3), 90, np.uint8)
    cam = np.zeros((4, 4), np.float32)
    cam[0, 0] = 5
    cam[3, 3] = -5  # evidence against: not heat
    picture = overlay(frame, cam)
    assert picture.shape == frame.shape
    assert picture[35, 35].tolist() == [90, 90, 90]
    assert int(picture[3, 3, 2]) > int(picture[3, 3, 0]) + 60  # red there


def test_no_positive_evidence_leaves_the_picture_grey():
    assert np.unique(overlay(np.full((9, 9, 3), 50, np.uint8), np.full((3, 3), -1.0))).tolist() == [50]


def test_a_large_picture_is_scaled_down():
    assert overlay(np.zeros((10, 2 * MAX_SIDE, 3), np.uint8), np.ones((2, 2))).shape == (5, MAX_SIDE, 3)


def test_equal_names_in_different_folders_get_different_files(tmp_path):
    picture = np.zeros((4, 4, 3), np.uint8)
    paths = {
        write_overlay(tmp_path / "heat", tmp_path / folder / "x.jpg", frame, picture)
        for folder in ("a", "b")
        for frame in (None, 0, 1)
    }
    assert len(paths) == 6
    assert all(path.read_bytes().startswith(b"\xff\xd8") for path in paths)


def test_a_long_name_in_a_wide_script_still_fits_a_file_system(tmp_path):
    name = "変" * 80 + ".jpg"
    assert write_overlay(tmp_path, tmp_path / name, 7, np.zeros((4, 4, 3), np.uint8)).exists()
