"""Contact sheets: pages of small pictures that show what curation kept and rejected of each class."""

from collections.abc import Sequence

import cv2
import numpy as np

from augment.data.image_store import resize_by_area
from augment.record_types import ContactSheet, CurationRecord
from augment.records import RunFolder, spread
from edge_runtime.bundle.files import replace_file
from edge_runtime.bundle.preprocess import Frame
from edge_runtime.media.image_files import read_image
from edge_runtime.media.jpeg import encode_jpeg

PICTURES, COLUMNS = 40, 8  # of one sheet
SIDE, LINE = 96, 14  # pixels
WORDS = 15  # characters of a caption


def write(folder: RunFolder, records: Sequence[CurationRecord]) -> list[ContactSheet]:
    """Write curation/sheets/LABEL-kept.jpg and LABEL-rejected.jpg, and return a description of each."""
    sheets = []
    for label in sorted({record.label for record in records}):
        for kind, kept in (("kept", True), ("rejected", False)):
            own = [record for record in records if record.label == label and record.kept == kept]
            shown = spread([record for record in own if record.path], PICTURES)
            if not shown:
                continue
            path = f"curation/sheets/{label}-{kind}.jpg"
            (folder.path / path).parent.mkdir(parents=True, exist_ok=True)
            tiles = [_tile(read_image(folder.path / (record.path or "")).frame, _caption(record)) for record in shown]
            replace_file(folder.path / path, encode_jpeg(_grid(tiles)))
            sheets.append(ContactSheet(label=label, kind=kind, path=path, images=len(own)))
    return sheets


def _caption(record: CurationRecord) -> str:
    return (record.method if record.kept else record.reasons[0])[:WORDS]


def _tile(frame: Frame, caption: str) -> Frame:
    tile = np.full((SIDE + LINE, SIDE, 3), 255, np.uint8)
    tile[:SIDE] = resize_by_area(frame, SIDE, SIDE)
    cv2.putText(tile, caption, (1, SIDE + LINE - 4), cv2.FONT_HERSHEY_PLAIN, 0.7, (0, 0, 0), 1, cv2.LINE_AA)
    return tile


def _grid(tiles: Sequence[Frame]) -> Frame:
    blank = np.full_like(tiles[0], 255)
    rows = [[*tiles[at : at + COLUMNS]] for at in range(0, len(tiles), COLUMNS)]
    return np.vstack([np.hstack([*row, *[blank] * (COLUMNS - len(row))]) for row in rows])
