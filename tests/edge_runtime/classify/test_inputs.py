"""Paths to sources: in order, lazily, and never in circles."""

from pathlib import Path

import pytest

from edge_runtime.classify.inputs import Inputs
from edge_runtime.media.file_kinds import OWN_MARK


def names(inputs: Inputs, top: Path) -> list[str]:
    return [source.path.relative_to(top).as_posix() for source in inputs]


JPEG = b"\xff\xd8\xff\xe0"


def test_folders_are_walked_by_name_depth_first(tmp_path):
    names_made = (
        "b/2.jpg",
        "b/10.PNG",
        "a.jpg",
        "c/d/e.tiff",
        "film.mp4",
        "notes.txt",
        ".hidden.jpg",
        "._a.jpg",
        "Thumbs.db",
    )
    for name in names_made:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "._a.jpg").write_bytes(b"\0\5\x16\7")
    inputs = Inputs([tmp_path])
    assert names(inputs, tmp_path) == [".hidden.jpg", "a.jpg", "b/10.PNG", "b/2.jpg", "c/d/e.tiff", "film.mp4"]
    assert inputs.summary() == "2 made by systems, 1 without pictures (such as notes)"


def test_content_decides_what_is_judged_and_what_is_told(tmp_path):
    contents = {
        "IMG_1": JPEG,
        "IMG_2.txt": JPEG,
        "IMG_3.HEIC": b"\0\0\0\x14ftypavif\0\0\0\0avif",
        "VID_1.LRV": b"\0\0\0\x14ftypisom\0\0\0\0isom",
        "DSC_1.nef": b"II*\0\x08\0\0\0\0\0",
        "visit.ZIP": b"PK\3\4",
        "protocol.pdf": b"%PDF-1.7",
        ".IMG_4.JPG.icloud": b"bplist00",
        "scan": b"\1\2\3\0\0",
        "notes.txt": b"nothing seen",
    }
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    found = {source.path.name: source for source in Inputs([tmp_path])}
    assert set(contents) - set(found) == {"notes.txt"}
    assert {name for name, source in found.items() if source.reason is None} == {"IMG_1", "IMG_2.txt", "VID_1.LRV"}
    assert found["VID_1.LRV"].is_video
    assert found["DSC_1.nef"].reason == "DSC_1.nef is a camera raw (NEF) picture, which is not read; save it as JPEG"
    assert str(found["visit.ZIP"].reason).startswith("visit.ZIP is a ZIP archive, which may hold pictures")
    assert "download it" in str(found[".IMG_4.JPG.icloud"].reason)
    assert "unknown format" in str(found["scan"].reason)


def test_what_cannot_be_reached_is_told(tmp_path):
    (tmp_path / "photo").symlink_to(tmp_path / "gone")
    (source,) = Inputs([tmp_path])
    assert source.reason == "photo cannot be read (it is gone, or a link to nothing); check the file"


def test_a_file_that_goes_away_while_the_folder_is_read_is_told(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(JPEG)
    sources = iter(Inputs([tmp_path]))
    assert next(sources).path.name == "a.jpg"
    (tmp_path / "b.jpg").unlink()
    assert "it is gone" in str(next(sources).reason)


def test_own_output_and_what_systems_make_is_left_out_and_counted(tmp_path):
    for name in ("@eaDir/x.jpg/SYNOPHOTO_THUMB_M.jpg", "#recycle/y.jpg", "bundle/manifest.json", "bundle/golden.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(JPEG)
    (tmp_path / "bundle" / "golden").mkdir()
    (tmp_path / "bundle" / "golden" / "0.png").touch()
    (tmp_path / "bundle" / "manifest.json").write_text('{"files": {"golden/0.png": {}}}')
    (tmp_path / "heat.jpg").write_bytes(JPEG + OWN_MARK)
    (tmp_path / "photo.jpg").write_bytes(JPEG)
    inputs = Inputs([tmp_path])
    assert names(inputs, tmp_path) == ["photo.jpg"]
    assert inputs.summary() == "2 made by systems, 2 of rarefault's own output"
    (given,) = Inputs([tmp_path / "heat.jpg"])
    assert "was drawn by rarefault itself" in str(given.reason)


@pytest.mark.parametrize("manifest", ['{"files": {"golden/0.png": {}}}', "{", "[]", '{"files": 1}'])
def test_photographs_beside_a_bundle_are_looked_at(tmp_path, manifest):
    (tmp_path / "golden").mkdir()
    (tmp_path / "manifest.json").write_text(manifest)
    for name in ("golden.json", "golden/0.png", "IMG_1.jpg"):
        (tmp_path / name).write_bytes(JPEG)
    found = names(Inputs([tmp_path]), tmp_path)
    assert found == (["IMG_1.jpg"] if "golden" in manifest else ["IMG_1.jpg", "golden/0.png"])


def test_each_folder_is_entered_once_however_links_lead_to_it(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.jpg").touch()
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert names(Inputs([tmp_path]), tmp_path) == ["a/x.jpg"]


def test_the_file_that_is_being_written_is_no_input(tmp_path):
    for name in ("results.xls", "sub/results.xls"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert names(Inputs([tmp_path], tmp_path / "sub" / ".." / "results.xls"), tmp_path) == ["sub/results.xls"]


def test_folders_in_folders_without_end_are_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    deep = Path("d", *["d"] * 250)
    deep.mkdir(parents=True)
    (deep / "x.jpg").write_bytes(JPEG)
    (told,) = Inputs([Path("d")])
    assert "d lies below 200 folders and was not looked at" in str(told.reason)


def test_a_folder_named_like_an_image_is_reported_and_walked(tmp_path):
    (tmp_path / "x.png").mkdir()
    (tmp_path / "x.png" / "y.png").touch()
    folder, inside = Inputs([tmp_path])
    assert folder.reason == "x.png is a folder, not an image; what it holds is listed on its own"
    assert (inside.path.name, inside.reason) == ("y.png", None)


def test_what_is_given_by_name_always_gets_its_result_in_the_given_order(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "list.txt").write_text("a.jpg\n")
    given = [tmp_path / "z.txt", tmp_path / "empty", tmp_path / "a.jpg", tmp_path / "list.txt"]
    sources = list(Inputs(given))
    assert [source.path for source in sources] == given
    assert [bool(source.reason) for source in sources] == [False, True, False, True]
    assert "holds no image" in str(sources[1].reason)
    assert "edge-classify - < LIST" in str(sources[3].reason)


def test_nothing_is_listed_before_it_is_asked_for(tmp_path):
    def paths():
        yield tmp_path / "first.jpg"
        raise AssertionError("asked too early")

    assert next(iter(Inputs(paths()))).path.name == "first.jpg"
