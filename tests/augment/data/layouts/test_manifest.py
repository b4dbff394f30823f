"""A manifest is read as spreadsheets write it, and its paths as other systems spell them."""

import unicodedata
from pathlib import Path

import pytest

from augment.data.sources import check_source, list_candidates
from augment.settings import DataSettings, Settings
from edge_runtime.bundle.errors import InputError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"never decoded")


def written(root: Path, text: str, encoding: str = "utf-8") -> Path:
    (root / "list.csv").write_bytes(text.encode(encoding))
    return root / "list.csv"


def source(path: Path):
    return list_candidates(DataSettings(source=str(path)))


def labels(path: Path) -> dict[str, str]:
    return {candidate.path: candidate.label for candidate in source(path).candidates}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(
    "text",
    [
        "path,label\na.jpg,ok\nb.jpg,leak\n",
        "Path;Label\r\na.jpg;ok\r\nb.jpg;leak\r\n",
        "path\tlabel\na.jpg\tok\nb.jpg\tleak\n",
        "sep=;\npath;label\na.jpg;ok\nb.jpg;leak\n",
        '"sep=,"\npath,label\na.jpg,ok\nb.jpg,leak\n',
        "path,label,,\na.jpg,ok,,\nb.jpg,leak,,\n,,,\n,,,\n",
        " PATH , Label \na.jpg, ok \nb.jpg,leak\n\n",
        "path|label\ra.jpg|ok\rb.jpg|leak\r",
    ],
)
def test_what_spreadsheets_write_is_read(tmp_path, text, encoding):
    touch(tmp_path, "a.jpg", "b.jpg")
    assert labels(written(tmp_path, text, encoding)) == {"a.jpg": "ok", "b.jpg": "leak"}


def test_decimal_commas_are_read_and_what_may_be_thousands_is_asked_for(tmp_path):
    touch(tmp_path, "a.jpg")
    path = written(tmp_path, "path;label;x;y;w;h\na.jpg;leak;1,5;2;30,25;4\n")
    assert [box.stated() for box in source(path).candidates[0].boxes] == [[1.5, 2, 30.25, 4]]
    path = written(tmp_path, 'path,label,x,y,w,h\na.jpg,leak,"1,234",2,3,4\n')
    assert "1,234 may be 1234 or 1.234" in str(source(path).problems[0])


def test_all_wrong_lines_are_told_at_once_with_their_numbers(tmp_path):
    touch(tmp_path, "a.jpg", "b.jpg")
    path = written(tmp_path, "sep=,\npath,label,split\na.jpg,ok,Testing\nb.jpg,,\n../c.jpg,ok,\na.jpg,leak,test\n")
    found = source(path)
    assert [problem.where.rpartition(" ")[2] for problem in found.problems] == ["4", "5", "6"]
    assert all(problem.fatal for problem in found.problems)
    assert found.candidates[0].sides == ("test",)
    with pytest.raises(InputError, match=r"line 4: label is empty\n.*line 5: path.*\n.*line 6: a.jpg stands"):
        check_source(Settings(data=DataSettings(source=str(path))))


def test_paths_of_other_systems_are_found(tmp_path):
    decomposed = unicodedata.normalize("NFD", "Öl.jpg")
    touch(tmp_path, "img/a 1.jpg", "img/B.JPG", "img/c.jpg", f"img/{decomposed}")
    rows = ["img\\c.jpg", "img/a%201.jpg", "IMG/b.jpg", f"{tmp_path}/img/c.jpg", "./img//c.jpg", "img/Öl.jpg"]
    path = written(tmp_path, "path,label\n" + "".join(f"{row},ok\n" for row in rows))
    found = source(path)
    expected = sorted(["img/B.JPG", "img/a 1.jpg", "img/c.jpg", f"img/{decomposed}"])
    assert [candidate.path for candidate in found.candidates] == expected
    assert [problem.where for problem in found.problems] == [str(tmp_path)]  # one class only
    assert any("capitals" in note for note in found.notes)
    assert any("web addresses" in note for note in found.notes)


def test_a_composed_name_on_disk_is_found_by_a_decomposed_one_in_the_manifest(tmp_path):
    touch(tmp_path, "Öl.jpg", "b.jpg")
    path = written(tmp_path, unicodedata.normalize("NFD", "path,label\nÖl.jpg,Öl\nb.jpg,ok\n"))
    assert labels(path) == {"Öl.jpg": "Öl", "b.jpg": "ok"}


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        (
            "D:\\Inspection\\img\\a.jpg",
            "is one of a Windows computer; write it from the folder of that file: img/a.jpg",
        ),
        ("\\\\server\\share\\x.jpg", "is one of a Windows computer; expected one from the folder of that file"),
        ("/elsewhere/img/a.jpg", "expected one inside the folder of that file; write it from .*: img/a.jpg"),
    ],
)
def test_a_path_of_another_computer_comes_with_the_one_to_write(tmp_path, path, sentence):
    touch(tmp_path, "img/a.jpg")
    with pytest.raises(InputError, match=sentence):
        check_source(Settings(data=DataSettings(source=str(written(tmp_path, f"path,label\n{path},ok\n")))))


def test_missing_files_stop_beyond_a_share_and_are_told_below_it(tmp_path):
    names = [f"{number}.jpg" for number in range(20)]
    text = "path,label\n" + "".join(f"{name},{'ok' if at % 2 else 'leak'}\n" for at, name in enumerate(names))
    touch(tmp_path, *names[5:])
    path = written(tmp_path, text)
    assert len(check_source(Settings(data=DataSettings(source=str(path)))).problems) == 5
    (tmp_path / "5.jpg").unlink()
    with pytest.raises(InputError, match=r"6 of 20 files have a problem.*\n.*line 2: 0.jpg does not exist"):
        check_source(Settings(data=DataSettings(source=str(path))))


def test_the_manifest_of_a_folder_wins_over_its_folders(tmp_path):
    touch(tmp_path, "x/1.jpg", "x/2.jpg", "y/3.jpg", "y/4.jpg")
    (tmp_path / "Manifest.CSV").write_text("path,label\nx/1.jpg,ok\ny/3.jpg,leak\n")
    found = source(tmp_path)
    assert {candidate.path: candidate.label for candidate in found.candidates} == {"x/1.jpg": "ok", "y/3.jpg": "leak"}
    assert [path for path, _ in found.ignored] == ["x/2.jpg", "y/4.jpg"]
    assert "Manifest.CSV says what the pictures are" in found.notes[0]
    assert "2 pictures beside those of Manifest.CSV stand in no line" in found.notes[1]
    (tmp_path / "Manifest.CSV").write_text("name,size\n")
    with pytest.raises(InputError, match=r'lacks path and label.*set data.layout = "folders"'):
        source(tmp_path)


def test_a_workbook_is_told_from_a_table(tmp_path):
    (tmp_path / "list.xlsx").write_bytes(b"PK\3\4 and so on")
    with pytest.raises(InputError, match=r"is no CSV text but a file of the kind Excel document; save it as CSV"):
        source(tmp_path / "list.xlsx")
