"""The CSV manifest: one image a row, columns `path,label` and optionally `group`, `split` and a box `x,y,w,h`."""

import csv
import difflib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from augment.data.boxes import DrawnBox
from edge_runtime.bundle.errors import InputError
from edge_runtime.text_files import read_text

REQUIRED = ("path", "label")
BOX = ("x", "y", "w", "h")
COLUMNS = (*REQUIRED, "group", "split", *BOX)
SPLITS = {"train": ("train",), "val": ("val",), "test": ("test",), "trainval": ("train", "val"), "": None}


@dataclass(frozen=True)
class ManifestRow:
    """One row; `where` names file and line for messages. `boxes` has one box or none, in pixels."""

    where: str
    path: str
    label: str
    group: str | None
    sides: tuple[str, ...] | None
    boxes: tuple[DrawnBox, ...]


def read_manifest(path: Path) -> Iterator[ManifestRow]:
    """Yield the rows of the manifest at `path`; InputError names the line, the value seen and what was expected."""
    try:
        rows = csv.DictReader(io.StringIO(read_text(path)), restkey="", restval="")
        _check_header(rows.fieldnames or (), path)
        for row in rows:
            yield _row(row, f"{path}, line {rows.line_num}")
    except csv.Error as error:
        raise InputError(f"{path} is no CSV text ({error}); save it as one") from None


def _check_header(names: Sequence[str], path: Path) -> None:
    if len(set(names)) < len(names):
        raise InputError(f"{path}: a column stands twice in the header {','.join(names)}")
    for name in names if len(names) > 1 else ():  # a single name is a line without commas
        near = difflib.get_close_matches(name.strip().lower(), COLUMNS, n=1)
        if name not in COLUMNS and near and near[0] not in names:
            raise InputError(f"{path}: unknown column {name!r} in the header; did you mean {near[0]!r}?")
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise InputError(
            f"{path}: the header {','.join(names)!r} lacks {' and '.join(missing)}; "
            f"expected commas between {', '.join(COLUMNS)}, of which {' and '.join(REQUIRED)} are needed"
        )
    if 0 < sum(name in names for name in BOX) < len(BOX):
        raise InputError(f"{path}: the header has only some of {', '.join(BOX)}; a box needs all four")


def _row(row: dict[str, str], where: str) -> ManifestRow:
    if row.get(""):
        raise InputError(f"{where}: more values than columns; put values with commas in quotes")
    cells = {name: (row.get(name) or "").strip() for name in COLUMNS}
    for name in REQUIRED:
        if not cells[name]:
            raise InputError(f"{where}: {name} is empty")
    if cells["split"] not in SPLITS:
        raise InputError(f"{where}: split is {cells['split']!r}, expected train, val, test, trainval or nothing")
    sides = SPLITS[cells["split"]]
    return ManifestRow(where, cells["path"], cells["label"], cells["group"] or None, sides, _boxes(cells, where))


def _boxes(cells: dict[str, str], where: str) -> tuple[DrawnBox, ...]:
    texts = [cells[name] for name in BOX]
    if not any(texts):
        return ()
    try:
        x, y, width, height = map(float, texts)
    except ValueError:
        raise InputError(f"{where}: box {','.join(texts)}, expected four numbers: x,y,w,h in pixels") from None
    if not (x >= 0 and y >= 0 and 0 < width < float("inf") and 0 < height < float("inf")):
        raise InputError(f"{where}: box {','.join(texts)}, expected x and y from 0 and a width and height above 0")
    return (DrawnBox(x, y, width, height, where),)
