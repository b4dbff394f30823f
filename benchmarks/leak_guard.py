"""How well copies that were made offline are found: copies of real pictures, by hashed names and by picture alone.

    python -m benchmarks.leak_guard ../shared/data/oxford-iiit-pet-3/oxford-iiit-pet/images --sources 200

For each source five copies are made: mirrored, turned by a quarter, rotated by 10 degrees, cropped to 85 %, and made
noisy and saved as JPEG 40; with --hard five combinations of these with blur, light, borders, shear and grey. Printed
are the sources whose copies are all in one group, and how many untouched pictures are joined that the rules for
duplicates and bursts leave apart (look at these: real sets hold real copies).
"""

import hashlib
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import cv2
import numpy as np

from augment.data.duplicates import burst_pairs, duplicate_pairs, groups_of, same_value_pairs, thumbnail_of
from augment.data.group_patterns import copy_stems
from augment.data.offline_copies import feature_copies, outline_of, turned_pairs
from augment.data.perceptual_hash import perceptual_hash
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.preprocess import Frame
from edge_runtime.media.image_files import IMAGE_SUFFIXES, read_image
from edge_runtime.media.jpeg import encode_jpeg

BITS, GAP, SIMILARITY = 6, 1, 0.75  # the defaults of data.duplicate_bits, data.burst_gap and data.burst_similarity


def rotated(frame: Frame, degrees: float) -> Frame:
    """Return the picture turned about its middle; what comes in from outside is black."""
    height, width = frame.shape[:2]
    return cv2.warpAffine(frame, cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1), (width, height))


def cropped(frame: Frame, rng: np.random.Generator) -> Frame:
    """Return a window of 85 % of each side, anywhere in the picture."""
    high, wide = (int(side * 0.85) for side in frame.shape[:2])
    top, left = (int(rng.integers(0, side - part + 1)) for side, part in zip(frame.shape, (high, wide), strict=False))
    return frame[top : top + high, left : left + wide].copy()


def noisy(frame: Frame, rng: np.random.Generator) -> Frame:
    """Return the picture with noise of 12 grey levels, saved as JPEG 40."""
    loud = np.clip(frame + rng.normal(0, 12, frame.shape), 0, 255).astype(np.uint8)
    return cv2.imdecode(np.frombuffer(encode_jpeg(loud, 40), np.uint8), cv2.IMREAD_COLOR_BGR)


def copies(frame: Frame, rng: np.random.Generator) -> Iterator[Frame]:
    """Yield the five copies of the target."""
    yield cv2.flip(frame, int(rng.integers(0, 2)))
    yield np.rot90(frame, int(rng.choice([1, 3]))).copy()
    yield rotated(frame, float(rng.choice([-10, 10])))
    yield cropped(frame, rng)
    yield noisy(frame, rng)


def hard_copies(frame: Frame, rng: np.random.Generator) -> Iterator[Frame]:
    """Yield five combinations."""
    small = cropped(frame, rng)
    yield cv2.GaussianBlur(cv2.flip(small, 1), (0, 0), 1.5)
    yield np.clip(np.rot90(rotated(frame, 10)) * 0.7 + 20, 0, 255).astype(np.uint8)
    yield cv2.copyMakeBorder(small, 40, 40, 0, 0, cv2.BORDER_CONSTANT)
    yield cv2.cvtColor(cv2.cvtColor(cv2.flip(noisy(frame, rng), 0), cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    shear = np.array([[1, 0.15, -0.07 * small.shape[1]], [0, 1, 0]], np.float32)
    yield cv2.flip(cv2.warpAffine(small, shear, (small.shape[1], small.shape[0])), 1)


def whole(groups: Sequence[str], sources: Sequence[int]) -> int:
    """Count the sources of which all pictures are in one group."""
    held: dict[int, set[str]] = {}
    for group, source in zip(groups, sources, strict=True):
        held.setdefault(source, set()).add(group)
    return sum(len(found) == 1 for found in held.values())


def by_picture(frames: Sequence[Frame], names: Sequence[str]) -> tuple[list[str], list[str], float]:
    """Return the groups by the rules for duplicates and bursts, with the rules for copies too, and their seconds."""
    hashes = np.array([perceptual_hash(frame) for frame in frames], np.uint64)
    thumbnails = [thumbnail_of(frame) for frame in frames]
    ids = [f"{at:06}" for at in range(len(frames))]
    known = [duplicate_pairs(hashes, thumbnails, BITS), burst_pairs(names, thumbnails, GAP, SIMILARITY)]
    begun = time.process_time()
    found = [(copy.first, copy.second) for copy in feature_copies([outline_of(frame) for frame in frames])]
    more = [np.array(found, np.int64).reshape(-1, 2), turned_pairs(thumbnails, BITS)]
    seconds = time.process_time() - begun
    return groups_of(ids, np.concatenate(known)), groups_of(ids, np.concatenate([*known, *more])), seconds


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--sources", default=200, show_default=True, help="pictures that are copied")
@click.option("--hard", is_flag=True, help="combinations instead of single changes")
@click.option("--seed", default=0, show_default=True)
def main(folder: Path, sources: int, hard: bool, seed: int) -> None:
    """Measure the leak guard on copies of pictures below FOLDER, and on all of these untouched."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng(seed)
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    read = [(path, frame) for path in paths if (frame := _frame(path)) is not None]
    untouched, frames = [path.relative_to(folder).as_posix() for path, _ in read], [frame for _, frame in read]
    drawn = np.sort(rng.choice(len(frames), min(sources, len(frames)), replace=False))
    made, of, names = [], [], []
    for at in drawn.tolist():
        for frame in (frames[at], *(hard_copies if hard else copies)(frames[at], rng)):
            digest = hashlib.sha256(frame.tobytes()).hexdigest()
            made.append(frame)
            of.append(at)
            names.append(f"all/{Path(untouched[at]).stem}_{at}_jpg.rf.{digest[:32]}.jpg")
    by_stem = groups_of(names, same_value_pairs(copy_stems(names, ["all"]).keys))
    _, found, seconds = by_picture(made, ["" for _ in made])
    click.echo(f"{len(drawn)} sources, {len(made)} pictures")
    click.echo(f"whole by their stems:    {whole(by_stem, of)} ({100 * whole(by_stem, of) / len(drawn):.1f} %)")
    click.echo(f"whole by picture alone:  {whole(found, of)} ({100 * whole(found, of) / len(drawn):.1f} %)")
    click.echo(f"CPU seconds for 1,000 pictures: {1000 * seconds / len(made):.1f}")
    before, after, _ = by_picture(frames, untouched)
    joined = Counter(new for new, _ in set(zip(after, before, strict=True)))
    changed = sum(1 for new in after if joined[new] > 1)
    click.echo(
        f"untouched: {len(frames)} pictures, {len(set(before))} groups before, {len(set(after))} with the rules for "
        f"copies; {changed} pictures ({100 * changed / len(frames):.1f} %) in a group that grew"
    )


def _frame(path: Path) -> Frame | None:
    try:
        return read_image(path).frame
    except InputError:
        return None


if __name__ == "__main__":
    main()
