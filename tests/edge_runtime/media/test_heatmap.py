"""Heat maps: where the heat lies, and the files they are written to."""

import numpy as np

from edge_runtime.media.heatmap import MAX_SIDE, overlay, write_overlay


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
