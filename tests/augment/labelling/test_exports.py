import json

import cv2
import numpy as np
import pytest

from augment.data.sources import list_candidates
from augment.labelling.exports import Known, manifest_file, outcome, write_coco, write_manifest, write_yolo
from augment.settings import DataSettings
from edge_runtime.bundle.errors import InputError
from edge_runtime.labelling.journal import CANNOT_TELL, LABEL, SOMETHING_ELSE, Answer, Given

BOX = (10.0, 20.0, 30.0, 15.5)


@pytest.fixture
def data(tmp_path):
    """A folder per class of six pictures, whose files are 100 x 50 pixels."""
    root = tmp_path / "yard"
    for place, name in enumerate(
        ["rust/=1.jpg", "rust/2, b.jpg", "rust/3.jpg", "sound/4.jpg", "sound/5.jpg", "sound/6.jpg"]
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((50, 100, 3), 20 * place, np.uint8))
    (root / "rust" / "3.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    return root


def known(root):
    return [
        Known(one.path, one.label, tuple(tuple(box.pixels(100, 50)[0]) for box in one.boxes or ()))
        for one in list_candidates(DataSettings(source=str(root))).candidates
    ]


def given(*answers):
    return {answer.id: Given(answer, "anna", "2026-11-26T02:10:00+00:00") for answer in answers}


ANSWERS = (
    Answer("rust/=1.jpg", LABEL, "rust", (BOX, (1.0, 1.0, 5.0, 5.0))),
    Answer("rust/3.jpg", LABEL, "sound"),
    Answer("sound/4.jpg", SOMETHING_ELSE),
    Answer("sound/5.jpg", CANNOT_TELL),
)


def test_the_manifest_is_a_source_with_labels_and_boxes_as_they_were_given(data):
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    found = outcome(known(data), given(*ANSWERS))
    path = manifest_file(data.parent / "yard-labels.csv", data)
    write_manifest(path, data, found.rows)
    source = list_candidates(DataSettings(source=str(path)))
    assert not [problem for problem in source.problems if problem.fatal]
    by_path = {one.path: one for one in source.candidates}
    assert {path: one.label for path, one in by_path.items()} == {
        "yard/rust/=1.jpg": "rust",
        "yard/rust/2, b.jpg": "rust",
        "yard/rust/3.jpg": "sound",
        "yard/sound/6.jpg": "sound",
    }
    assert [(box.x, box.y, box.width, box.height) for box in by_path["yard/rust/=1.jpg"].boxes] == [BOX, (1, 1, 5, 5)]
    assert found.left_out == {SOMETHING_ELSE: 1, CANNOT_TELL: 1}
    assert {path: path.read_bytes() for path in before} == before


def test_boxes_that_a_person_took_away_do_not_come_back_from_the_file_beside_the_picture(data):
    path = data / "labels.csv"
    write_manifest(path, data, outcome(known(data), given(*ANSWERS)).rows)
    by_path = {one.path: one for one in list_candidates(DataSettings(source=str(path))).candidates}
    assert by_path["rust/3.jpg"].boxes == ()
    write_manifest(path, data, outcome(known(data), {}).rows)
    by_path = {one.path: one for one in list_candidates(DataSettings(source=str(path))).candidates}
    assert len(by_path["rust/3.jpg"].boxes) == 1


def test_a_manifest_that_could_not_name_its_pictures_is_refused(data, tmp_path):
    with pytest.raises(InputError, match="or in a folder above it"):
        manifest_file(tmp_path / "elsewhere" / "labels.csv", data)
    with pytest.raises(InputError, match=r"expected the name of a \.csv file"):
        manifest_file(data / "labels.txt", data)


@pytest.mark.parametrize("shape", ["coco", "yolo"])
def test_exported_boxes_are_read_back_as_they_were_given(data, tmp_path, shape):
    (data / "rust" / "3.txt").unlink()
    rows = outcome(known(data), given(ANSWERS[0])).rows
    sizes = {row.path: (100, 50) for row in rows}
    if shape == "coco":
        write_coco(tmp_path / "boxes.json", rows, sizes)
        categories = json.loads((tmp_path / "boxes.json").read_text())["categories"]
        assert [one["name"] for one in categories] == ["rust", "sound"]
        boxes = tmp_path / "boxes.json"
    else:
        write_yolo(tmp_path / "yolo", rows, sizes)
        boxes = tmp_path / "yolo"
    source = list_candidates(DataSettings(source=str(data), boxes=str(boxes)))
    assert [str(problem) for problem in source.problems] == []
    found = next(one for one in source.candidates if one.path == "rust/=1.jpg")
    assert [box.pixels(100, 50)[0] for box in found.boxes] == [
        pytest.approx(BOX, abs=0.01),
        pytest.approx((1, 1, 5, 5)),
    ]


def test_two_pictures_that_yolo_cannot_tell_apart_are_refused(tmp_path):
    rows = outcome([Known("a/1.jpg", "rust"), Known("a/1.png", "rust")], {}).rows
    with pytest.raises(InputError, match="YOLO has one file"):
        write_yolo(tmp_path, rows, {row.path: (10, 10) for row in rows})
