"""Lists of paths as shells, editors, Excel and file managers write them."""

import io
import os
from pathlib import Path

import pytest

from edge_runtime.classify.path_lists import read_paths


def read(data: bytes) -> list[str]:
    return [str(path) for path in read_paths(io.BufferedReader(io.BytesIO(data)))]  # type: ignore[arg-type]


@pytest.fixture
def photo(tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "round 3").mkdir()
    (tmp_path / "round 3" / "Kühler Süd.jpg").touch()
    return "round 3/Kühler Süd.jpg"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encodings_and_line_ends(photo, encoding, end):
    assert read((end + photo + end + end + photo).encode(encoding)) == [photo, photo]


@pytest.mark.parametrize(
    "line",
    [
        '"{}"',
        "'{}'",
        "“{}”",
        '  "{}" ',
        "file:///{cwd}/round%203/K%C3%BChler%20S%C3%BCd.jpg",
        "round 3\\Kühler Süd.jpg",
        '"round 3\\Kühler Süd.jpg"',
        "round 3/Ku\u0308hler Su\u0308d.jpg",
    ],
)
def test_ways_to_write_a_path(photo, line):
    (found,) = read(line.replace("{}", photo).replace("/{cwd}", str(Path.cwd())).encode())
    assert Path(found).samefile(photo)


@pytest.mark.parametrize(
    "line", ["C:\\photos\\IMG 1.jpg", "\\\\?\\C:\\long\\x.jpg", "\\\\server\\share\\x.jpg", "gone.jpg"]
)
def test_a_path_that_is_not_here_stays_as_it_was_written(photo, line):
    assert read(line.encode()) == [line]
    assert read(f'"{line}"'.encode()) == [line]


def test_a_name_that_really_has_quotes_or_blanks_is_taken_as_it_is(photo):
    for name in ('"a.jpg"', " b.jpg ", "c\\d.jpg"):
        Path(name).touch()
        assert read(name.encode()) == [name]


def test_names_that_are_no_text_survive(photo):
    assert [os.fsencode(name) for name in read(b"\xff\xe4.jpg\n")] == [b"\xff\xe4.jpg"]
