"""Files that survive a power cut, and their digests."""

import pytest

from edge_runtime.bundle.files import replace_file, sha256_bytes, sha256_file


def test_a_file_is_replaced_whole_and_readable_by_others(tmp_path):
    path = tmp_path / "a"
    for data in (b"old", b"new"):
        replace_file(path, data)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_where_a_file_cannot_be_put_nothing_is_left_behind(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").touch()
    with pytest.raises(OSError, match="directory"):
        replace_file(tmp_path / "a", b"data")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_large_file_has_the_digest_of_its_bytes(tmp_path):
    data = bytes(range(256)) * 5000  # more than one piece
    (tmp_path / "a").write_bytes(data)
    assert sha256_file(tmp_path / "a") == sha256_bytes(data)
    assert sha256_bytes(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
