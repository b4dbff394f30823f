"""A folder into which pictures are uploaded: what counts as new and as whole."""

import os
import shutil
from pathlib import Path

import pytest

from edge_runtime.media.upload_folder import RESTLESS_LOOKS, UploadFolder


def names(folder: UploadFolder) -> list[str]:
    return [path.name for path in folder.look()]


def written(path: Path, data: bytes = b"picture", at: float | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    if at is not None:
        os.utime(path, (at, at))
    return path


def test_a_new_picture_is_told_once_when_two_looks_have_found_it_unchanged(tmp_path):
    folder = UploadFolder(tmp_path, 100)
    assert names(folder) == []
    written(tmp_path / "a.jpg")
    assert [names(folder), names(folder), names(folder)] == [[], ["a.jpg"], []]


def test_a_partial_upload_is_waited_for(tmp_path):
    folder = UploadFolder(tmp_path, 100)
    folder.look()
    for size in (0, 10, 20):
        written(tmp_path / "a.jpg", b"x" * size, at=1000 + size)
        assert names(folder) == []
    assert names(folder) == ["a.jpg"]


def test_a_temporary_name_is_passed_over_until_it_is_renamed(tmp_path):
    folder = UploadFolder(tmp_path, 100)
    folder.look()
    for name in ("a.jpg.part", "a.jpg.tmp", ".a.jpg", "notes.txt"):
        written(tmp_path / name)
    assert [names(folder), names(folder)] == [[], []]
    (tmp_path / "a.jpg.part").rename(tmp_path / "a.jpg")
    assert [names(folder), names(folder)] == [[], ["a.jpg"]]


def test_one_name_that_is_overwritten_is_told_each_time(tmp_path):
    folder = UploadFolder(tmp_path, 100)
    folder.look()
    for at in (1000, 2000, 1500):  # a clock may go back
        written(tmp_path / "latest.jpg", at=at)
        assert [names(folder), names(folder)] == [[], ["latest.jpg"]]


def test_one_that_is_overwritten_all_the_time_is_told_now_and_then(tmp_path):
    folder = UploadFolder(tmp_path, 100)
    folder.look()
    told = []
    for at in range(1000, 1000 + 4 * (RESTLESS_LOOKS + 1)):
        written(tmp_path / "latest.jpg", at=at)
        told += names(folder)
    assert len(told) == 4


def test_a_picture_with_an_old_date_is_as_new_as_any(tmp_path):
    written(tmp_path / "now.jpg")
    folder = UploadFolder(tmp_path, 0)
    folder.look()
    written(tmp_path / "old.jpg", at=0.0)
    assert [names(folder), names(folder)] == [[], ["old.jpg"]]


def test_of_those_that_lie_there_at_the_start_the_newest_are_told(tmp_path):
    for number in range(3000):
        written(tmp_path / f"{number:04}.jpg", at=1e9 - number)
    folder = UploadFolder(tmp_path, 3)
    assert [names(folder), names(folder), names(folder)] == [[], ["0000.jpg", "0001.jpg", "0002.jpg"], []]
    written(tmp_path / "x.jpg")
    assert [names(folder), names(folder)] == [[], ["x.jpg"]]


def test_one_that_was_uploaded_in_part_at_the_start_is_told_when_it_is_whole(tmp_path):
    written(tmp_path / "a.jpg", b"par")
    folder = UploadFolder(tmp_path, 0)
    folder.look()
    written(tmp_path / "a.jpg", b"partial and rest")
    assert [names(folder), names(folder)] == [[], ["a.jpg"]]


def test_pictures_in_folders_of_a_date_are_found(tmp_path):
    folder = UploadFolder(tmp_path, 100)
    folder.look()
    written(tmp_path / "2026" / "11-26" / "a.JPG")
    assert [names(folder), names(folder)] == [[], ["a.JPG"]]


def test_links_in_circles_and_what_systems_make_are_left_out(tmp_path):
    written(tmp_path / "elsewhere" / "b.jpg")
    for name in ("a.jpg", "@eaDir/a.jpg/THUMB.jpg", "lost+found/c.jpg"):
        written(tmp_path / "in" / "day" / name)
    (tmp_path / "in" / "day" / "up").symlink_to("..")
    (tmp_path / "in" / "other").symlink_to(tmp_path / "elsewhere")
    folder = UploadFolder(tmp_path / "in", 100)
    folder.look()
    assert names(folder) == ["a.jpg", "b.jpg"]


def test_a_folder_that_goes_and_comes_back_tells_only_what_is_new(tmp_path):
    place = tmp_path / "ftp"
    written(place / "a.jpg", at=1000)
    folder = UploadFolder(place, 100)
    assert [names(folder), names(folder)] == [[], ["a.jpg"]]
    shutil.move(place, tmp_path / "away")  # as a network folder that is gone
    with pytest.raises(FileNotFoundError):
        folder.look()
    place.mkdir()  # as its mount point, which is empty
    assert names(folder) == []
    place.rmdir()
    shutil.move(tmp_path / "away", place)
    written(place / "b.jpg")
    assert [names(folder), names(folder)] == [[], ["b.jpg"]]
