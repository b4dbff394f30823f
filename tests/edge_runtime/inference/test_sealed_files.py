"""Sealed files: what this device wrote comes back, and nothing else does."""

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edge_runtime.inference.sealed_files import KEY, read_sealed, write_sealed


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "kept").mkdir()
    return tmp_path / "kept" / "one.engine"


def test_what_was_written_comes_back_and_the_key_is_its_owners_alone(file: Path) -> None:
    assert read_sealed(file) is None
    write_sealed(file, b"engine")
    assert read_sealed(file) == b"engine"
    assert (file.parent.parent / KEY).stat().st_mode & 0o777 == 0o600
    write_sealed(file, b"")
    assert read_sealed(file) == b""


@pytest.mark.parametrize("place", [0, 31, 32, -1])
def test_one_changed_byte_is_found(file: Path, place: int, caplog: pytest.LogCaptureFixture) -> None:
    write_sealed(file, b"engine")
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(data)
    assert read_sealed(file) is None
    assert "one.engine was not written by this device" in caplog.text


def test_a_file_of_another_name_or_another_device_is_not_taken(file: Path, tmp_path: Path) -> None:
    write_sealed(file, b"engine")
    other = file.with_name("two.engine")
    other.write_bytes(file.read_bytes())
    assert read_sealed(other) is None
    (tmp_path / KEY).unlink()
    assert read_sealed(file) is None


def test_a_key_that_others_could_read_is_given_up(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_sealed(file, b"engine")
    (file.parent.parent / KEY).chmod(0o644)
    with caplog.at_level(logging.ERROR):
        assert read_sealed(file) is None
    assert "could be read by others" in caplog.text
    assert (file.parent.parent / KEY).stat().st_mode & 0o777 == 0o600


def test_processes_that_start_together_agree_on_one_key(file: Path) -> None:
    files = [file.with_name(f"{number}.engine") for number in range(16)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda path: write_sealed(path, b"engine"), files))
    assert [read_sealed(path) for path in files] == [b"engine"] * 16
    assert not list(file.parent.parent.glob(".spare-*"))
