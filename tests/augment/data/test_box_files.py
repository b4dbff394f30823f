"""Pascal VOC, YOLO and COCO: what good files say, and one sentence for each thing that is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from augment.data.box_files import read_boxes, read_coco
from edge_runtime.bundle.errors import InputError

VOC = """<annotation><size><width>100</width><height>80</height><depth>3</depth></size>
<object><name> spot </name><bndbox><xmin>10</xmin><ymin>20.5</ymin><xmax>40</xmax><ymax>60</ymax></bndbox></object>
<object><name>crack</name><bndbox><xmax>9</xmax><ymin>1</ymin><xmin>0</xmin><ymax>4</ymax></bndbox></object>
</annotation>"""
BOMB = '<!DOCTYPE a [<!ENTITY x "boom"><!ENTITY y "&x;&x;&x;">]><annotation><object>&y;</object></annotation>'


def read(path: Path, text: str) -> tuple[Any, list[str]]:
    path.write_text(text, encoding="utf-8")
    problems: list[str] = []
    return read_boxes(path, problems), problems


def test_voc_gives_corners_names_and_the_size_drawn_on(tmp_path: Path) -> None:
    boxes, problems = read(tmp_path / "a.xml", VOC)
    assert problems == []
    assert [(box.x, box.y, box.width, box.height, box.name, box.picture) for box in boxes] == [
        (10, 20.5, 30, 39.5, "spot", (100, 80)),
        (0, 1, 9, 3, "crack", (100, 80)),
    ]
    unstated = VOC.replace(">100<", ">0<").replace(">80<", ">0<")
    assert {box.picture for box in read(tmp_path / "a.xml", unstated)[0]} == {None}
    assert read(tmp_path / "b.xml", "<annotation><filename>b.jpg</filename></annotation>") == ((), [])
    assert read(tmp_path / "c.xml", "<gpx/>") == (None, [])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (BOMB, "a document type 'a', which files of boxes do not have"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotation/>', "a document type 'a'"),
        ("<annotation><object>", "cannot be read as XML of Pascal VOC: no element found"),
        ("", "cannot be read as XML of Pascal VOC: no element found"),
        ("<annotation><object><name>x</name></object></annotation>", "object 1: xmin missing, ymin missing"),
        (VOC.replace("<xmax>40<", "<xmax>4<"), "object 1: xmin 10, ymin 20.5, xmax 4, ymax 60; expected a bndbox in"),
        (VOC.replace("<xmax>9<", "<xmax>nan<"), "object 2: xmin 0, ymin 1, xmax nan, ymax 4; expected"),
    ],
)
def test_a_bad_voc_file_is_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    _, problems = read(tmp_path / "a.xml", text)
    assert len(problems) == 1
    assert problems[0].startswith(f"{tmp_path / 'a.xml'}")
    assert sentence in problems[0]


def test_yolo_gives_the_corner_from_the_centre(tmp_path: Path) -> None:
    (box,), problems = read(tmp_path / "a.txt", "\n1 0.5 0.25 0.2 0.1\r\n\n")
    assert problems == []
    assert (box.x, box.y, box.width, box.height, box.fractions) == pytest.approx((0.4, 0.2, 0.2, 0.1, True))
    assert box.where == f"{tmp_path / 'a.txt'}, line 2"
    (tmp_path / "classes.txt").write_text("clamp\nspot\n")
    named, _ = read(tmp_path / "a.txt", "1 0.5 0.25 0.2 0.1\n7 0.5 0.25 0.2 0.1\n")
    assert [box.name for box in named] == ["spot", ""]
    assert read(tmp_path / "a.txt", " \n") == ((), [])
    assert read(tmp_path / "a.txt", "a photo of 3 masts\nin fog") == (None, [])


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("0 0.5 0.5 0.2", "line 2: '0 0.5 0.5 0.2', expected five numbers: class, x, y, width, height"),
        ("0 0.5 0.5 0.2 0.2 0.9", "expected five numbers"),
        ("spot 0.5 0.5 0.2 0.2", "expected five numbers"),
        ("0 120 80 20 20", "line 2: '120 80 20 20', expected fractions of the image's width and height"),
        ("0 0.5 0.5 0 0.2", "its width and height above 0"),
        ("0 nan 0.5 0.1 0.2", "expected fractions"),
    ],
)
def test_every_bad_line_of_yolo_is_a_sentence(tmp_path: Path, line: str, sentence: str) -> None:
    boxes, problems = read(tmp_path / "a.txt", f"0 0.5 0.5 0.2 0.2\n{line}\n{line}\n")
    assert (len(boxes), len(problems)) == (1, 2)
    assert sentence in problems[0]


def test_a_file_that_cannot_hold_one_image_s_boxes_is_not_read(tmp_path: Path) -> None:
    assert "has more than" in read(tmp_path / "a.txt", "0 0.5 0.5 0.2 0.2\n" * 70_000)[1][0]
    (tmp_path / "b.txt").write_bytes(b"0 0.5\xff")
    problems: list[str] = []
    assert read_boxes(tmp_path / "b.txt", problems) == ()
    assert "is no UTF-8 text" in problems[0]


def coco(path: Path, **changed: Any) -> Path:
    content = {
        "images": [{"id": 7, "file_name": "a.jpg", "width": 100, "height": 80}, {"id": 8, "file_name": "b.jpg"}],
        "categories": [{"id": 2, "name": "spot"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 2, "bbox": [10, 20, 30, 40]},
            {"id": 2, "image_id": 7, "bbox": [1, 2, 3, 4.5]},
        ],
    }
    path.write_text(json.dumps(content | changed))
    return path


def test_coco_gives_the_boxes_of_every_image_it_lists(tmp_path: Path) -> None:
    problems: list[str] = []
    found = read_coco(coco(tmp_path / "c.json"), problems)
    assert problems == []
    assert [(box.x, box.y, box.width, box.height, box.name, box.picture) for box in found["a.jpg"]] == [
        (10, 20, 30, 40, "spot", (100, 80)),
        (1, 2, 3, 4.5, "", (100, 80)),
    ]
    assert found["b.jpg"] == ()


@pytest.mark.parametrize(
    ("annotation", "sentence"),
    [
        ({"id": 5, "image_id": 9, "bbox": [1, 2, 3, 4]}, "annotation 5: image_id 9, expected the id of one of the im"),
        ({"id": 5, "image_id": 7, "bbox": [1, 2, 3]}, "annotation 5: bbox [1, 2, 3], expected x, y, width and height"),
        ({"id": 5, "image_id": 7, "bbox": [1, 2, 0, 4]}, "the last two above 0"),
        ({"id": 5, "image_id": 7}, "bbox None, expected"),
        ({"id": 5, "image_id": 7, "bbox": [None, 2, 3, 4]}, "bbox [None, 2, 3, 4], expected"),
    ],
)
def test_every_bad_box_of_coco_is_a_sentence(tmp_path: Path, annotation: dict[str, Any], sentence: str) -> None:
    problems: list[str] = []
    read_coco(coco(tmp_path / "c.json", annotations=[annotation, annotation]), problems)
    assert len(problems) == 2
    assert sentence in problems[0]


@pytest.mark.parametrize("text", ["[]", "{}", "no json", '{"images": [{"id": 1}], "annotations": []}', "[" * 100_000])
def test_another_file_than_coco_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(InputError, match="is no COCO file of boxes"):
        read_coco(tmp_path / "c.json", [])
