"""Which images show the same thing: perceptual duplicates and bursts, and the groups that they form.

All functions are pure. Images are named by their position in the arrays given.
"""

import base64
import os
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import takewhile
from pathlib import PurePosixPath
from typing import Any, TypeAlias, cast, overload

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from augment.data.image_store import resize_by_area
from augment.data.perceptual_hash import Hashes, Near, Pairs, near_pairs

Thumbnail: TypeAlias = NDArray[np.uint8]  # (side, side, 3) BGR
Grey: TypeAlias = NDArray[np.uint8]  # (side, side), a thumbnail without its colours
Indexed: TypeAlias = "Mapping[int, NDArray[Any]] | Details"

THUMBNAIL = 32  # pixels
DETAIL_SHIFT = 2  # pixels of a thumbnail; crops of one picture differ by about this much
# Correlation of detail. Looked at: solar cells of one wafer have 0.69 and more, different cells with near hashes
# mostly 0.2 to 0.6 (elpv-dataset, 1,673 pairs); re-encoded photographs 0.98 (Oxford-IIIT Pet).
SAME_DETAIL = 0.6
BURST_SIDE = 16  # pixels; coarse enough that a turned camera or a passing cloud does not part two shots
_CORRELATED = 512  # pairs that a thread takes at a time
_EVEN = 1  # grey level; a picture that varies by less shows nothing


def thumbnail_of(frame: NDArray[np.uint8]) -> Thumbnail:
    """Return the picture as a thumbnail of THUMBNAIL x THUMBNAIL pixels."""
    return resize_by_area(frame, THUMBNAIL, THUMBNAIL)


def packed_thumbnail(frame: NDArray[np.uint8]) -> str:
    """Return the picture's thumbnail as base64 of its pixels, for a journal."""
    return base64.b64encode(thumbnail_of(frame).tobytes()).decode()


class Thumbnails(Sequence[Thumbnail]):
    """Packed thumbnails, each unpacked when it is asked for: of very many pictures few are compared."""

    def __init__(self, packed: Sequence[str]) -> None:
        self._packed = packed

    def __len__(self) -> int:
        return len(self._packed)

    @overload
    def __getitem__(self, at: int) -> Thumbnail: ...

    @overload
    def __getitem__(self, at: slice) -> "Thumbnails": ...

    def __getitem__(self, at: int | slice) -> "Thumbnail | Thumbnails":
        if isinstance(at, slice):
            return Thumbnails(self._packed[at])
        return np.frombuffer(base64.b64decode(self._packed[at]), np.uint8).reshape(THUMBNAIL, THUMBNAIL, 3)


def most_pairs(pictures: int) -> int:
    """Return how many pairs of so many pictures are compared at most: all of 2,000, and 20 for each of many more."""
    return max(2_000_000, 20 * pictures)


def hash_pairs(hashes: Hashes, bits: int) -> Pairs:
    """Find all pairs of 64-bit hashes (N,) whose Hamming distance is at most `bits`."""
    pairs = near_pairs(hashes, hashes, bits).pairs
    return pairs[pairs[:, 0] < pairs[:, 1]]


def near_hashes(hashes: Hashes, bits: int) -> Near:
    """Find what `hash_pairs` finds, but in a crowd only as many as can be compared; see `near_pairs`."""
    near = near_pairs(hashes, hashes, bits, 2 * most_pairs(len(hashes)) + len(hashes))
    pairs = np.sort(near.pairs[near.pairs[:, 0] != near.pairs[:, 1]], axis=1)
    return replace(near, pairs=np.unique(pairs, axis=0))


def duplicate_pairs(hashes: Hashes, thumbnails: Sequence[Thumbnail], bits: int) -> Pairs:
    """Find perceptual duplicates: hashes within `bits`, and either equal hashes or the same detail in the thumbnails.

    The hash alone sees little more than layout: by it, hundreds of different solar cells are one. Where pictures agree
    in their detail too, they do show one thing.
    """
    return same_in_detail(near_hashes(hashes, bits).pairs, hashes, thumbnails)


def same_in_detail(candidates: Pairs, hashes: Hashes, thumbnails: Sequence[Thumbnail]) -> Pairs:
    """Return those of the pairs of pictures that have equal hashes or the same detail."""
    same = hashes[candidates[:, 0]] == hashes[candidates[:, 1]]
    open_pairs = np.flatnonzero(~same)
    details = {at: detail(grey_of(thumbnails[at])) for at in np.unique(candidates[open_pairs]).tolist()}
    same[open_pairs] = correlations(candidates[open_pairs], details, details) >= SAME_DETAIL
    kept: Pairs = candidates[same]
    return kept


