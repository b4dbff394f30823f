import os
import socket

import pytest

from edge_runtime.bundle.errors import InputError
from edge_runtime.updates.errors import Reason, UpdateDelayed, UpdateRefused
from edge_runtime.updates.sources import FolderSource, HttpSource, NotThere, open_source
from tests.support.file_server import file_server


def read(source, path, start=0):
    with source.open_range(path, start) as opened:
        return opened.start, b"".join(opened.pieces)


@pytest.fixture
def served(tmp_path):
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "a.txt").write_bytes(b"0123456789")
    with file_server(tmp_path / "served") as server:
        yield server


def test_a_server_and_a_folder_give_the_same_from_any_byte(served):
    for source in (HttpSource(served.url), FolderSource(served.folder), open_source(served.folder.as_uri())):
        assert read(source, "a.txt") == (0, b"0123456789")
        assert read(source, "a.txt", 4) == (4, b"456789")


def test_a_server_without_ranges_begins_again(served):
    served.ranges = False
    assert read(HttpSource(served.url), "a.txt", 4) == (0, b"0123456789")


def test_beyond_its_end_a_file_begins_again_or_is_empty(served):
    assert read(HttpSource(served.url), "a.txt", 99) == (0, b"0123456789")
    assert read(FolderSource(served.folder), "a.txt", 99) == (0, b"")


def test_a_file_that_is_not_there_is_told_from_a_link_that_is_down(served):
    for source in (HttpSource(served.url), FolderSource(served.folder)):
        with pytest.raises(NotThere):
            read(source, "b.txt")
    served.status["a.txt"] = 500
    with pytest.raises(UpdateDelayed, match="status 500") as caught:
        read(HttpSource(served.url), "a.txt")
    assert not isinstance(caught.value, NotThere)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(UpdateDelayed, match="turns connections away") as caught:
        read(HttpSource(f"http://127.0.0.1:{port}"), "a.txt")
    assert caught.value.reason == Reason.LINK


def test_a_connection_that_is_cut_is_no_end_of_the_file(served):
    served.cut_after = 4
    with pytest.raises(UpdateDelayed, match="6 bytes too early"):
        read(HttpSource(served.url), "a.txt")


def test_a_link_in_a_folder_is_refused_wherever_it_leads(served):
    (served.folder / "link.txt").symlink_to(served.folder / "a.txt")
    (served.folder / "inside").symlink_to(served.folder)
    (served.folder / "round").symlink_to("round")
    for path in ("link.txt", "inside/a.txt", "../served/a.txt", "round"):
        with pytest.raises((UpdateRefused, UpdateDelayed)) as caught:
            read(FolderSource(served.folder), path)
        assert path == "round" or caught.value.reason == Reason.HASH


def test_a_pipe_in_a_folder_is_refused_and_not_waited_for(served):
    os.mkfifo(served.folder / "pipe")
    with pytest.raises(UpdateRefused, match="no plain file"):
        read(FolderSource(served.folder), "pipe")


@pytest.mark.parametrize(
    "url",
    ["ftp://host/folder", "", "https://", "https://me:secret@host/folder", "file://host/folder", "file:folder"],
)
def test_another_address_is_refused_in_a_sentence_without_its_password(url):
    with pytest.raises(InputError) as caught:
        open_source(url)
    assert "secret" not in str(caught.value)
