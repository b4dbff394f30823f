"""Three pictures of each set, opened with their map: `python -m benchmarks.map_sheet docs/maps.jpg RUN [RUN ...]`.

RUN is a finished run with a bundle. Of its test pictures three are drawn by chance, of faults where the set has any,
and shown as `edge-classify --heatmap` writes them: picture, map, what is true and what is told. A map that no box
taught is marked so: it is not evidence. Name only runs on pictures whose licence lets the sheet be passed on.
"""

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
import cv2
import numpy as np

from augment.data.image_store import ImageStore
from augment.record_types import DatasetRecord
from augment.records import DATASET, RunFolder
from augment.settings import load_settings
from edge_runtime.bundle.heads import BOXES
from edge_runtime.bundle.preprocess import Frame
from edge_runtime.bundle.store import open_bundle

SHOWN = 3  # pictures of each set
SIDE = 240  # pixels: height of every picture on the sheet
WIDEST = 320  # pixels that one picture may be wide
CAPTION = 40  # pixels
FONT = cv2.FONT_HERSHEY_SIMPLEX
QUALITY = 88


@click.command()
@click.argument("sheet", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--seed", type=int, default=0, show_default=True)
def main(sheet: Path, runs: Sequence[Path], seed: int) -> None:
    """Draw, classify, lay out."""
    rows = [_row(run, seed) for run in runs]
    width = max(row.shape[1] for row in rows)
    padded = [cv2.copyMakeBorder(row, 0, 0, 0, width - row.shape[1], cv2.BORDER_CONSTANT) for row in rows]
    cv2.imwrite(str(sheet), np.vstack(padded), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    click.echo(f"{sheet} written")


def _row(run: Path, seed: int) -> Frame:
    bundle, store = open_bundle(run / "bundle"), ImageStore(load_settings(run))
    records = choose(RunFolder(run).require(DATASET).records, bundle.manifest.fault_labels, seed)
    supervised = bundle.manifest.head.evidence == BOXES
    with tempfile.TemporaryDirectory(prefix="map-sheet-") as folder:
        pictures = []
        for number, record in enumerate(records):
            picture = Path(folder) / f"{number}.png"
            cv2.imwrite(str(picture), store.frame(record))
            pictures.append(picture)
        command = [sys.executable, "-m", "edge_runtime.classify", "--bundle", str(run / "bundle")]
        command += ["--heatmap", str(Path(folder) / "maps"), *map(str, pictures)]
        found = subprocess.run(command, check=False, capture_output=True, text=True).stdout.splitlines()
        pairs = zip(records, pictures, map(json.loads, found), strict=True)
        return np.hstack([_tile(record, picture, told, supervised) for record, picture, told in pairs])


def choose(records: Sequence[DatasetRecord], faults: Sequence[str], seed: int) -> list[DatasetRecord]:
    """Draw SHOWN test pictures, of faults where there are any, no two of one group while that can be."""
    test = sorted((record for record in records if record.split == "test"), key=lambda record: record.path)
    wanted = [record for record in test if record.label in faults] or test
    random.Random(seed).shuffle(wanted)
    apart = {record.group: record for record in reversed(wanted)}
    first = [record for record in wanted if apart[record.group] is record]
    return [*first, *(record for record in wanted if record not in first)][:SHOWN]


def _tile(record: DatasetRecord, picture: Path, told: dict[str, object], supervised: bool) -> Frame:
    """Lay picture and map side by side above what is true and what is told."""
    frame = cv2.imread(str(picture))
    for x, y, width, height in record.boxes:
        cv2.rectangle(frame, (int(x), int(y)), (int(x + width), int(y + height)), (255, 255, 255), 1)
    pair = np.hstack([_fitted(frame), _fitted(cv2.imread(str(told["heatmap"])))])
    lines = [f"is {record.label}", f"told {told['label']} {told['probability']:.2f}"]
    lines[1] += "" if supervised else " (map is not evidence)"
    caption = np.zeros((CAPTION, pair.shape[1], 3), np.uint8)
    for place, line in enumerate(lines):
        cv2.putText(caption, line, (4, 15 + 18 * place), FONT, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
    return np.vstack([pair, caption])


def _fitted(frame: Frame) -> Frame:
    """Scale to the sheet's height, and no wider than WIDEST; smaller pictures stand on black."""
    scale = min(SIDE / frame.shape[0], WIDEST / frame.shape[1])
    small = cv2.resize(
        frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    )
    small = small[:SIDE, :WIDEST]
    top, left = (SIDE - small.shape[0]) // 2, (WIDEST - small.shape[1]) // 2
    return cv2.copyMakeBorder(
        small, top, SIDE - small.shape[0] - top, left, WIDEST - small.shape[1] - left, cv2.BORDER_CONSTANT
    )


if __name__ == "__main__":
    main()
