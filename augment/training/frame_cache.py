"""A file of resized frames: every image is decoded once, however often the trainer reads it."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np

from augment.progress import progress
from augment.records import digest_of
from augment.training.arms import TrainingImage
from edge_runtime.bundle.files import replace_file
from edge_runtime.bundle.preprocess import Frame, Frames, PreprocessSpec

Image = TypeVar("Image", bound=TrainingImage)

ROWS_BETWEEN_MARKS = 256  # what a killed run decodes again at most


def cached_frames(
    folder: Path,
    records: Sequence[Image],
    spec: PreprocessSpec,
    opened: Callable[[Image], Frame],
    key: object,
    what: str,
) -> Frames:
    """Return uint8 (len(records), *spec.canvas, 3) BGR, read-only, mapped from `folder`/frames-<digest>.npy.

    The file is made where it is absent, and a making that was killed goes on. `key` (any JSON value) stands for what
    the images' content depends on beside their ids; files of other content in `folder` are removed. `opened` returns
    the frame, uint8 (H, W, 3) BGR, of a record, and raises InputError where it cannot be read.
    """
    digest = digest_of([spec.to_json(), [record.id for record in records], key])[:16]
    path = folder / f"frames-{digest}.npy"
    if not path.exists():
        _remove_others(folder, digest)
        _fill(path, records, spec, opened, what)
    frames: Frames = np.load(path, mmap_mode="r", allow_pickle=False)
    return frames


def _remove_others(folder: Path, digest: str) -> None:
    for path in folder.glob("frames-*"):
        if not path.name.startswith(f"frames-{digest}."):
            path.unlink()


def _fill(
    path: Path, records: Sequence[Image], spec: PreprocessSpec, opened: Callable[[Image], Frame], what: str
) -> None:
    """Decode into a spare file, noting how far it got; the spare gets its name when it is whole."""
    spare, mark = path.with_suffix(".part"), path.with_suffix(".rows")
    begun = int(mark.read_text()) if spare.exists() and mark.exists() else 0
    shape = (len(records), *spec.canvas, 3)
    rows = np.lib.format.open_memmap(spare, mode="r+" if begun else "w+", dtype=np.uint8, shape=shape)
    starts = range(begun, len(records), ROWS_BETWEEN_MARKS)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in progress(starts, len(starts), f"{what}, blocks of {ROWS_BETWEEN_MARKS} images"):
            block = records[start : start + ROWS_BETWEEN_MARKS]
            rows[start : start + len(block)] = list(pool.map(lambda record: spec.draw(opened(record)), block))
            rows.flush()
            replace_file(mark, str(start + len(block)).encode())
    rows.flush()
    spare.replace(path)
    mark.unlink(missing_ok=True)
