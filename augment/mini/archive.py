"""A rendered station archive on disk: images per split and class, and the manifest that the pipeline reads."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from augment.mini.scenes import write_station
from edge_runtime.bundle.files import replace_file


@dataclass(frozen=True)
class Share:
    """One split: how many images of each label, and the seed they come from."""

    counts: Mapping[str, int]
    seed: int


def write_archive(folder: Path, splits: Mapping[str, Share]) -> None:
    """Render every split below `folder` and write folder/manifest.csv. What is there stays."""
    rows = []
    for split, share in splits.items():
        write_station(folder / split, share.counts, share.seed)
        for path in sorted((folder / split).rglob("*.jpg")):
            rows.append((path.relative_to(folder).as_posix(), path.parent.name, split))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("path", "label", "split"), *rows])
    replace_file(folder / "manifest.csv", text.getvalue().encode())
