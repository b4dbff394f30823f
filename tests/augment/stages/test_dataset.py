"""The dataset stage from files to a document: hostile files, stability, resumption, and the real sets."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import imagehash
import numpy as np
import pytest
from PIL import Image

from augment.data.image_store import ImageStore
from augment.data.sources import list_candidates
from augment.json_objects import as_plain
from augment.record_types import FileFacts
from augment.records import DATASET, Document, RunFolder
from augment.settings import DataSettings, Settings
from augment.stages import dataset
from augment.stages.dataset import run
from edge_runtime.bundle.errors import InputError
from edge_runtime.media.image_files import read_image
from tests.support import DATA
from tests.support.sample_events import wait_until


def picture(seed: int, width: int = 48, height: int = 40) -> np.ndarray:
    """A scene of coarse random blocks: every seed looks different to a perceptual hash."""
    blocks = np.random.default_rng(seed).integers(0, 256, (5, 6, 1), np.uint8)
    return cv2.resize(np.repeat(blocks, 3, axis=2), (width, height), interpolation=cv2.INTER_NEAREST)


def write(path: Path, frame: np.ndarray, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(frame).save(path, **options)
    return path


def scenes(root: Path, classes: tuple[str, ...] = ("hot", "ok"), count: int = 12) -> Path:
    for place, label in enumerate(classes):
        for at in range(count):  # numbers ten apart: no burst
            write(root / label / f"{label}{at}0.png", picture(1000 * place + at))
    return root


def settings_for(source: object, **data: Any) -> Settings:
    return Settings(data=DataSettings(source=str(source), **data))


def made(source: Path, out: Path, **data: Any) -> Document:
    return run(settings_for(source, **data), RunFolder(out))


def by_path(document: Document) -> dict[str, Any]:
    return {record.path: record for record in document.records}


def reasons(document: Document, key: str) -> dict[str, str]:
    return {entry.path: entry.reason for entry in getattr(document.summary, key)}


def content(document: Document) -> Any:
    """What must not depend on where the images lie and when they were read."""
    return {"records": document.records, "summary": document.summary, "parent": document.inputs.parent}


def test_a_record_says_what_the_file_is_and_where_it_stands(tmp_path: Path) -> None:
    document = made(scenes(tmp_path / "in"), tmp_path / "run")
    record = by_path(document)["hot/hot30.png"]
    data = (tmp_path / "in/hot/hot30.png").read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    with Image.open(tmp_path / "in/hot/hot30.png") as image:
        phash = str(imagehash.phash(image))
    assert as_plain(record) == {
        "id": sha256[:16],
        "path": "hot/hot30.png",
        "sha256": sha256,
        "width": 48,
        "height": 40,
        "label": "hot",
        "split": record.split,
        "group": sha256[:16],
        "origin": "folders",
        "phash": phash,
        "notes": [],
    }
    assert [r.id for r in document.records] == sorted(r.id for r in document.records)
    assert document.summary.splits == {"train": 14, "val": 5, "test": 5} or sum(document.summary.splits.values()) == 24
    assert str(tmp_path) not in json.dumps(as_plain(content(document)))


def test_hostile_files_are_quarantined_with_a_reason_and_never_a_crash(tmp_path: Path) -> None:
    root = scenes(tmp_path / "in")
    (root / "ok/empty.jpg").touch()
    (root / "ok/text.jpg").write_text("no picture")
    whole = write(root / "ok/whole.jpg", picture(77, 200, 200)).read_bytes()
    (root / "ok/cut.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "ok/folder.png").mkdir()
    (root / "ok/nowhere.png").symlink_to(root / "absent")
    write(root / "ok/bomb.png", np.zeros((9000, 9000), np.uint8))
    os.mkfifo(root / "ok/pipe.png")
    found = reasons(made(root, tmp_path / "run"), "quarantined")
    assert set(found) == {
        f"ok/{name}" for name in ("empty.jpg", "text.jpg", "cut.jpg", "nowhere.png", "bomb.png", "pipe.png")
    }
    assert "0 bytes" in found["ok/empty.jpg"]
    assert "9000 x 9000 pixels" in found["ok/bomb.png"]
    assert "no regular file" in found["ok/pipe.png"]


def test_other_modes_and_wrong_extensions_are_converted_with_a_note(tmp_path: Path) -> None:
    root = scenes(tmp_path / "in")
    write(root / "ok/gif.jpg", picture(1001, 60, 50), format="GIF")
    rgba = np.dstack([picture(1002, 60, 50), np.full((50, 60), 255, np.uint8)])
    write(root / "ok/rgba.jpg", rgba, format="PNG")
    Image.fromarray(picture(1003, 60, 50)).convert("CMYK").save(root / "ok/cmyk.jpg")
    write(root / "ok/deep.png", (picture(1004, 60, 50)[..., 0].astype(np.uint16) * 256))
    records = by_path(made(root, tmp_path / "run"))
    notes = {name: " ".join(records[f"ok/{name}"].notes) for name in ("gif.jpg", "rgba.jpg", "cmyk.jpg", "deep.png")}
    assert "GIF named .jpg" in notes["gif.jpg"]
    assert "PNG named .jpg" in notes["rgba.jpg"]
    assert "CMYK" in notes["cmyk.jpg"]
    assert "16 bits" in notes["deep.png"]


def test_orientation_is_honoured(tmp_path: Path) -> None:
    root = scenes(tmp_path / "in")
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera was held upright
    write(root / "ok/turned.jpg", picture(5, 80, 60), exif=turned)
    settings = settings_for(root)
    record = by_path(run(settings, RunFolder(tmp_path / "run")))["ok/turned.jpg"]
    assert (record.width, record.height) == (60, 80)
    assert ImageStore(settings).frame(record).shape == (80, 60, 3)


def test_a_changed_image_is_noticed_when_it_is_opened(tmp_path: Path) -> None:
    settings = settings_for(scenes(tmp_path / "in"))
    record = run(settings, RunFolder(tmp_path / "run")).records[0]
    write(tmp_path / "in" / record.path, picture(1, 99, 98))
    with pytest.raises(InputError, match="is 99 x 98 pixels, the dataset document says 48 x 40"):
        ImageStore(settings).frame(record)


def test_copies_are_dropped_and_contradicting_copies_quarantined(tmp_path: Path) -> None:
    root = scenes(tmp_path / "in")
    write(root / "ok/zz_copy.png", picture(1000))
    write(root / "hot/twin.png", picture(5000))
    write(root / "ok/twin.png", picture(5000))
    document = made(root, tmp_path / "run")
    assert reasons(document, "dropped") == {"ok/zz_copy.png": "has the same bytes as ok/ok00.png"}
    assert document.summary.exact_copies == 1
    assert set(reasons(document, "quarantined")) == {"hot/twin.png", "ok/twin.png"}
    assert "as hot and as ok" in reasons(document, "quarantined")["ok/twin.png"]


def test_re_encoded_images_and_bursts_stand_on_one_side(tmp_path: Path) -> None:
    root = scenes(tmp_path / "in")
    for at in range(12):
        write(root / f"ok/again_{'abcdefghijkl'[at]}.jpg", picture(1000 + at), quality=80)
        shot = np.roll(picture(7000 + at, 96, 80), 6, axis=1)
        write(root / f"hot/mast_{10 * at}.png", picture(7000 + at, 96, 80))
        write(root / f"ok/mast_{10 * at + 1}.png", shot)
    document = made(root, tmp_path / "run")
    records = by_path(document)
    for at in range(12):
        again, first = records[f"ok/again_{'abcdefghijkl'[at]}.jpg"], records[f"ok/ok{at}0.png"]
        assert (again.group, again.split) == (first.group, first.split)
        shots = records[f"hot/mast_{10 * at}.png"], records[f"ok/mast_{10 * at + 1}.png"]
        assert shots[0].group == shots[1].group
        assert shots[0].split == shots[1].split
    assert document.summary.perceptual_pairs >= 12
    assert document.summary.straddling_pairs == 0


def test_the_line_for_the_terminal_counts_what_was_left_out(tmp_path: Path) -> None:
    root = scenes(tmp_path / "in")
    (root / "ok/empty.jpg").touch()
    line = dataset.summary_line(made(root, tmp_path / "run"))
    assert line.startswith("24 images of 2 classes in 24 groups: ")
    assert line.endswith("; 0 of 0 duplicate pairs across the split; 1 quarantined (reasons in the document)")


def test_groups_of_a_manifest_are_kept_and_its_boxes_recorded(tmp_path: Path) -> None:
    root = scenes(tmp_path / "in")
    rows = [f"{path.relative_to(root).as_posix()}," + path.parent.name for path in sorted(root.rglob("*.png"))]
    lines = [f"{row},mast {at % 8},{at},2,10,12" for at, row in enumerate(rows)]
    (root / "list.csv").write_text("\n".join(["path,label,group,x,y,w,h", *lines]))
    document = made(root / "list.csv", tmp_path / "run")
    assert document.summary.groups == 8
    for at, row in enumerate(rows):
        record = by_path(document)[row.split(",")[0]]
        assert record.boxes == [[at, 2.0, 10.0, 12.0]]
        assert record.group == min(by_path(document)[other.split(",")[0]].id for other in rows[at % 8 :: 8])


def test_boxes_of_files_become_pixels_of_the_record_and_oddities_are_told(tmp_path: Path) -> None:
    root = scenes(tmp_path / "in")
    (root / "hot/hot00.txt").write_text("0 0.5 0.5 0.25 0.5\n1 0.95 0.5 0.25 0.5\n")
    (root / "hot/hot10.txt").touch()
    voc = "<object><name>{}</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>8</ymax></bndbox></object>"
    (root / "hot/hot20.xml").write_text(f"<annotation>{voc.format('clamp')}{voc.format('hot')}</annotation>")
    (root / "ok/ok00.xml").write_text(f"<annotation>{voc.format('hot')}</annotation>")
    (root / "ok/ok10.xml").write_text(f"<annotation>{voc.format('ok')}</annotation>")
    document = made(root, tmp_path / "run", faults=("hot",))
    records = by_path(document)
    assert records["hot/hot00.png"].boxes == [[18.0, 10.0, 12.0, 20.0], [39.6, 10.0, pytest.approx(8.4), 20.0]]
    assert records["hot/hot00.png"].notes == ["box 39.6, 10, 12, 20 sticks out and is cut at the border"]
    assert records["hot/hot20.png"].boxes == [[1.0, 2.0, 8.0, 6.0]]
    assert records["hot/hot20.png"].notes == ["a box is named clamp and left out"]
    assert records["ok/ok00.png"].boxes == ()
    hints = [hint for hint in document.summary.hints if "box" in hint]
    assert [hint.split(" images ")[0] for hint in hints] == ["1", "1", "1", "9"]
    assert "(first ok/ok00.png)" in hints[0]
    assert hints[1].endswith("are these x, y, width and height? (first hot/hot00.png)")
    assert hints[2] == "1 images of a fault have a file of boxes without one; is the label right? (first hot/hot10.png)"
    assert "have no boxes: they teach which images show it, and not where" in hints[3]
    assert str(tmp_path) not in json.dumps(as_plain(content(document)))


def test_impossible_boxes_are_told_together_with_their_lines(tmp_path: Path) -> None:
    root = scenes(tmp_path / "in")
    rows = ["path,label,x,y,w,h", "hot/hot00.png,hot,0.1,0.2,0.3,0.4", "hot/hot10.png,hot,48,2,9,9"]
    rows += [f"{path.relative_to(root).as_posix()},{path.parent.name},,,," for path in sorted(root.rglob("*.png"))[2:]]
    (root / "list.csv").write_text("\n".join(rows))
    with pytest.raises(InputError) as caught:
        made(root / "list.csv", tmp_path / "run")
    headline, *told = str(caught.value).splitlines()
    assert headline.startswith("2 of 2 boxes have a problem, more than the share of 0.25 that may be left out")
    assert "list.csv, line 2: box 0.1, 0.2, 0.3, 0.4 (x, y, width, height) is less than a pixel" in told[0]
    assert "list.csv, line 3: box 48, 2, 9, 9 lies outside the image of 48 x 40 pixels" in told[1]


def test_boxes_of_a_turned_picture_are_those_of_the_upright_one(tmp_path: Path) -> None:
    root = scenes(tmp_path / "in")
    turned = Image.Exif()
    turned[0x0112] = 6  # stored 80 x 60, shown 60 x 80
    write(root / "hot/turned.jpg", picture(5, 80, 60), exif=turned)
    (root / "hot/turned.txt").write_text("0 0.5 0.5 0.5 0.25\n")
    record = by_path(made(root, tmp_path / "run"))["hot/turned.jpg"]
    assert record.boxes == [[15.0, 30.0, 30.0, 20.0]]
    (root / "hot/turned.xml").write_text(
        "<annotation><size><width>80</width><height>60</height></size>"
        "<object><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>8</ymax></bndbox></object></annotation>"
    )
    with pytest.raises(InputError, match="drawn on an image of 80 x 60 pixels, but the image has 60 x 80"):
        made(root, tmp_path / "run")


@pytest.mark.parametrize("folds", [0, 3])
def test_blocks_of_numbers_stand_on_one_side(tmp_path: Path, folds: int) -> None:
    root = scenes(tmp_path / "in")  # hot00 .. hot110 and ok00 .. ok110
    for at in range(12):
        write(root / "hot" / f"IMG_{2 * at}.png", picture(3000 + at))
        write(root / "ok" / f"IMG_{2 * at + 1}.png", picture(4000 + at))
    document = made(root, tmp_path / "run", blocks=6, folds=folds, burst_gap=0)
    blocks: dict[int, set[tuple[str, str]]] = {}
    for path, record in by_path(document).items():
        if "IMG" in path:
            blocks.setdefault(int(Path(path).stem[4:]) // 6, set()).add((record.group, record.split))
    assert {block: len(places) for block, places in blocks.items()} == dict.fromkeys(range(4), 1)
    assert len({group for places in blocks.values() for group, _ in places}) == 4


def test_a_file_of_boxes_does_not_deal_the_split_anew(tmp_path: Path) -> None:
    root = scenes(tmp_path / "in")
    before = {record.id: record.split for record in made(root, tmp_path / "run").records}
    (tmp_path / "drawn").mkdir()
    (tmp_path / "drawn/hot00.txt").write_text("0 0.5 0.5 0.25 0.5\n")
    document = made(root, tmp_path / "run", boxes=str(tmp_path / "drawn"))
    assert document.version == 2
    assert {record.id: record.split for record in document.records} == before


def test_lists_of_a_manifest_are_respected(tmp_path: Path) -> None:
    root = scenes(tmp_path / "in")
    paths = [path.relative_to(root).as_posix() for path in sorted(root.rglob("*.png"))]
    lists = {path: "test" if at % 3 == 0 else "train" for at, path in enumerate(paths)}
    lines = [f"{path},{path.split('/')[0]},{lists[path]}" for path in paths]
    (root / "list.csv").write_text("\n".join(["path,label,split", *lines]))
    records = by_path(made(root / "list.csv", tmp_path / "run"))
    assert {path for path in paths if records[path].split == "test"} == {p for p in paths if lists[p] == "test"}
    assert {records[path].split for path in paths if lists[path] == "train"} == {"train", "val"}


def test_a_class_whose_files_cannot_be_read_stops_with_a_sentence(tmp_path: Path) -> None:
    root = scenes(tmp_path / "in")
    for name in ("a.jpg", "b.jpg"):
        (root / "lost").mkdir(exist_ok=True)
        (root / "lost" / name).touch()
    with pytest.raises(InputError, match=r"none of the 2 images of class lost can be used; lost/a.jpg: .*0 bytes"):
        made(root, tmp_path / "run")


def never(path: Path) -> Any:
    raise AssertionError(f"{path} was read")


def test_a_finished_stage_is_not_run_again(tmp_path: Path) -> None:
    settings = settings_for(scenes(tmp_path / "in"))
    first = run(settings, RunFolder(tmp_path / "run"))
    reworded = replace(settings, data=replace(settings.data, phrases={"hot": "a hot mast"}, faults=("hot",)))
    assert run(reworded, RunFolder(tmp_path / "run"), never) == first


def test_place_and_time_do_not_change_the_document(tmp_path: Path) -> None:
    first = made(scenes(tmp_path / "in"), tmp_path / "run")
    (tmp_path / "else").mkdir()
    for path in sorted((tmp_path / "in").rglob("*.png"), reverse=True):
        target = tmp_path / "else" / path.relative_to(tmp_path / "in")
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes())
    assert content(made(tmp_path / "else", tmp_path / "other")) == content(first)


def test_new_images_join_without_moving_old_ones(tmp_path: Path) -> None:
    root = scenes(tmp_path / "in", count=15)
    first = made(root, tmp_path / "run")
    before = {record.id: record.split for record in first.records}
    for at in range(15):
        write(root / "hot" / f"new{at}0.png", picture(4000 + at))
    write(root / "ok/again.jpg", picture(1003), quality=85)
    second = made(root, tmp_path / "run")
    after = {record.id: record.split for record in second.records}
    assert second.version == 2
    assert len(after) == len(before) + 16
    assert {id_: after[id_] for id_ in before} == before
    assert by_path(second)["ok/again.jpg"].split == by_path(first)["ok/ok30.png"].split
    assert {r.split for r in second.records if "/new" in r.path} == {"train", "val", "test"}
    assert second.summary.straddling_pairs == 0


def test_other_shares_deal_anew(tmp_path: Path) -> None:
    root = scenes(tmp_path / "in", count=15)
    made(root, tmp_path / "run")
    again = made(root, tmp_path / "run", test_share=0.4)
    assert content(again) == content(made(root, tmp_path / "fresh", test_share=0.4))


def test_a_stopped_stage_goes_on_where_it_was(tmp_path: Path) -> None:
    root = scenes(tmp_path / "in")
    whole = made(root, tmp_path / "whole")
    settings, folder = settings_for(root), RunFolder(tmp_path / "run")
    reads: list[Path] = []

    def stop_after_ten(path: Path) -> Any:
        if len(folder.journal(DATASET, FileFacts, whole.inputs.parent).read()) == 10:
            raise KeyboardInterrupt
        return read_image(path)

    with pytest.raises(KeyboardInterrupt):
        run(settings, folder, stop_after_ten, batch=5)
    assert content(run(settings, folder, lambda path: reads.append(path) or read_image(path))) == content(whole)
    assert len(reads) == 14
    assert [path.name for path in (tmp_path / "run/dataset").iterdir()] == ["v0001.json"]


def test_a_killed_stage_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    root = scenes(tmp_path / "in", count=30)
    whole = made(root, tmp_path / "whole")
    program = (
        "import sys; from augment.stages.dataset import run; from augment.records import RunFolder;"
        "from pathlib import Path; from augment.settings import DataSettings, Settings;"
        "run(Settings(data=DataSettings(source=sys.argv[1])), RunFolder(Path(sys.argv[2])), batch=1)"
    )
    journal = tmp_path / "run/dataset/journal.jsonl"
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(root), str(tmp_path / "run")], stderr=subprocess.DEVNULL
    )
    wait_until(
        lambda: child.poll() is not None or (journal.exists() and journal.read_bytes().count(b"\n") > 3), seconds=120
    )
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert content(made(root, tmp_path / "run")) == content(whole)


# The real sets


def real(name: str) -> Path:
    if not (DATA / name).is_dir():
        pytest.skip(f"../shared/data/{name} is absent: it is not part of this repository")
    return DATA / name


def hashed_anew(document: Document, settings: Settings) -> int:
    """Pairs across the split whose hashes, taken from the files by imagehash itself, are within 6 bits."""
    store = ImageStore(settings)
    planes, sides = [], []
    for record in document.records:
        with Image.open(store.path(record)) as image:
            planes.append(imagehash.phash(image).hash.ravel())
        sides.append(record.split)
    bits = np.array(planes)
    distance = (bits[:, None, :] != bits[None]).sum(axis=2)
    return int(((distance <= 6) & (np.array(sides)[:, None] != np.array(sides)[None])).sum() // 2)


def test_thermal_photographs_are_split_without_a_duplicate_across(tmp_path: Path) -> None:
    settings = settings_for(real("substation_thermal"), faults=("line_hotspot", "substation_hotspot"))
    document = run(settings, RunFolder(tmp_path))
    assert document.summary.images == 815
    assert document.summary.quarantined == document.summary.dropped == []
    assert min(min(sides.values()) for sides in document.summary.classes.values()) >= 4
    assert document.summary.largest_group < 20
    assert document.summary.straddling_pairs == hashed_anew(document, settings) == 0
    groups = {record.path.rsplit("/")[-1]: record.group for record in document.records}
    assert groups["Line_50.jpg"] == groups["Line_51.jpg"]  # two shots of one clamp
    assert groups["Line_237.jpg"] == groups["Line_238.jpg"]


def test_pets_keep_their_own_lists_and_odd_files_do_no_harm(tmp_path: Path) -> None:
    settings = settings_for(real("oxford-iiit-pet-3"))
    document = run(settings, RunFolder(tmp_path))
    listed = (DATA / "oxford-iiit-pet-3/oxford-iiit-pet/annotations/test.txt").read_text().split("\n")
    test = {Path(record.path).stem for record in document.records if record.split == "test"}
    assert test == {line.split()[0] for line in listed if line}
    assert set(document.summary.classes) == {"Abyssinian", "American Bulldog", "Bengal"}
    assert "is a PNG named .jpg" in by_path(document)["images/Abyssinian_5.jpg"].notes
    assert reasons(document, "ignored")["images/Abyssinian_100.mat"] == "stands in no list"
    assert document.summary.straddling_pairs == hashed_anew(document, settings) == 0


def test_solar_cells_have_eight_classes_and_no_duplicate_across(tmp_path: Path) -> None:
    pytest.importorskip("elpv_dataset", reason="the package elpv-dataset is not installed")
    whole = list_candidates(settings_for("elpv-dataset").data)
    counts = Counter(candidate.label for candidate in whole.candidates)
    mono = {"mono_0": 588, "mono_33": 117, "mono_67": 56, "mono_100": 313}
    assert counts == mono | {"poly_0": 920, "poly_33": 178, "poly_67": 50, "poly_100": 402}
    # Every picture is compared with every other: these 140 cells are enough, and have the pair that was found.
    (tmp_path / "images").symlink_to(whole.root / "images")
    (tmp_path / "labels.csv").write_text("".join((whole.root / "labels.csv").read_text().splitlines(True)[2300:2440]))
    document = run(settings_for(tmp_path), RunFolder(tmp_path / "run"))
    # 2369 and 2370 are one picture but for noise. Cells of one batch that only a faint streak parts are kept.
    twice = {path.path for path in document.summary.quarantined if "no difference beyond that" in path.reason}
    assert twice == {"images/cell2369.png", "images/cell2370.png"}
    assert document.summary.straddling_pairs == 0
    assert document.summary.images == 138
    assert min(document.summary.splits.values()) > 0
