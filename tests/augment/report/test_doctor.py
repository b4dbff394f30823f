"""`rarefault doctor`: what is wrong with a folder of pictures, the most dangerous first, with an exit code."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from augment.cli import main
from augment.report import doctor
from augment.settings import DataSettings, Settings
from augment.stages.dataset import examine

EMPTY = "is empty (0 bytes); copy it again, or download it if it is kept in a cloud"


def pictures(root: Path, **counts: int) -> Path:
    """Random pictures of 40 x 48 pixels, `counts` of each class, with numbers ten apart: no burst."""
    for place, (label, count) in enumerate(counts.items()):
        (root / label).mkdir(parents=True, exist_ok=True)
        for at in range(count):
            blocks = np.random.default_rng([place, at]).integers(0, 256, (5, 6, 3), np.uint8)
            frame = cv2.resize(blocks, (48, 40), interpolation=cv2.INTER_NEAREST)
            cv2.imwrite(str(root / label / f"{label}{at}0.png"), frame)
    return root


def looked_at(source: object, **data: object) -> list[doctor.Section]:
    section = DataSettings(source=str(source), **data)
    examined = examine(Settings(data=section))
    return doctor.sections(examined.summary, examined.checks, section)


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["doctor", *map(str, arguments)])
    return done.exit_code, done.stdout


def test_a_sound_folder_is_counted_and_nothing_is_found_or_written(tmp_path):
    root = pictures(tmp_path / "images", leak=10, sound=12)
    before = sorted(tmp_path.rglob("*"))
    code, told = run(root, "--fault", "leak")
    assert code == doctor.FINE
    assert "22 usable pictures of 2 classes" in told
    assert any(line.split()[:3] == ["leak", "10", "10"] for line in told.splitlines())
    assert "40 x 48" not in told  # width comes first
    assert "48 x 40" in told
    assert "rarefault init" in told
    assert sorted(tmp_path.rglob("*")) == before


def test_what_stops_a_run_stands_first_and_everything_is_told_at_once(tmp_path):
    root = pictures(tmp_path / "images", leak=10, sound=12)
    rows = [f"{path.relative_to(root).as_posix()},{path.parent.name},0.1,0.2,0.3,0.4" for path in root.rglob("*.png")]
    (root / "list.csv").write_text("\n".join(["path,label,x,y,w,h", *rows, "gone.png,leak,,,,"]))
    found = looked_at(root / "list.csv", faults=("leek",), least_side=44)
    assert [section.level for section in found][:3] == [doctor.STOPS] * 3
    told = [line for section in found for line in section.lines]
    assert any("did you mean 'leak'" in line for line in told)
    assert any("shorter side less than 44" in line for line in told)
    assert doctor.exit_code(found) == doctor.STOPS


def test_warnings_name_the_file_what_it_costs_and_what_to_do(tmp_path):
    root = pictures(tmp_path / "images", leak=10, sound=12, DCIM=9)
    (root / "leak" / "empty.jpg").touch()
    (root / "sound" / "twin.png").write_bytes((root / "leak" / "leak00.png").read_bytes())
    (root / "sound" / "again.png").write_bytes((root / "sound" / "sound00.png").read_bytes())
    (root / "notes.txt").write_text("visited on Monday")
    (root / "leak" / "layers.psd").write_bytes(b"8BPS" + bytes(60))
    titles = {section.title: section for section in looked_at(root)}
    assert {section.level for section in titles.values()} == {doctor.LOOK}
    unread, contradicting = list(titles.values())[:2]
    assert unread.title.startswith("1 files that may show something are NOT READ")
    assert unread.lines[0].startswith("leak/layers.psd: ")
    assert contradicting.title == "2 pictures stand under two labels"
    assert "leak/leak00.png, sound/twin.png" in contradicting.lines[0]
    assert titles["1 files cannot be used"].lines == [f"leak/empty.jpg: empty.jpg {EMPTY}"]
    assert titles["1 pictures are left out beside others"].lines[0].startswith("sound/sound00.png: has the same bytes")
    assert any("notes.txt" in line for line in titles["1 files and folders are not read"].lines)
    assert titles["1 names of classes hardly name what a picture shows"].lines == ["DCIM looks like a collection"]


def test_a_fault_from_a_single_visit_is_told(tmp_path):
    root = pictures(tmp_path / "images", sound=12)
    frame = cv2.imread(str(root / "sound" / "sound00.png"))
    (root / "leak").mkdir()
    for number in range(5):  # shots of one series
        cv2.imwrite(str(root / "leak" / f"DSC_{number:04d}.png"), np.roll(255 - frame, number, axis=1))
    (section,) = looked_at(root, faults=("leak",))
    assert section.lines[0].startswith("class leak has no validation and no test image")
    assert "its 5 images are 1 group of images" in section.lines[0]


@pytest.mark.parametrize(("counts", "sentence"), [({}, "does not exist"), ({"leak": 5}, "one class only")])
def test_a_source_that_is_none_ends_with_its_sentence(tmp_path, counts, sentence):
    root = tmp_path / "images"
    pictures(root, **counts)
    done = CliRunner().invoke(main, ["doctor", str(root)])
    assert done.exit_code == doctor.STOPS
    assert sentence in done.output


def test_json_holds_every_line_and_the_exit_code(tmp_path):
    root = pictures(tmp_path / "images", leak=10, sound=12)
    for number in range(12):
        (root / "leak" / f"empty{number}.jpg").touch()
    code, text = run(root, "--format", "json")
    told = json.loads(text)
    assert (code, told["exit_code"]) == (doctor.STOPS, doctor.STOPS)
    assert len(told["sections"][0]["lines"]) == 12
    assert told["summary"]["classes"]["sound"].keys() == {"train", "val", "test"}
    _, short = run(root)
    assert "... and 4 more; --all lists them" in short
    assert "empty11.jpg" in run(root, "--all")[1]


@pytest.mark.parametrize("given", ["nowhere", ""])
def test_json_says_too_why_there_is_nothing_to_look_at(tmp_path, given):
    code, text = run(given and tmp_path / given, "--format", "json")
    told = json.loads(text)
    assert (code, told["exit_code"], told["summary"]) == (doctor.STOPS, doctor.STOPS, None)
    assert told["sections"][0]["lines"][0].startswith("data.source is ")


def test_what_has_a_section_of_its_own_is_told_once(tmp_path):
    root = pictures(tmp_path / "images", leak=10, sound=12, masks=8)
    for path in sorted((root / "leak").iterdir()):
        cv2.imwrite(str(path.with_suffix(".jpg")), cv2.imread(str(path)), [cv2.IMWRITE_JPEG_QUALITY, 40])
        path.unlink()
    found = looked_at(root)
    titles = {section.title: section for section in found}
    assert titles["A class can be told without looking at what its pictures show"].lines
    assert not any("shortcut" in line for section in found for line in section.lines)
    odd = titles["1 names of classes hardly name what a picture shows"]
    assert odd.lines == ["masks looks like labels or masks rather than pictures"]
