"""What names and lists alone say about a source, and which faults of it are found in the first second."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from augment.data.layouts.listing import told
from augment.data.sources import check_source, list_candidates
from augment.settings import DataSettings, Settings
from edge_runtime.bundle.errors import InputError


def touch(root: Path, *names: str) -> None:
    """Files that are no images: listing must not care."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"never decoded")


def listed(source: Path, **data: str) -> dict[str, str]:
    found = list_candidates(DataSettings(source=str(source), **data))
    return {candidate.path: candidate.label for candidate in found.candidates}


def refusal(source: object, **data: object) -> str:
    with pytest.raises(InputError) as caught:
        check_source(Settings(data=DataSettings(source=str(source), **data)))
    return str(caught.value)


def pets(root: Path, test: str = "Bengal_2 1 1 1\n", trainval: str = "Bengal_1 1 1 1\nlong_tail_3 2 1 2\n") -> Path:
    touch(root, *(f"oxford-iiit-pet/images/{name}.jpg" for name in ("Bengal_1", "Bengal_2", "long_tail_3")))
    (root / "oxford-iiit-pet/annotations").mkdir()
    (root / "oxford-iiit-pet/annotations/test.txt").write_text(test)
    (root / "oxford-iiit-pet/annotations/trainval.txt").write_text(trainval)
    return root


def manifest(root: Path, text: str) -> Path:
    (root / "list.csv").write_text(text, encoding="utf-8")
    return root / "list.csv"


def test_a_folder_is_a_class_and_folders_inside_it_are_not(tmp_path: Path) -> None:
    touch(tmp_path, "ok/1.jpg", "ok/deep/er/2.PNG", "hot/3.webp")
    assert listed(tmp_path) == {"hot/3.webp": "hot", "ok/1.jpg": "ok", "ok/deep/er/2.PNG": "ok"}


def test_what_is_no_candidate_is_reported_and_hidden_files_are_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "ok/1.jpg", "ok/1.mat", "ok/.DS_Store", ".git/x.jpg", "readme.txt", "notes/a.txt")
    (tmp_path / "ok" / "loop").symlink_to(tmp_path)
    source = list_candidates(DataSettings(source=str(tmp_path)))
    assert [candidate.path for candidate in source.candidates] == ["ok/1.jpg"]
    assert {path for path, _ in source.ignored} == {"ok/1.mat", "ok/loop", "readme.txt", "notes", "notes/a.txt"}
    assert {path for path, _ in source.passed_over} == {".git", "ok/.DS_Store"}
    assert dict(source.ignored)["ok/1.mat"] == "is no image by its name (suffix .mat)"


@pytest.mark.parametrize("given", ["", "oxford-iiit-pet"])
def test_pets_are_named_and_split_as_torchvision_reads_them(tmp_path: Path, given: str) -> None:
    touch(pets(tmp_path), "oxford-iiit-pet/images/Bengal_1.mat", "oxford-iiit-pet/images/Bengal_9.jpg")
    source = list_candidates(DataSettings(source=str(tmp_path / given)))
    assert {c.path: (c.label, c.sides) for c in source.candidates} == {
        "images/Bengal_1.jpg": ("Bengal", ("train", "val")),
        "images/Bengal_2.jpg": ("Bengal", ("test",)),
        "images/long_tail_3.jpg": ("Long Tail", ("train", "val")),
    }
    assert [path for path, _ in source.ignored] == ["images/Bengal_1.mat", "images/Bengal_9.jpg"]


def test_the_class_names_equal_those_of_torchvision(tmp_path: Path) -> None:
    datasets = pytest.importorskip("torchvision.datasets")
    pets(tmp_path)
    theirs = datasets.OxfordIIITPet(str(tmp_path), split="trainval", download=False)
    assert set(theirs.classes) == set(listed(tmp_path).values())


def test_pet_lists_that_contradict_or_cannot_be_read_are_refused(tmp_path: Path) -> None:
    assert "Bengal_1 is listed twice" in refusal(pets(tmp_path / "a", test="Bengal_1 1 1 1\n"))
    assert "test.txt, line 1: 'Bengal_1'" in refusal(pets(tmp_path / "b", test="Bengal_1\n"))
    assert "expected `Breed_number" in refusal(pets(tmp_path / "c", test="../x_1 1 1 1\n"))


