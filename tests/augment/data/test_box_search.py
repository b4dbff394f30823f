"""Boxes are found beside the images, beside their folder, and where `data.boxes` says; of thermal pictures, in three
formats alike."""

import json
from pathlib import Path

import pytest

from augment.data.box_search import find_boxes
from edge_runtime.bundle.errors import InputError
from edge_runtime.media.file_kinds import IMAGE_SUFFIXES
from tests.support import DATA

YOLO = "0 0.5 0.5 0.2 0.2\n"


def box_file(path: Path, text: str = YOLO) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "place",
    [
        "set/images/hot/1.txt",
        "set/images/hot/labels/1.txt",
        "set/images/labels/hot/1.txt",
        "set/images/labels/1.txt",
        "set/labels/hot/1.txt",
        "set/labels/images/hot/1.txt",
        "set/Annotations/1.txt",
    ],
)
def test_boxes_are_found_where_tools_leave_them(tmp_path: Path, place: str) -> None:
    box_file(tmp_path / place)
    found = find_boxes(tmp_path / "set/images", ["hot/1.jpg", "hot/2.jpg"], "")
    assert {image: len(boxes) for image, boxes in found.by_image.items()} == {"hot/1.jpg": 1}
    assert found.files == {tmp_path / place}
    assert found.problems == []


def test_a_folder_of_the_settings_is_searched_alone(tmp_path: Path) -> None:
    box_file(tmp_path / "set/hot/1.txt")
    box_file(tmp_path / "drawn/hot/2.xml", "<annotation/>")
    stray = box_file(tmp_path / "drawn/old.txt")
    found = find_boxes(tmp_path / "set", ["hot/1.jpg", "hot/2.jpg"], str(tmp_path / "drawn"))
    assert found.by_image == {"hot/2.jpg": ()}
    assert found.strays == [stray]


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("nowhere", "expected a folder of .xml or .txt files, or a COCO file"),
        ("empty", "which names no image of .*; expected files such as 1.txt or 1.xml, or a COCO file with the file_na"),
        ("coco.json", "which names no image"),
    ],
)
def test_a_setting_that_leads_nowhere_is_refused(tmp_path: Path, setting: str, sentence: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "coco.json").write_text('{"images": [{"id": 1, "file_name": "z.jpg"}], "annotations": []}')
    with pytest.raises(InputError, match=sentence):
        find_boxes(tmp_path / "set", ["hot/1.jpg"], str(tmp_path / setting))


def test_one_file_for_two_images_and_a_file_of_another_kind_are_problems(tmp_path: Path) -> None:
    box_file(tmp_path / "drawn/1.txt")
    box_file(tmp_path / "drawn/2.txt", "a caption")
    found = find_boxes(tmp_path / "set", ["hot/1.jpg", "ok/1.jpg", "ok/2.jpg"], str(tmp_path / "drawn"))
    assert len(found.problems) == 2
    assert "has the name of both hot/1.jpg and ok/1.jpg" in found.problems[0]
    assert "holds no boxes in the form of" in found.problems[1]


@pytest.mark.parametrize("name", ["hot/1.jpg", "1.jpg", "C:\\export\\1.jpg"])
def test_coco_names_images_from_its_folder_from_the_source_or_bare(tmp_path: Path, name: str) -> None:
    images = [{"id": 1, "file_name": name}]
    content = json.dumps({"images": images, "annotations": [{"id": 1, "image_id": 1, "bbox": [1, 2, 3, 4]}]})
    box_file(tmp_path / "set/hot/_annotations.coco.json", content)
    for setting in ("", str(box_file(tmp_path / "else.json", content))):
        found = find_boxes(tmp_path / "set", ["hot/1.jpg", "ok/2.jpg"], setting)
        assert [box.stated() for box in found.by_image["hot/1.jpg"]] == [[1, 2, 3, 4]]


# The thermal photographs, whose boxes are YOLO files


def as_voc(width: int, height: int, boxes: list[list[float]]) -> str:
    corners = [(x, y, x + across, y + down) for x, y, across, down in boxes]
    edges = ("xmin", "ymin", "xmax", "ymax")
    things = ["".join(f"<{e}>{v!r}</{e}>" for e, v in zip(edges, box, strict=True)) for box in corners]
    size = f"<size><width>{width}</width><height>{height}</height></size>"
    objects = "".join(f"<object><name>spot</name><bndbox>{thing}</bndbox></object>" for thing in things)
    return f"<annotation>{size}{objects}</annotation>"


def test_yolo_voc_and_coco_give_thermal_pictures_the_same_boxes(tmp_path: Path) -> None:
    root, drawn = DATA / "substation_thermal", DATA / "substation_thermal_boxes"
    if not drawn.is_dir():
        pytest.skip("../shared/data/substation_thermal_boxes is absent: it is not part of this repository")
    images = sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    yolo = find_boxes(root, images, str(drawn))
    assert (yolo.problems, yolo.strays, len(yolo.by_image)) == ([], [], 138)
    assert {Path(image).parent.name for image in yolo.by_image} == {"line_hotspot", "substation_hotspot"}
    pixels = {image: [box.pixels(384, 288)[0] for box in boxes] for image, boxes in yolo.by_image.items()}
    assert all(boxes for boxes in pixels.values())
    for image, boxes in pixels.items():
        box_file(tmp_path / "voc" / f"{Path(image).stem}.xml", as_voc(384, 288, boxes))
    listed = [{"id": at, "file_name": image, "width": 384, "height": 288} for at, image in enumerate(pixels)]
    rows = [(at, box) for at, boxes in enumerate(pixels.values()) for box in boxes]
    annotations = [{"id": number, "image_id": at, "bbox": box} for number, (at, box) in enumerate(rows)]
    coco = box_file(tmp_path / "coco.json", json.dumps({"images": listed, "annotations": annotations}))
    for setting in (tmp_path / "voc", coco):
        other = find_boxes(root, images, str(setting))
        assert other.problems == []
        for image, boxes in pixels.items():
            flat = [number for box in other.by_image[image] for number in box.pixels(384, 288)[0]]
            assert flat == pytest.approx([number for box in boxes for number in box])


def test_names_of_two_systems_are_one_in_files_of_boxes_and_in_coco(tmp_path: Path) -> None:
    decomposed, composed = "O\u0308l", "\u00d6l"
    box_file(tmp_path / "hot" / f"{composed}.txt")
    box_file(tmp_path / "hot" / "classes.txt", f"\ufeff{decomposed}\r\n")
    found = find_boxes(tmp_path, [f"hot/{decomposed}.jpg"], "")
    assert [box.name for box in found.by_image[f"hot/{decomposed}.jpg"]] == [composed]
    coco = {
        "images": [{"id": 1, "file_name": f"hot/{composed}2.jpg"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}],
        "categories": [{"id": 1, "name": decomposed}],
    }
    (tmp_path / "boxes.json").write_bytes(json.dumps(coco, ensure_ascii=False).encode("utf-8-sig"))
    found = find_boxes(tmp_path, [f"hot/{decomposed}2.jpg"], str(tmp_path / "boxes.json"))
    assert [box.name for box in found.by_image[f"hot/{decomposed}2.jpg"]] == [composed]
