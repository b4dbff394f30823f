"""Contact sheets: pages of small pictures: what curation kept and rejected, what to look at again, what a map shows."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from augment.data.image_store import resize_by_area
from augment.file_names import safe_name
from augment.record_types import Box, ContactSheet, CurationRecord
from augment.records import RunFolder, spread
from edge_runtime.bundle.files import replace_file
from edge_runtime.bundle.preprocess import Frame
from edge_runtime.media.image_files import read_image
from edge_runtime.media.jpeg import encode_jpeg, mark_own

PICTURES, COLUMNS = 40, 8  # of one sheet
SIDE, LINE = 96, 14  # pixels
WORDS = 15  # characters of a caption
BLANK, STRAY = 240, 0.05  # a level that white hardly falls below in a JPEG, and the share of a row that may
LARGE_SIDE, LARGE_COLUMNS, LARGE_WORDS = 240, 4, 38  # of pictures in which a place is to be seen
BOX_COLOUR, PLACE_COLOUR = (255, 255, 255), (0, 255, 0)  # BGR
MENDING_FILE = "mending.json"  # beside the comparison's documents


def write(folder: RunFolder, records: Sequence[CurationRecord]) -> list[ContactSheet]:
    """Write curation/sheets/LABEL-kept.jpg and LABEL-rejected.jpg, and return a description of each."""
    sheets = []
    of_kind: dict[tuple[str, bool], list[CurationRecord]] = {}
    for record in records:
        of_kind.setdefault((record.label, record.kept), []).append(record)
    for label in sorted({label for label, _ in of_kind}):
        for kind, kept in (("kept", True), ("rejected", False)):
            own = of_kind.get((label, kept), [])
            shown = spread([record for record in own if record.path], PICTURES)
            if not shown:
                continue
            path = f"curation/sheets/{safe_name(label)}-{kind}.jpg"
            (folder.path / path).parent.mkdir(parents=True, exist_ok=True)
            tiles = [_tile(read_image(folder.path / (record.path or "")).frame, _caption(record)) for record in shown]
            replace_file(folder.path / path, mark_own(encode_jpeg(_grid(tiles))))
            sheets.append(ContactSheet(label=label, kind=kind, path=path, images=len(own)))
    return sheets


def _caption(record: CurationRecord) -> str:
    return (record.method if record.kept else record.reasons[0])[:WORDS]


def large_tile(frame: Frame, caption: str, boxes: Sequence[Box] = (), place: Sequence[float] | None = None) -> Frame:
    """Return a picture in its own aspect, large enough to see a place in it: boxes as frames, and a cross at `place`.

    Both are in pixels of the picture uint8 (H, W, 3), of which the tile is a copy.
    """
    scale = LARGE_SIDE / max(frame.shape[:2])
    wide, high = (max(1, round(side * scale)) for side in (frame.shape[1], frame.shape[0]))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(frame, (wide, high), interpolation=how)
    for x, y, width, height in boxes:
        corners = [(round(across * scale), round(down * scale)) for across, down in ((x, y), (x + width, y + height))]
        cv2.rectangle(small, corners[0], corners[1], BOX_COLOUR, 1)
    if place is not None:
        at = round(place[0] * scale), round(place[1] * scale)
        cv2.drawMarker(small, at, PLACE_COLOUR, cv2.MARKER_CROSS, 17, 2)
    tile = np.full((LARGE_SIDE + LINE, LARGE_SIDE, 3), 255, np.uint8)
    tile[:high, :wide] = small
    return _captioned(tile, caption[:LARGE_WORDS])


def write_large(folder: RunFolder, path: str, tiles: Sequence[Frame]) -> str | None:
    """Write tiles of `large_tile` as one page to `path` below the run folder; return the path, None without a tile."""
    if not tiles:
        return None
    (folder.path / path).parent.mkdir(parents=True, exist_ok=True)
    replace_file(folder.path / path, mark_own(encode_jpeg(_grid(tiles, LARGE_COLUMNS))))
    return path


@dataclass(frozen=True)
class LargeTile:
    """A tile of a sheet: its picture without the white around it, and the same with the caption below it."""

    picture: Frame
    captioned: Frame


def large_tiles(sheet: Frame) -> list[LargeTile]:
    """Return the tiles of a page that `write_large` made."""
    high, wide = LARGE_SIDE + LINE, LARGE_SIDE
    corners = [(y, x) for y in range(0, len(sheet), high) for x in range(0, sheet.shape[1], wide)]
    found = []
    for tile in (sheet[y : y + high, x : x + wide] for y, x in corners):
        inked = tile[:LARGE_SIDE].min(axis=2) < BLANK
        if inked.mean() > STRAY:
            bottom, right = (int(np.flatnonzero(inked.mean(axis=axis) > STRAY)[-1]) + 1 for axis in (1, 0))
            found.append(LargeTile(tile[:bottom, :right], np.vstack([tile[:bottom], tile[LARGE_SIDE:]])))
    return found


def _tile(frame: Frame, caption: str) -> Frame:
    tile = np.full((SIDE + LINE, SIDE, 3), 255, np.uint8)
    tile[:SIDE] = resize_by_area(frame, SIDE, SIDE)
    return _captioned(tile, caption)


def _captioned(tile: Frame, caption: str) -> Frame:
    cv2.putText(tile, caption, (1, len(tile) - 4), cv2.FONT_HERSHEY_PLAIN, 0.7, (0, 0, 0), 1, cv2.LINE_AA)
    return tile


def _grid(tiles: Sequence[Frame], columns: int = COLUMNS) -> Frame:
    blank = np.full_like(tiles[0], 255)
    rows = [[*tiles[at : at + columns]] for at in range(0, len(tiles), columns)]
    return np.vstack([np.hstack([*row, *[blank] * (columns - len(row))]) for row in rows])