def test_elpv_labels_are_cell_type_and_defect_probability(tmp_path: Path) -> None:
    touch(tmp_path, "images/cell1.png", "images/cell2.png")
    (tmp_path / "labels.csv").write_text(
        "images/cell1.png  0.3333333333333333   mono\nimages/cell2.png  0.6666666666666666   poly\n"
    )
    assert listed(tmp_path) == {"images/cell1.png": "mono_33", "images/cell2.png": "poly_67"}


def test_elpv_without_its_package_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install elpv-dataset" in refusal("elpv-dataset")


def test_a_manifest_gives_groups_lists_and_boxes(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    path = manifest(
        tmp_path,
        "path,label,group,split,x,y,w,h,comment\n"
        "a.jpg,hot,mast 7,test,1,2,30,40,first\n"
        "a.jpg,hot,mast 7,test,5,6,7.5,8,second\n"
        "b.jpg,ok,,,,,,,\n",
    )
    first, second = list_candidates(DataSettings(source=str(path))).candidates
    assert (first.path, first.label, first.group, first.sides) == ("a.jpg", "hot", "mast 7", ("test",))
    assert [box.stated() for box in first.boxes or ()] == [[1, 2, 30, 40], [5, 6, 7.5, 8]]
    assert [box.where for box in first.boxes or ()] == [f"{path}, line 2", f"{path}, line 3"]
    assert (second.group, second.sides, second.boxes) == (None, None, None)


def test_files_of_boxes_are_no_longer_ignored_and_strays_are_told(tmp_path: Path) -> None:
    touch(tmp_path, "ok/1.jpg", "ok/2.jpg", "hot/1.jpg", "hot/2.jpg")
    (tmp_path / "hot/1.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (tmp_path / "hot/2.txt").write_text("a photo of a hot clamp")
    source = list_candidates(DataSettings(source=str(tmp_path)))
    assert {path for path, _ in source.ignored} == {"hot/2.txt"}
    assert {candidate.path: candidate.boxes is not None for candidate in source.candidates} == {
        "hot/1.jpg": True,
        "hot/2.jpg": False,
        "ok/1.jpg": False,
        "ok/2.jpg": False,
    }
    (tmp_path / "drawn").mkdir()
    (tmp_path / "drawn/2.xml").write_text("<annotation/>")
    (tmp_path / "drawn/classes.txt").write_text("spot")
    (tmp_path / "drawn/3.txt").touch()
    (tmp_path / "hot/2.jpg").unlink()
    source = list_candidates(DataSettings(source=str(tmp_path), boxes=str(tmp_path / "drawn")))
    assert dict(source.ignored)["3.txt"] == "is a file of boxes, and no image has its name"
    assert "classes.txt" not in dict(source.ignored)
    assert [candidate.path for candidate in source.candidates if candidate.boxes == ()] == ["ok/2.jpg"]


def test_a_manifest_keeps_its_own_boxes(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    path = manifest(tmp_path, "path,label,x,y,w,h\na.jpg,hot,1,2,3,4\nb.jpg,ok,,,,\n")
    first, second = list_candidates(DataSettings(source=str(path))).candidates
    assert [box.stated() for box in first.boxes or ()] == [[1, 2, 3, 4]]
    assert [box.fractions for box in second.boxes or ()] == [True]


def test_groups_and_kinds_name_classes_and_every_fault(tmp_path: Path) -> None:
    touch(tmp_path, "ok/1.jpg", "ok/2.jpg", "hot/1.jpg", "hot/2.jpg", "fan/1.jpg", "fan/2.jpg")
    pump = {"pump": ("ok", "hot")}
    assert (
        check_source(Settings(data=DataSettings(source=str(tmp_path), faults=("hot",), groups=pump))).classes["ok"] == 2
    )
    assert "data.groups.fan names 'warm', which is no class" in refusal(tmp_path, groups={"fan": ("warm",)})
    assert "data.kinds.heat names 'Hot', the class is 'hot'" in refusal(tmp_path, kinds={"heat": ("Hot",)})
    assert "data.groups leave out the fault fan" in refusal(tmp_path, faults=("hot", "fan"), groups=pump)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("path,lable\na.jpg,ok\n", "unknown column 'lable' in the header; did you mean 'label'?"),
        ("file,label\na.jpg,ok\n", "lacks path"),
        ("path label\na.jpg ok\n", "expected commas"),
        ("path,label,x,y\na.jpg,ok,1,2\n", "a box needs all four"),
        ("path,label,label\na.jpg,ok,ok\n", "stands twice"),
        ("path,label\na.jpg,\n", "line 2: label is empty"),
        ("path,label\na.jpg,ok,more\n", "line 2: more values than columns"),
        ("path,label\n../a.jpg,ok\n", "line 2: path '../a.jpg'"),
        ("path,label\n/etc/a.jpg,ok\n", "line 2: path '/etc/a.jpg'"),
        ("path,label\na.jpg,x/y\n", "label 'x/y' cannot name a folder"),
        ("path,label,split\na.jpg,ok,tset\n", "split is 'tset', expected train, val, test, trainval or nothing"),
        ("path,label,x,y,w,h\na.jpg,ok,1,2,0,4\n", "a width and height above 0"),
        ("path,label,x,y,w,h\na.jpg,ok,1,2,,4\n", "expected four numbers"),
        ("path,label\na.jpg,ok\na.jpg,hot\n", "line 3: a.jpg stands in an earlier line too, with another label"),
    ],
)
def test_a_wrong_manifest_is_refused_with_the_line_and_the_remedy(tmp_path: Path, text: str, sentence: str) -> None:
    touch(tmp_path, "a.jpg")
    assert sentence in refusal(manifest(tmp_path, text))


def test_a_manifest_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(b"\xff\xd8\xff\xe0 a picture")
    assert "a file of the kind JPEG; give the folder of the pictures" in refusal(tmp_path / "list.csv")
    (tmp_path / "list.csv").write_bytes(b"path,label\nK\xfchler.jpg,ok\n")
    assert "is no UTF-8 text" in refusal(tmp_path / "list.csv")


def test_what_names_tell_is_refused_in_a_sentence(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "holds no images" in refusal(tmp_path / "empty")
    touch(tmp_path / "one", "ok/1.jpg", "ok/2.jpg", "text/readme.txt")
    assert "holds one class only, ok" in refusal(tmp_path / "one")
    touch(tmp_path / "lonely", "ok/1.jpg", "ok/2.jpg", "hot/3.jpg")
    assert "class hot with a single image" in refusal(tmp_path / "lonely")
    touch(tmp_path / "case", "ok/1.jpg", "ok/2.jpg", "Ok/3.jpg", "Ok/4.jpg")
    assert "Ok (2 images) and ok (2 images) differ in case only" in refusal(tmp_path / "case")


def test_a_name_in_the_settings_must_be_a_class(tmp_path: Path) -> None:
    touch(tmp_path, "normal/1.jpg", "normal/2.jpg", "hotspot/3.jpg", "hotspot/4.jpg")
    assert "did you mean 'hotspot'?" in refusal(tmp_path, faults=("hotspott",))
    assert "the classes are hotspot, normal" in refusal(tmp_path, faults=("xyzzy",))
    assert "they differ in case; write 'hotspot'" in refusal(tmp_path, faults=("Hotspot",))
    assert "data.phrases names 'norml'" in refusal(tmp_path, phrases={"norml": "a normal mast"})
    assert check_source(Settings(data=DataSettings(source=str(tmp_path), faults=("hotspot",)))).classes == {
        "hotspot": 2,
        "normal": 2,
    }


def test_a_layout_that_is_not_there_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "ok/1.jpg", "hot/2.jpg")
    assert "layout oxford-pets expects" in refusal(tmp_path, layout="oxford-pets")
    assert "layout elpv expects labels.csv" in refusal(tmp_path, layout="elpv")
    assert "layout manifest expects a CSV file" in refusal(tmp_path, layout="manifest")
    assert "layout folders needs a folder" in refusal(tmp_path / "ok/1.jpg", layout="folders")


def test_checking_names_loads_nothing_heavy() -> None:
    probe = (
        "import sys, augment.data.sources; print(sorted({'torch', 'sklearn', 'imagehash', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_systems_make_is_left_out_and_named(tmp_path: Path) -> None:
    touch(tmp_path, "ok/1.jpg", "ok/2.jpg", "hot/1.jpg", "hot/2.jpg", "ok/Thumbs.db", "ok/@eaDir/1.jpg/SYNO.jpg")
    touch(tmp_path, "#recycle/3.jpg", "@eaDir/x.jpg", "hot/._1.jpg", "$RECYCLE.BIN/4.jpg", "hot/.secret.jpg")
    source = check_source(Settings(data=DataSettings(source=str(tmp_path))))
    assert source.classes == {"hot": 2, "ok": 2}
    assert source.ignored == ()
    said = next(sentence for sentence in told(source) if "systems make" in sentence)
    assert all(name in said for name in ("#recycle", "@eaDir", "Thumbs.db", "._1.jpg", "$RECYCLE.BIN"))
    assert dict(source.passed_over)["hot/.secret.jpg"] == "is hidden"


def test_files_that_may_show_something_and_are_not_read_come_first(tmp_path: Path) -> None:
    touch(tmp_path, "ok/1.jpg", "ok/2.jpg", "hot/1.jpg", "hot/2.jpg", "ok/a.NEF", "ok/b.avif", "hot/c.mp4", "ok/n.txt")
    touch(tmp_path, "ok/e.jpg.crdownload")
    (tmp_path / "ok/noname").write_bytes(b"\xff\xd8\xff\xe0 a picture by its content")
    source = check_source(Settings(data=DataSettings(source=str(tmp_path))))
    assert [path for path, _ in source.unread] == ["hot/c.mp4", "ok/a.NEF", "ok/b.avif", "ok/e.jpg.crdownload"]
    assert told(source)[0].startswith("4 files that may show something are NOT READ")
    assert "ok/noname" in {candidate.path for candidate in source.candidates}
    assert [path for path, _ in source.ignored] == ["ok/n.txt"]


def test_names_are_compared_in_composed_form_and_kept_as_they_are(tmp_path: Path) -> None:
    decomposed, composed = "O\u0308l", "\u00d6l"
    touch(tmp_path, f"{decomposed}/1.jpg", f"{composed}/2.jpg", "ok/1.jpg", "ok/2.jpg", "ok /3.jpg")
    source = check_source(Settings(data=DataSettings(source=str(tmp_path), faults=(decomposed,))))
    assert source.classes == {"ok": 3, composed: 2}
    assert f"{decomposed}/1.jpg" in {candidate.path for candidate in source.candidates}
    assert any(f"are the class {composed}" in note for note in source.notes)
    assert any("are the class ok" in note and "'ok '" in note for note in source.notes)
    assert DataSettings(faults=(decomposed,), phrases={decomposed: "oil"}).phrases == {composed: "oil"}


def test_names_that_are_no_text_are_told_and_a_class_of_such_a_name_stops(tmp_path: Path) -> None:
    touch(tmp_path, "ok/1.jpg", "ok/2.jpg", "hot/1.jpg", "hot/2.jpg", "hot/K\udcfchler.jpg")
    source = check_source(Settings(data=DataSettings(source=str(tmp_path))))
    assert source.unread == (
        ("hot/K\\udcfchler.jpg", "has a name that is not UTF-8, as old archives leave them; rename it"),
    )
    touch(tmp_path, "\udcd6lleck/1.jpg")
    assert "\\udcd6lleck: the name is not UTF-8, so its 1 files have no label" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("label", "sentence"),
    [
        ("class\nname", "'class\\nname' holds line breaks or invisible characters"),
        ("zero\u200bwidth", "invisible characters"),
        ("L" * 101, "takes 101 bytes, expected at most 100"),
        ("Ö" * 51, "takes 102 bytes"),
        (" ", "a label is empty"),
    ],
)
def test_labels_that_cannot_name_anything_are_refused(tmp_path: Path, label: str, sentence: str) -> None:
    touch(tmp_path, f"{label}/1.jpg", f"{label}/2.jpg", "ok/1.jpg", "ok/2.jpg")
    assert sentence in refusal(tmp_path)


def test_labels_that_a_person_takes_for_one_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{label}/{number}.jpg" for label in ("oil leak", "oil_leak", "ok") for number in "12"))
    assert "oil leak (2 images) and oil_leak (2 images) differ in case, blanks" in refusal(tmp_path)


def test_a_phrase_is_a_short_line(tmp_path: Path) -> None:
    touch(tmp_path, "ok/1.jpg", "ok/2.jpg", "hot/1.jpg", "hot/2.jpg")
    assert "has 101 characters, expected 1 to 100" in refusal(tmp_path, phrases={"hot": "h" * 101})
    assert "has 0 characters" in refusal(tmp_path, phrases={"hot": ""})


def test_pictures_beside_the_class_folders_are_counted(tmp_path: Path) -> None:
    touch(tmp_path, "ok/1.jpg", "ok/2.jpg", "hot/1.jpg", "hot/2.jpg", "5.jpg", "6.jpg")
    source = check_source(Settings(data=DataSettings(source=str(tmp_path))))
    assert "2 pictures left out: each lies beside the class folders, so it has no label" in source.notes


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    touch(tmp_path, "ok/1.jpg", "ok/2.jpg", "hot/1.jpg", "hot/2.jpg")
    os.mkfifo(tmp_path / "ok" / "pipe")
    assert dict(list_candidates(DataSettings(source=str(tmp_path))).ignored)["ok/pipe"] == "is no file that can be read"


def test_levels_are_for_folders_only(tmp_path: Path) -> None:
    path = manifest(tmp_path, "path,label\na.jpg,ok\n")
    assert "data.levels is for a folder per class" in refusal(path, levels="split/class")


def test_a_run_folder_below_the_source_is_no_class(tmp_path: Path) -> None:
    touch(tmp_path, "ok/1.jpg", "ok/2.jpg", "hot/1.jpg", "hot/2.jpg", "run/synthetic/1.png", "run/cache/1.npy")
    touch(tmp_path, "run/pipeline.toml", "pipeline.toml")
    source = check_source(Settings(data=DataSettings(source=str(tmp_path))))
    assert source.classes == {"hot": 2, "ok": 2}
    assert source.unread == ()
    assert dict(source.passed_over)["run"].startswith("is a run folder of rarefault")


def test_a_linked_folder_is_told_where_its_pictures_lie_elsewhere(tmp_path: Path) -> None:
    root = tmp_path / "images"
    touch(root, "ok/1.jpg", "ok/2.jpg", "hot/1.jpg", "hot/2.jpg")
    touch(tmp_path, "archive/1.jpg")
    (root / "cold").symlink_to(tmp_path / "archive")
    (root / "same").symlink_to(root / "hot")
    source = check_source(Settings(data=DataSettings(source=str(root))))
    assert source.unread == (("cold", "is a link to a folder, which is not followed"),)
    assert dict(source.ignored)["same"] == "is a link to a folder, which is not followed"


def test_masks_beside_their_pictures_are_no_pictures_of_the_class(tmp_path: Path) -> None:
    touch(
        tmp_path, "ok/1.jpg", "ok/2.jpg", "ok/face_mask.jpg", "hot/1.jpg", "hot/2.jpg", "hot/1_mask.png", "hot/2-GT.png"
    )
    source = check_source(Settings(data=DataSettings(source=str(tmp_path))))
    assert source.classes == {"hot": 2, "ok": 3}
    assert "2 pictures left out: each is a mask of another picture, by its name" in source.notes


@pytest.mark.parametrize("label", ["l\u0435ak", "\uff4c\uff45\uff41\uff4b"])
def test_labels_of_letters_that_look_alike_are_refused(tmp_path: Path, label: str) -> None:
    touch(tmp_path, *(f"{name}/{number}.jpg" for name in ("leak", label, "ok") for number in "12"))
    assert f"differ in letters that look alike, such as Latin and Cyrillic ones ('leak', {label!a})" in refusal(
        tmp_path
    )


def test_lists_in_other_formats_are_named(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text('[{"path": "1.jpg"}]' * 1000)
    assert "is JSON and no CSV text" in refusal(tmp_path / "list.json")
    (tmp_path / "list.csv").write_text("x" * 5000)
    assert len(refusal(tmp_path / "list.csv")) < 600


def test_lists_beside_the_manifest_are_told(tmp_path: Path) -> None:
    path = manifest(tmp_path, "path,label\na.jpg,ok\n")
    folder = path.parent
    touch(folder, "a.jpg", "old.csv")
    path = path.rename(folder / "manifest.csv")
    assert (
        "beside manifest.csv lie old.csv, which are not read" in list_candidates(DataSettings(source=str(folder))).notes
    )
