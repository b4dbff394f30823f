"""What becomes of the answers: a manifest that `rarefault` reads as a source, and boxes as COCO and YOLO files.

No picture is touched or copied. Pictures that nobody has answered keep what their source says of them.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from augment.data.box_files import YOLO_NAMES
from edge_runtime.bundle.errors import InputError, UnavailableError, os_errors_as
from edge_runtime.bundle.files import replace_file
from edge_runtime.labelling.items import Box
from edge_runtime.labelling.journal import LABEL, Given

HEADER = ("path", "label", "group", "split", "x", "y", "w", "h", "who", "when")


@dataclass(frozen=True)
class Known:
    """What the source says of the picture at `path` (from its root, with forward slashes); `label` "" where nothing."""

    path: str
    label: str
    boxes: tuple[Box, ...] = ()
    group: str = ""
    split: str = ""


@dataclass(frozen=True)
class Row:
    """What is to be learnt of one picture, and who said so when; both are "" where the source says it."""

    path: str
    label: str
    boxes: tuple[Box, ...]
    group: str = ""
    split: str = ""
    who: str = ""
    when: str = ""


@dataclass(frozen=True)
class Outcome:
    """The rows of all pictures that have a label, by path, and how many have none, by the reason."""

    rows: tuple[Row, ...]
    left_out: Mapping[str, int]


def outcome(known: Sequence[Known], given: Mapping[str, Given]) -> Outcome:
    """Lay the answers over what the source says.

    A picture that nobody can tell, or that is none of the labels, teaches nothing and gets no row.
    """
    rows, left_out = [], Counter[str]()
    for picture in sorted(known, key=lambda one: one.path):
        answer = given.get(picture.path)
        if answer is None:
            rows.append(Row(picture.path, picture.label, picture.boxes, picture.group, picture.split))
        elif answer.answer.answer == LABEL:
            said = answer.answer
            rows.append(
                Row(picture.path, said.label, said.boxes, picture.group, picture.split, answer.who, answer.when)
            )
        else:
            left_out[answer.answer.answer] += 1
    left_out["unlabelled"] = sum(not row.label for row in rows)
    return Outcome(tuple(row for row in rows if row.label), +left_out)


def manifest_file(asked: Path, root: Path) -> Path:
    """Return the absolute path of the manifest; InputError where it would not lie in a folder above the pictures.

    Paths in a manifest begin at its own folder.
    """
    path, root = asked.expanduser().resolve(), root.resolve()
    if path.suffix.lower() != ".csv":
        raise InputError(f"--out is {asked}, expected the name of a .csv file")
    if not root.is_relative_to(path.parent):
        raise InputError(f"--out is {asked}, expected a file in {root} or in a folder above it: its paths begin there")
    return path


def write_manifest(path: Path, root: Path, rows: Sequence[Row]) -> None:
    """Write a row for each box, and one for each picture without; the file is replaced whole.

    Texts stand as they are, since another program reads the file back; quotes keep commas and lines together.
    """
    start = PurePosixPath(root.resolve().relative_to(path.parent).as_posix())
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for row in rows:
        for box in row.boxes or ((),):
            numbers = [f"{number:g}" for number in box] or [""] * 4
            writer.writerow([start / row.path, row.label, row.group, row.split, *numbers, row.who, row.when])
    _write(path, text.getvalue())


def write_coco(path: Path, rows: Sequence[Row], sizes: Mapping[str, tuple[int, int]]) -> None:
    """Write one COCO file: every picture with its (width, height), categories and boxes in pixels."""
    labels = sorted({row.label for row in rows})
    numbers = {label: number for number, label in enumerate(labels, 1)}
    images: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    for number, row in enumerate(rows, 1):
        width, height = sizes[row.path]
        images.append({"id": number, "file_name": row.path, "width": width, "height": height, "label": row.label})
        boxes += [
            {"id": len(boxes) + at, "image_id": number, "category_id": numbers[row.label], "bbox": list(box),
             "area": box[2] * box[3], "iscrowd": 0}
            for at, box in enumerate(row.boxes, 1)
        ]  # fmt: skip
    categories = [{"id": number, "name": label} for label, number in numbers.items()]
    content = {"images": images, "annotations": boxes, "categories": categories}
    _write(path, json.dumps(content, ensure_ascii=False, indent=1))


def write_yolo(folder: Path, rows: Sequence[Row], sizes: Mapping[str, tuple[int, int]]) -> None:
    """Write a text file for each picture, in folders like those of the pictures, each with the names of the classes.

    A line is a box: number of the class, then centre x, centre y, width and height as shares of the picture's sides. A
    picture without boxes gets an empty file, which says that it shows none. InputError where two pictures of a folder
    differ in their suffix only, which YOLO cannot tell apart.
    """
    stems = Counter(PurePosixPath(row.path).with_suffix("") for row in rows)
    if twice := [str(stem) for stem, count in stems.items() if count > 1]:
        raise InputError(
            f"{twice[0]} is the name of {stems[PurePosixPath(twice[0])]} pictures, and YOLO has one file for "
            "them; rename one, or choose --export coco"
        )
    labels = sorted({row.label for row in rows})
    names = "".join(f"{label}\n" for label in labels)
    for parent in {PurePosixPath(row.path).parent for row in rows}:
        _write(folder / parent / YOLO_NAMES, names)
    for row in rows:
        width, height = sizes[row.path]
        lines = [
            f"{labels.index(row.label)} {(x + w / 2) / width:.6f} {(y + h / 2) / height:.6f} "
            f"{w / width:.6f} {h / height:.6f}\n"
            for x, y, w, h in row.boxes
        ]
        _write(folder / PurePosixPath(row.path).with_suffix(".txt"), "".join(lines))


def _write(path: Path, text: str) -> None:
    with os_errors_as(UnavailableError, f"{path} cannot be written", "free or check the disk, or choose another --out"):
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, text.encode())
