"""The CSV manifest: one image a row, columns `path,label` and optionally `group`, `split` and a box `x,y,w,h`.

A row with something in the column `when`, as `rarefault label` writes it, was looked at by a person: without a box it
says that there is none.

It is read as spreadsheets write it: with commas, semicolons or tabs, a line `sep=;`, empty columns and rows at the end,
capitals in the header and decimal commas.
"""

import csv
import difflib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from augment.data.boxes import DrawnBox
from augment.data.layouts.folder_words import side_of
from augment.data.problems import Problem
from edge_runtime.bundle.errors import InputError
from edge_runtime.media.file_kinds import Kind, file_kind
from edge_runtime.text_files import read_text

REQUIRED = ("path", "label")
BOX = ("x", "y", "w", "h")
COLUMNS = (*REQUIRED, "group", "split", *BOX)
LABELLED = "when"  # a person looked at the picture
LONGEST_HEADER = 200  # characters of it in a sentence
DELIMITERS = ",;\t|"
DECIMAL_COMMA = re.compile(r"-?\d+,\d+")
THOUSANDS = re.compile(r"-?\d{1,3},\d{3}")  # 1,234 is a number above a thousand to some and just above one to others


@dataclass(frozen=True)
class ManifestRow:
    """One row; `where` names file and line for messages.

    `boxes` has one box in pixels, or none where a person saw that there is none; None: the row does not say.
    """

    where: str
    path: str
    label: str
    group: str | None
    sides: tuple[str, ...] | None
    boxes: tuple[DrawnBox, ...] | None


def read_manifest(path: Path) -> tuple[list[ManifestRow], list[Problem]]:
    """Return the rows of the manifest at `path`, and a problem for each line that says something impossible.

    InputError where the file is no CSV text with the columns that are needed.
    """
    if path.stat().st_size and (kind := file_kind(path)).kind is not Kind.OTHER:
        remedy = "save it as CSV in UTF-8" if kind.kind is Kind.DOCUMENT else "give the folder of the pictures"
        raise InputError(f"{path} is no CSV text but a file of the kind {kind.name}; {remedy}")
    text, skipped, delimiter = _without_sep_line(read_text(path))
    if text.lstrip().startswith(("{", "[")):
        raise InputError(f"{path} is JSON and no CSV text; write a line for each picture below the line path,label")
    rows = csv.reader(io.StringIO(text), delimiter=delimiter or _delimiter(text))
    found: list[ManifestRow] = []
    problems: list[Problem] = []
    try:
        names = _header(next(rows, []), path)
        for cells in rows:
            where = f"{path}, line {rows.line_num + skipped}"
            if any(cell.strip() for cell in cells):
                try:
                    found.append(_row(names, cells, where))
                except ValueError as error:
                    problems.append(Problem(where, str(error), fatal=True))
    except csv.Error as error:
        raise InputError(f"{path} is no CSV text ({error} near line {rows.line_num}); save it as one") from None
    return found, problems


def _without_sep_line(text: str) -> tuple[str, int, str]:
    """Return the text without the line `sep=;` for Excel, how many lines were taken off, and the delimiter or ""."""
    first, _, rest = text.partition("\n")
    match = re.fullmatch(r'"?sep=(.)"?[,;\t ]*', first, re.IGNORECASE)
    return (rest, 1, match[1]) if match else (text, 0, "")


def _delimiter(text: str) -> str:
    """Return the delimiter that parts the header into the most columns that are known."""
    first = text.partition("\n")[0].lower().replace('"', "")
    return max(DELIMITERS, key=lambda mark: sum(name.strip() in COLUMNS for name in first.split(mark)))


def _header(cells: Sequence[str], path: Path) -> list[str]:
    names = [cell.strip().lower() for cell in cells]
    while names and not names[-1]:
        names.pop()
    named = [name for name in names if name]
    if len(set(named)) < len(named):
        raise InputError(f"{path}: a column stands twice in the header {','.join(names)[:LONGEST_HEADER]}")
    for name in named if len(named) > 1 else ():  # a single name is a line without commas
        near = difflib.get_close_matches(name, COLUMNS, n=1)
        if name not in COLUMNS and near and near[0] not in names:
            raise InputError(f"{path}: unknown column {name!r} in the header; did you mean {near[0]!r}?")
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise InputError(
            f"{path}: the header {','.join(names)[:LONGEST_HEADER]!r} lacks {' and '.join(missing)}; "
            f"expected commas between {', '.join(COLUMNS)}, of which {' and '.join(REQUIRED)} are needed"
        )
    if 0 < sum(name in names for name in BOX) < len(BOX):
        raise InputError(f"{path}: the header has only some of {', '.join(BOX)}; a box needs all four")
    return names


def _row(names: Sequence[str], cells: Sequence[str], where: str) -> ManifestRow:
    """Return the row of `cells`; ValueError with a sentence where it says something impossible."""
    values = {name: cell.strip() for name, cell in zip(names, cells, strict=False)}
    if any(cell.strip() for cell in cells[len(names) :]) or values.get(""):
        raise ValueError("more values than columns; put values with commas in quotes")
    row = {name: values.get(name, "") for name in COLUMNS}
    for name in REQUIRED:
        if not row[name]:
            raise ValueError(f"{name} is empty")
    sides = side_of(row["split"]) if row["split"] else None
    if row["split"] and sides is None:
        raise ValueError(f"split is {row['split']!r}, expected train, val, test, trainval or nothing")
    boxes = _boxes(row, where) or (() if values.get(LABELLED) else None)
    return ManifestRow(where, row["path"], row["label"], row["group"] or None, sides, boxes)


def _boxes(cells: dict[str, str], where: str) -> tuple[DrawnBox, ...]:
    texts = [cells[name] for name in BOX]
    if not any(texts):
        return ()
    for text in texts:
        if THOUSANDS.fullmatch(text):
            raise ValueError(f"{text} may be {text.replace(',', '')} or {text.replace(',', '.')}; write one of these")
    try:
        x, y, width, height = (float(_with_point(text)) for text in texts)
    except ValueError:
        raise ValueError(f"box {','.join(texts)}, expected four numbers: x,y,w,h in pixels") from None
    if not (x >= 0 and y >= 0 and 0 < width < float("inf") and 0 < height < float("inf")):
        raise ValueError(f"box {','.join(texts)}, expected x and y from 0 and a width and height above 0")
    return (DrawnBox(x, y, width, height, where),)


def _with_point(text: str) -> str:
    return text.replace(",", ".") if DECIMAL_COMMA.fullmatch(text) else text