def correlations(pairs: Pairs, first: Indexed, second: Indexed, mirrored: bool = False) -> NDArray[np.float64]:
    """Return the correlation (M,) of the details of M pairs, of those that `first` and `second` hold by position."""
    way = -1 if mirrored else 1

    def of_pair(pair: tuple[int, int]) -> float:
        return shifted_correlation(first[pair[0]][:, ::way], second[pair[1]], DETAIL_SHIFT)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        parts = [pairs[start : start + _CORRELATED] for start in range(0, len(pairs), _CORRELATED)]
        found = pool.map(lambda part: [of_pair((a, b)) for a, b in part.tolist()], parts)
        return np.array([value for values in found for value in values], np.float64)


def grey_of(thumbnail: Thumbnail) -> Grey:
    """Return a thumbnail's brightness."""
    return cast(Grey, cv2.cvtColor(thumbnail, cv2.COLOR_BGR2GRAY))


class Details:
    """The detail of the pictures whose grey thumbnails (N, side, side) it holds, worked out when it is asked for."""

    def __init__(self, greys: NDArray[np.uint8]) -> None:
        self._greys = greys

    def __getitem__(self, at: int) -> NDArray[np.float32]:
        return detail(self._greys[at])


def detail(thumbnail: Grey) -> NDArray[np.float32]:
    """Return grey levels less the means of their row and column: a picture without its bars, horizons and vignettes."""
    grey = thumbnail.astype(np.float32)
    left: NDArray[np.float32] = grey - grey.mean(axis=0, keepdims=True) - grey.mean(axis=1, keepdims=True) + grey.mean()
    return left


def burst_pairs(paths: Sequence[str], thumbnails: Sequence[Thumbnail], gap: int, similarity: float) -> Pairs:
    """Find pairs of files that look alike and whose numbers differ by at most `gap`.

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
    small = [resize_by_area(thumbnail, BURST_SIDE, BURST_SIDE) for thumbnail in thumbnails]
    alike = [sorted(pair) for pair in pairs if burst_similarity(small[pair[0]], small[pair[1]]) >= similarity]
    return np.array(sorted(alike), np.int64).reshape(-1, 2)


def blocks_of(paths: Sequence[str], labels: Iterable[str], size: int) -> list[tuple[str, int] | None]:
    """Name the block of each file: its series and its number by `size`; None where the file has no number.

    Folders named like a class do not count, so that a block is one visit with all that was photographed on it.
    """
    classes = set(labels)
    found: list[tuple[str, int] | None] = []
    for path in paths:
        numbered = _series(path)
        if numbered is None:
            found.append(None)
            continue
        *folders, before, after = numbered[0]
        outer = [folder for folder in folders if folder not in classes]
        found.append(("/".join([*outer, before, after]), numbered[1] // size))
    return found


def _series(path: str) -> tuple[tuple[str, ...], int] | None:
    """Split a path into its series and its number in that: normal/a/IMG_0012.jpg -> (a, IMG_, ""), 12."""
    pure = PurePosixPath(path)
    match = re.fullmatch(r"(.*?)(\d+)(\D*)", pure.stem)
    return ((*pure.parts[1:-1], match[1], match[3]), int(match[2])) if match else None


def burst_similarity(first: Thumbnail, second: Thumbnail) -> float:
    """Return the Pearson correlation (-1 to 1) of two pictures at the best shift of up to a quarter of their side."""
    return shifted_correlation(first, second, first.shape[0] // 4)


def shifted_correlation(first: NDArray[Any], second: NDArray[Any], shift: int) -> float:
    """Return the best correlation of the centre of one with any window of the other, whichever way round is better."""
    return max(_best_window(first, second, shift), _best_window(second, first, shift))


def _best_window(first: NDArray[Any], second: NDArray[Any], shift: int) -> float:
    """Return the best correlation of the centre of `first` in `second`; an even centre correlates with nothing."""
    centre = first[shift:-shift, shift:-shift]
    if np.ptp(centre.reshape(-1, *first.shape[2:]), axis=0).max() < _EVEN:
        return 0.0
    scores = cv2.matchTemplate(second, centre, cv2.TM_CCOEFF_NORMED)
    return float(scores[np.isfinite(scores)].max(initial=-1.0))


def same_value_pairs(values: Sequence[Hashable | None]) -> Pairs:
    """Return pairs that chain positions with equal values; None equals nothing."""
    latest: dict[Hashable, int] = {}
    pairs = []
    for position, value in enumerate(values):
        if value is None:
            continue
        if value in latest:
            pairs.append((latest[value], position))
        latest[value] = position
    return np.array(pairs, np.int64).reshape(-1, 2)


def groups_of(ids: Sequence[str], pairs: Pairs) -> list[str]:
    """Name the group of each image: the smallest id among all that `pairs` connect with it, directly or in steps."""
    count = len(ids)
    graph = coo_matrix((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, component = connected_components(graph, directed=False)
    name: dict[int, str] = {}
    for position, label in enumerate(component):
        name[label] = min(name.get(label, ids[position]), ids[position])
    return [name[label] for label in component]
