"""Which images show the same thing: perceptual duplicates and bursts, and the groups that they form.

All functions are pure. Images are named by their position in the arrays given.
"""

import re
from collections.abc import Sequence
from itertools import takewhile
from pathlib import PurePosixPath
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

Pairs: TypeAlias = NDArray[np.int64]  # (M, 2), the smaller position first
Thumbnail: TypeAlias = NDArray[np.uint8]  # (THUMBNAIL, THUMBNAIL, 3) BGR

THUMBNAIL = 16  # pixels
MAX_SHIFT = THUMBNAIL // 4  # pixels; between two shots of one asset a hand moves the camera about this much
_BLOCK = 1024  # rows of the distance matrix at a time: 1024 x 50,000 x 4 bytes = 200 MB


def hash_pairs(hashes: NDArray[np.uint64], bits: int) -> Pairs:
    """All pairs of 64-bit hashes (N,) whose Hamming distance is at most `bits`."""
    planes = _bit_planes(hashes)
    ones = planes.sum(axis=1)
    found = []
    for start in range(0, len(hashes), _BLOCK):
        rows = slice(start, start + _BLOCK)
        distance = ones[rows, None] + ones[None, start:] - 2 * planes[rows] @ planes[start:].T
        first, second = np.nonzero(distance <= bits)
        found.append(np.stack([first, second], axis=1)[first < second] + start)
    return np.concatenate(found) if found else np.empty((0, 2), np.int64)


def _bit_planes(hashes: NDArray[np.uint64]) -> NDArray[np.float32]:
    """(N,) -> (N, 64) of zeros and ones; a matrix product of them counts common bits exactly."""
    return np.unpackbits(hashes.view(np.uint8).reshape(len(hashes), 8), axis=1).astype(np.float32)


def burst_pairs(paths: Sequence[str], thumbnails: Sequence[Thumbnail], gap: int, similarity: float) -> Pairs:
    """Pairs of files that look alike and whose numbers differ by at most `gap`.

    The class folder does not count: of one asset, the shots with and without the fault lie in two class folders under
    consecutive numbers.
    """
    series: dict[tuple[str, ...], list[tuple[int, int]]] = {}
    for position, path in enumerate(paths):
        if numbered := _series(path):
            series.setdefault(numbered[0], []).append((numbered[1], position))
    pairs = []
    for members in series.values():
        members.sort()
        for at, (number, first) in enumerate(members):
            near = takewhile(lambda other: other[0] - number <= gap, members[at + 1 :])  # noqa: B023 (used at once)
            pairs += [(first, second) for _, second in near]
    alike = [sorted(pair) for pair in pairs if thumbnail_similarity(*(thumbnails[i] for i in pair)) >= similarity]
    return np.array(sorted(alike), np.int64).reshape(-1, 2)


def _series(path: str) -> tuple[tuple[str, ...], int] | None:
    """What files of one series share, and the file's number in it: normal/a/IMG_0012.jpg -> (a, IMG_, ""), 12."""
    pure = PurePosixPath(path)
    match = re.fullmatch(r"(.*?)(\d+)(\D*)", pure.stem)
    return ((*pure.parts[1:-1], match[1], match[3]), int(match[2])) if match else None


def thumbnail_similarity(first: Thumbnail, second: Thumbnail) -> float:
    """Pearson correlation of two colour thumbnails at the best shift of up to a quarter of their side; -1 to 1."""
    return max(_best_correlation(first, second), _best_correlation(second, first))


def _best_correlation(first: Thumbnail, second: Thumbnail) -> float:
    """Of the centre of `first` with any window of `second`; an even centre correlates with nothing."""
    centre = first[MAX_SHIFT:-MAX_SHIFT, MAX_SHIFT:-MAX_SHIFT]
    if (centre == centre[0, 0]).all():
        return 0.0
    scores = cv2.matchTemplate(second, centre, cv2.TM_CCOEFF_NORMED)
    return float(scores[np.isfinite(scores)].max(initial=-1.0))


def same_value_pairs(values: Sequence[str | None]) -> Pairs:
    """Pairs that chain positions with equal values; None equals nothing."""
    latest: dict[str, int] = {}
    pairs = []
    for position, value in enumerate(values):
        if value is None:
            continue
        if value in latest:
            pairs.append((latest[value], position))
        latest[value] = position
    return np.array(pairs, np.int64).reshape(-1, 2)


def groups_of(ids: Sequence[str], pairs: Pairs) -> list[str]:
    """The group of each image: the smallest id among all that `pairs` connect with it, directly or in steps."""
    count = len(ids)
    graph = coo_matrix((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, component = connected_components(graph, directed=False)
    name: dict[int, str] = {}
    for position, label in enumerate(component):
        name[label] = min(name.get(label, ids[position]), ids[position])
    return [name[label] for label in component]
