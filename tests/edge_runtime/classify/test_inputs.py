"""Paths to sources: in order, lazily, and never in circles."""

from pathlib import Path

from edge_runtime.classify.inputs import Inputs


def names(inputs: Inputs, top: Path) -> list[str]:
    return [source.path.relative_to(top).as_posix() for source in inputs]


def test_folders_are_walked_by_name_depth_first(tmp_path):
    for name in (
        "b/2.jpg",
        "b/10.PNG",
        "a.jpg",
        "c/d/e.tiff",
        "film.mp4",
        "notes.txt",
        "b/data.mat",
        ".hidden.jpg",
        "._a.jpg",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    inputs = Inputs([tmp_path])
    assert names(inputs, tmp_path) == ["a.jpg", "b/10.PNG", "b/2.jpg", "c/d/e.tiff", "film.mp4"]
    assert inputs.skipped == 4


def test_each_folder_is_entered_once_however_links_lead_to_it(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.jpg").touch()
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert names(Inputs([tmp_path]), tmp_path) == ["a/x.jpg"]


def test_a_folder_named_like_an_image_is_reported_and_walked(tmp_path):
    (tmp_path / "x.png").mkdir()
    (tmp_path / "x.png" / "y.png").touch()
    folder, inside = Inputs([tmp_path])
    assert folder.reason == "x.png is a folder, not an image; what it holds is listed on its own"
    assert (inside.path.name, inside.reason) == ("y.png", None)


def test_what_is_given_by_name_always_gets_its_result_in_the_given_order(tmp_path):
    (tmp_path / "empty").mkdir()
    given = [tmp_path / "z.txt", tmp_path / "empty", tmp_path / "a.jpg"]
    sources = list(Inputs(given))
    assert [source.path for source in sources] == given
    assert [bool(source.reason) for source in sources] == [False, True, False]
    assert "holds no image" in str(sources[1].reason)


def test_nothing_is_listed_before_it_is_asked_for(tmp_path):
    def paths():
        yield tmp_path / "first.jpg"
        raise AssertionError("asked too early")

    assert next(iter(Inputs(paths()))).path.name == "first.jpg"
