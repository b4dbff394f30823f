"""Perceptual hashes: 64 bits per image, few of which differ between images that look alike; and which hashes are near.

Near hashes are found through an index and not by comparing all pairs. The 64 bits are cut into bands; of two hashes
that differ in at most `bits` places, one of `bits // 2 + 1` bands differs in at most one place (the pigeonhole
principle), so each hash looks into the buckets of its bands and of their neighbours: no near pair is missed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Hashes = NDArray[np.uint64]
Places: TypeAlias = NDArray[np.int64]
Pairs: TypeAlias = NDArray[np.int64]  # (M, 2) positions

_AT_ONCE = 1 << 21  # pairs that are looked at at once: 100 MB
_ROWS, _COLUMNS = 256, 8192  # of the matrix of all pairs at a time: it stays in the processor's cache
_LEAST_BANDS = 4  # of 16 bits, so that a table of all buckets is small
_LOOK_UP = 8  # times as long as a pair of the matrix takes a pair that comes out of a bucket


def perceptual_hash(frame: NDArray[np.uint8]) -> int:
    """Return the pHash of an (H, W, 3) uint8 BGR frame, as the ImageHash library computes it."""
    return int(str(imagehash.phash(Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)))), 16)


def hamming_distances(left: Hashes, right: Hashes) -> NDArray[np.uint8]:
    """Count the bits that differ in each pair of (N,) and (M,) hashes, as (N, M)."""
    differing: NDArray[np.uint8] = np.bitwise_count(left[:, None] ^ right[None])
    return differing


@dataclass(frozen=True)
class Near:
    """Pairs (M, 2) of positions in two sets of hashes, in their order, and whose partners are more than are listed."""

    pairs: Pairs
    crowded: Places  # positions in the first set


def near_pairs(left: Hashes, right: Hashes, bits: int, most: int | None = None) -> Near:
    """Return all pairs of (N,) and (M,) hashes that differ in at most `bits` places.

    Where they are more than `most`, each hash keeps the nearest alone: its own `bits` shrink until no more than its
    part of `most` are left, and of a crowd of equal hashes each has one partner.
    """
    ours, theirs = _Distinct.of(left), _Distinct.of(right)
    radius = np.full(len(ours.values), bits)
    if most is not None:
        count = np.zeros((len(ours.values), bits + 1), np.int64)
        for first, second, distance in _joined(ours.values, theirs.values, bits):
            np.add.at(count, (first, distance), theirs.counts[second])
        if (count.sum(axis=1) * ours.counts).sum() > most:
            fits = count.cumsum(axis=1) <= max(most // len(left), 1)
            radius = np.where(fits.all(axis=1), bits, np.argmin(fits, axis=1) - 1)
    parts = [np.empty((0, 2), np.int64)]
    for first, second, distance in _joined(ours.values, theirs.values, bits):
        kept = distance <= radius[first]
        parts.append(_all_with_all(ours, theirs, first[kept], second[kept]))
        lone = (radius[first] < 0) & (distance == 0)
        parts.append(_one_with_one(ours, theirs, first[lone], second[lone]))
    pairs = np.concatenate(parts)
    crowded = np.flatnonzero((radius < bits)[ours.inverse])
    return Near(pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))], crowded)


@dataclass(frozen=True)
class _Distinct:
    """Hashes without repetition, how often each occurs, and where: `order` from `starts` on."""

    values: Hashes
    inverse: Places
    counts: Places
    order: Places
    starts: Places

    @classmethod
    def of(cls, hashes: Hashes) -> "_Distinct":
        values, inverse, counts = np.unique(hashes, return_inverse=True, return_counts=True)
        return cls(values, inverse, counts, np.argsort(inverse, kind="stable"), np.cumsum(counts) - counts)


def _all_with_all(ours: _Distinct, theirs: _Distinct, first: Places, second: Places) -> Pairs:
    """Return each position of the hashes `first` with each of their partners `second`."""
    pair, at = _ranges(ours.counts[first] * theirs.counts[second])
    mine, other = np.divmod(at, theirs.counts[second[pair]])
    return np.stack(
        [ours.order[ours.starts[first[pair]] + mine], theirs.order[theirs.starts[second[pair]] + other]], axis=1
    )


def _one_with_one(ours: _Distinct, theirs: _Distinct, first: Places, second: Places) -> Pairs:
    """Return each position of the hashes `first` with one of their partners `second`: the next, so that all chain."""
    pair, at = _ranges(ours.counts[first])
    other = (at + 1) % theirs.counts[second[pair]]
    return np.stack(
        [ours.order[ours.starts[first[pair]] + at], theirs.order[theirs.starts[second[pair]] + other]], axis=1
    )


def _ranges(counts: Places) -> tuple[Places, Places]:
    """Return for counts such as 2, 3 the ranges of that length one after the other: 0 0 1 1 1 and 0 1 0 1 2."""
    which = np.repeat(np.arange(len(counts)), counts)
    return which, np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)


# Distinct hashes


def _joined(left: Hashes, right: Hashes, bits: int) -> Iterator[tuple[Places, Places, Places]]:
    """Yield the positions of near hashes and their distances, some at a time, by the quicker of two ways."""
    bands = _bands(max(bits // 2 + 1, _LEAST_BANDS))
    small = len(left) * len(right) <= _AT_ONCE
    buckets = [] if small else [_Buckets(right, shift, width) for shift, width in bands]
    if small or _LOOK_UP * sum(own.cost(left) for own in buckets) > len(left) * len(right):
        yield from _by_matrix(left, right, bits)
        return
    for number, own in enumerate(buckets):
        for first, second in own.partners(left):
            differing = left[first] ^ right[second]
            distance = np.bitwise_count(differing)
            new = distance <= bits
            for shift, width in bands[:number]:  # what an earlier band finds is not found again
                new &= np.bitwise_count(differing >> np.uint64(shift) & np.uint64((1 << width) - 1)) > 1
            yield first[new], second[new], distance[new].astype(np.int64)


def _bands(count: int) -> list[tuple[int, int]]:
    """Return where each of `count` bands begins and how many bits it has."""
    edges = [64 * at // count for at in range(count + 1)]
    return [(low, high - low) for low, high in zip(edges, edges[1:], strict=False)]


class _Buckets:
    """Hashes (M,) by the bits of one band."""

    def __init__(self, hashes: Hashes, shift: int, width: int) -> None:
        self._shift, self._width = shift, width
        self._flips = [0, *(1 << bit for bit in range(width))]
        keys = self._keys(hashes)
        self._order = np.argsort(keys, kind="stable")
        self._ends = np.cumsum(np.bincount(keys, minlength=1 << self._width))

    def _keys(self, hashes: Hashes) -> Places:
        return (hashes >> np.uint64(self._shift) & np.uint64((1 << self._width) - 1)).astype(np.int64)

    def _spans(self, keys: Places) -> tuple[Places, Places]:
        ends = self._ends[keys]
        return np.where(keys > 0, self._ends[keys - 1], 0), ends

    def cost(self, hashes: Hashes) -> int:
        """Return how many hashes lie in the buckets that `hashes` look into."""
        keys = self._keys(hashes)
        return sum(int((high - low).sum()) for low, high in (self._spans(keys ^ flip) for flip in self._flips))

    def partners(self, hashes: Hashes) -> Iterator[tuple[Places, Places]]:
        """Yield positions of `hashes` and of those in their buckets, some at a time."""
        keys = self._keys(hashes)
        for flip in self._flips:
            low, high = self._spans(keys ^ flip)
            size = high - low
            start, total = 0, np.cumsum(size)
            while start < len(size):
                done = total[start - 1] if start else 0
                stop = max(start + 1, int(np.searchsorted(total, done + _AT_ONCE, "right")))
                which, at = _ranges(size[start:stop])
                yield which + start, self._order[low[start:stop][which] + at]
                start = stop


def _by_matrix(left: Hashes, right: Hashes, bits: int) -> Iterator[tuple[Places, Places, Places]]:
    for row in range(0, len(left), _ROWS):
        for column in range(0, len(right), _COLUMNS):
            distance = hamming_distances(left[row : row + _ROWS], right[column : column + _COLUMNS])
            first, second = np.nonzero(distance <= bits)
            yield first + row, second + column, distance[first, second].astype(np.int64)
