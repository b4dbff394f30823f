"""A rendered station archive on disk: images per split and class, and the manifest that the pipeline reads."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from augment.mini.scenes import STATION_SIZE, fault_box, station_file, station_scene, write_station
from edge_runtime.bundle.files import replace_file

BOX = ("x", "y", "w", "h")  # in pixels
COLUMNS = ("path", "label", "split", *BOX)


@dataclass(frozen=True)
class Share:
    """One split: how many images of each label, and the seed they come from."""

    counts: Mapping[str, int]
    seed: int


def write_archive(folder: Path, splits: Mapping[str, Share]) -> None:
    """Render every split below `folder` and write folder/manifest.csv with the boxes of faults. What is there stays."""
    rows: list[tuple[object, ...]] = [COLUMNS]
    for split, share in splits.items():
        write_station(folder / split, share.counts, share.seed)
        for label, count in sorted(share.counts.items()):
            for index in range(count):
                box = fault_box(station_scene(share.seed, label, index), STATION_SIZE) or ("",) * len(BOX)
                rows.append((f"{split}/{station_file(label, index)}", label, split, *box))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    replace_file(folder / "manifest.csv", text.getvalue().encode())
