"""Files that hold boxes: Pascal VOC (.xml) and YOLO (.txt), one for each image, and COCO (.json), one for many.

All three are small public formats without a light reader that is kept up, so they are read here with the standard
library. Every problem found is a sentence in a list, so that a person can mend all of them at once.
"""

import json
import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from augment.data.boxes import DrawnBox
from edge_runtime.bundle.errors import InputError
from edge_runtime.text_files import normal, read_text

MAX_BYTES = 1 << 20  # of a file for one image; a COCO file may have any size
VOC_EDGES = ("xmin", "ymin", "xmax", "ymax")
YOLO_NAMES = "classes.txt"  # beside the files, where a tool writes it: the name of class 0 in the first line, and so on
YOLO_NUMBERS = 5  # class, then centre x, centre y, width and height as fractions


def read_boxes(path: Path, problems: list[str]) -> tuple[DrawnBox, ...] | None:
    """Return the boxes of one image from a VOC or YOLO file; None where `path` is a file of another kind.

    What is wrong in it is added to `problems`.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} has more than {MAX_BYTES} bytes; is it the boxes of one image?")
        return _read_voc(path, problems) if path.suffix == ".xml" else _read_yolo(path, problems)
    except InputError as error:
        problems.append(str(error))
        return ()


# YOLO


def _read_yolo(path: Path, problems: list[str]) -> tuple[DrawnBox, ...] | None:
    rows = [(at, line.split()) for at, line in enumerate(read_text(path).split("\n"), 1) if line.strip()]
    numbers = [(at, row, _numbers(row)) for at, row in rows]
    if rows and not any(values is not None and row[0].isdigit() for _, row, values in numbers):
        return None  # a caption or some other text
    names = path.with_name(YOLO_NAMES)
    classes = [normal(line.strip()) for line in read_text(names).split("\n")] if names.is_file() else []
    boxes = []
    for at, row, values in numbers:
        where = f"{path}, line {at}"
        if values is None or len(values) != YOLO_NUMBERS:
            problems.append(f"{where}: {' '.join(row)!r}, expected five numbers: class, x, y, width, height")
        elif not all(0 <= value <= 1 for value in values[1:]) or not (values[3] and values[4]):
            problems.append(
                f"{where}: {' '.join(row[1:])!r}, expected fractions of the image's width and height: the box's centre "
                "from 0 to 1, its width and height above 0"
            )
        else:
            number, x, y, width, height = values
            name = classes[int(number)] if 0 <= number < len(classes) else ""
            boxes.append(DrawnBox(x - width / 2, y - height / 2, width, height, where, name, fractions=True))
    return tuple(boxes)


def _numbers(words: list[str]) -> list[float] | None:
    try:
        return [float(word) for word in words]
    except ValueError:
        return None


# Pascal VOC


class _NoDoctype(ElementTree.TreeBuilder):
    """Refuses a document type: entities that unfold to gigabytes are declared there, and VOC files have none."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise InputError(f"a document type {name!r}, which files of boxes do not have")


def _read_voc(path: Path, problems: list[str]) -> tuple[DrawnBox, ...] | None:
    try:
        root = ElementTree.fromstring(path.read_bytes(), ElementTree.XMLParser(target=_NoDoctype()))
    except (ElementTree.ParseError, InputError, OSError, LookupError, ValueError) as error:
        raise InputError(f"{path} cannot be read as XML of Pascal VOC: {error}; save its boxes again") from None
    if root.tag != "annotation":
        return None
    picture = _size([root.findtext("size/width"), root.findtext("size/height")])
    boxes = []
    for number, thing in enumerate(root.iter("object"), 1):
        where, texts = f"{path}, object {number}", [thing.findtext(f"bndbox/{edge}") for edge in VOC_EDGES]
        left, top, right, bottom = (_number(text) for text in texts)
        if right - left > 0 and bottom - top > 0:
            name = normal((thing.findtext("name") or "").strip())
            boxes.append(DrawnBox(left, top, right - left, bottom - top, where, name, picture=picture))
        else:
            seen = ", ".join(f"{edge} {text or 'missing'}" for edge, text in zip(VOC_EDGES, texts, strict=True))
            problems.append(f"{where}: {seen}; expected a bndbox in pixels, each max above its min")
    return tuple(boxes)


# COCO


def read_coco(path: Path, problems: list[str]) -> dict[str, tuple[DrawnBox, ...]]:
    """Return the boxes of each image that a COCO file lists, by the name that it gives the image.

    What is wrong in a box is added to `problems`; InputError where the file as a whole is no COCO file.
    """
    try:
        content = json.loads(read_text(path))
        names = {image["id"]: str(image["file_name"]) for image in content["images"]}
        sizes = {image["id"]: _size([image.get("width"), image.get("height")]) for image in content["images"]}
        categories = {category["id"]: normal(str(category["name"])) for category in content.get("categories", ())}
        annotations = [(entry["id"], entry["image_id"], entry) for entry in content["annotations"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path} is no COCO file of boxes ({type(error).__name__}: {error}); expected a JSON object with images "
            "(id, file_name) and annotations (id, image_id, bbox)"
        ) from None
    found: dict[str, list[DrawnBox]] = {name: [] for name in names.values()}
    for number, image, entry in annotations:
        where, box = f"{path}, annotation {number}", entry.get("bbox")
        x, y, width, height = map(_number, box if isinstance(box, list) and len(box) == len(VOC_EDGES) else [None] * 4)
        if image not in names:
            problems.append(f"{where}: image_id {image!r}, expected the id of one of the images")
        elif not (math.isfinite(x + y) and width > 0 and height > 0):
            problems.append(f"{where}: bbox {box}, expected x, y, width and height in pixels, the last two above 0")
        else:
            name = categories.get(entry.get("category_id"), "")
            found[names[image]].append(DrawnBox(x, y, width, height, where, name, picture=sizes[image]))
    return {name: tuple(boxes) for name, boxes in found.items()}


def _number(text: object) -> float:
    """Return a finite number, or not-a-number, which no comparison holds for."""
    try:
        number = float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def _size(texts: list[Any]) -> tuple[int, int] | None:
    """Return the width and height that a file states; some tools write zeros where they do not know them."""
    width, height = map(_number, texts)
    return (int(width), int(height)) if width >= 1 and height >= 1 else None
