"""Heat maps: where the heat lies, and the files they are written to."""

import cv2
import numpy as np
import pytest

from edge_runtime.bundle.preprocess import PreprocessSpec
from edge_runtime.media.file_kinds import OWN, file_kind
from edge_runtime.media.heatmap import FAINT, MAX_SIDE, overlay, write_overlay


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


def test_with_a_scale_a_healthy_map_shows_no_heat_and_a_sure_one_all_of_it():
    frame, cam = np.full((40, 40, 3), 90, np.uint8), np.full((4, 4), FAINT, np.float32)
    assert np.unique(overlay(frame, cam, full_heat=1.0)).tolist() == [90]
    assert np.unique(overlay(frame, cam)).tolist() != [90]  # its own maximum is the hottest
    cam[0, 0] = 1.0
    picture = overlay(frame, cam, full_heat=1.0)
    assert int(picture[3, 3, 2]) > int(picture[3, 3, 0]) + 60
    assert picture[35, 35].tolist() == [90, 90, 90]


@pytest.mark.parametrize(("height", "width"), [(60, 20), (20, 60), (40, 40)])
@pytest.mark.parametrize("corner", [0, -1])
def test_the_map_of_a_letterboxed_frame_is_drawn_without_its_bars(height, width, corner):
    """The map of 8 x 8 cells covers bars too: its hot cell is the one that a corner of the frame lies in."""
    spec = PreprocessSpec(80, 80, "letterbox")
    place = spec.placement(height, width)
    left, top = (0, 0) if corner == 0 else (place.width - 1, place.height - 1)
    cam = np.zeros((8, 8), np.float32)
    cam[(place.top + top) // 10, (place.left + left) // 10] = 1
    picture = overlay(np.full((height, width, 3), 90, np.uint8), cam, spec, full_heat=1.0)
    assert picture.shape == (height, width, 3)
    heat = picture.astype(int)[..., 2] - picture[..., 0]
    assert heat[corner, corner] > 60
    assert heat[-1 - corner, -1 - corner] == 0


def test_a_large_picture_is_scaled_down():
    assert overlay(np.zeros((10, 2 * MAX_SIDE, 3), np.uint8), np.ones((2, 2))).shape == (5, MAX_SIDE, 3)


def test_equal_names_in_different_folders_get_different_files(tmp_path):
    picture = np.zeros((4, 4, 3), np.uint8)
    paths = {
        write_overlay(tmp_path / "heat", tmp_path / folder / "x.jpg", part, picture)
        for folder in ("a", "b")
        for part in ("", "-000000", "-page1")
    }
    assert len(paths) == 6
    assert all(path.read_bytes().startswith(b"\xff\xd8") for path in paths)


def test_a_long_name_in_a_wide_script_still_fits_a_file_system(tmp_path):
    name = "変" * 80 + ".jpg"
    assert write_overlay(tmp_path, tmp_path / name, "-000007", np.zeros((4, 4, 3), np.uint8)).exists()


def test_a_heat_map_says_in_the_file_that_no_camera_made_it(tmp_path):
    frame = np.full((30, 40, 3), 90, np.uint8)
    path = write_overlay(tmp_path, tmp_path / "x.jpg", "", frame)
    assert file_kind(path.rename(tmp_path / "renamed.jpg")).name == OWN
    assert np.abs(cv2.imread(str(tmp_path / "renamed.jpg")).astype(int) - frame).max() < 3
