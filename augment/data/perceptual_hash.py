"""Perceptual hashes: 64 bits per image, few of which differ between images that look alike; and which hashes are near.

Near hashes are found through an index and not by comparing all pairs. The 64 bits are cut into bands. Of two hashes
that differ in at most `bits` places, one of `bits + 1` bands is equal, and one of `bits // 2 + 1` differs in at most
one place (the pigeonhole principle); so hashes are compared within the buckets of a band, and no near pair is missed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import cv2
import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Hashes = NDArray[np.uint64]
Places: TypeAlias = NDArray[np.int64]
Pairs: TypeAlias = NDArray[np.int64]  # (M, 2) positions

_AT_ONCE = 1 << 20  # near pairs that are held at once
_ROWS, _COLUMNS = 128, 4096  # of the matrix of all pairs at a time: it stays in the processor's cache
_TILE = 20_000  # pairs in the time that a small matrix takes whatever its size
_WIDEST = 20  # bits of a band, for which there is a table of all buckets
_SAMPLE = 2000  # hashes by which crowds are counted


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
    every = most is None or len(left) * len(right) <= most
    radius = np.full(len(ours.values), bits) if every else _radius(ours, theirs, bits, most or 0)
    parts = [np.empty((0, 2), np.int64)]
    for first, second, distance in _joined(ours.values, theirs.values, np.maximum(radius, 0).astype(np.uint8)):
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


def _radius(ours: _Distinct, theirs: _Distinct, bits: int, most: int) -> Places:
    """Return within how many bits each of our hashes has few enough partners for `most` pairs in all; -1: not even 0.

    The partners are counted among hashes drawn evenly: counting all would be what the index is there to avoid.
    """
    step = -(-len(theirs.inverse) // _SAMPLE)
    drawn, weight = np.unique(theirs.values[theirs.inverse[::step]], return_counts=True)
    count = np.zeros((len(ours.values), bits + 1), np.int64)
    for first, second, distance in _by_matrix(ours.values, drawn, np.full(len(ours.values), bits, np.uint8)):
        place, many = first * (bits + 1) + distance, weight[second] * step
        count += np.bincount(place, many, count.size).astype(np.int64).reshape(count.shape)
    if (count.sum(axis=1) * ours.counts).sum() <= most:
        return np.full(len(ours.values), bits)
    fits = count.cumsum(axis=1) <= max(most // len(ours.inverse), 1)
    return np.where(fits.all(axis=1), bits, np.argmin(fits, axis=1) - 1)


def _joined(left: Hashes, right: Hashes, limits: NDArray[np.uint8]) -> Iterator[tuple[Places, Places, Places]]:
    """Yield the positions of hashes within the `limits` of the left ones, and their distances, some at a time.

    Buckets are searched where that looks at fewer pairs than there are.
    """
    bits = int(limits.max(initial=0))
    bands = _bands(min(range(bits // 2 + 1, bits + 2), key=lambda count: _work(count, bits, len(left) * len(right))))
    flips = bits // len(bands)  # 0 or 1 bits of a band
    cut = [(_Buckets(left, *band), _Buckets(right, *band)) for band in bands if band[1] <= _WIDEST]
    if len(cut) < len(bands) or sum(own.cost(other, flips) for own, other in cut) > len(left) * len(right):
        yield from _collected(_by_matrix(left, right, limits))
        return
    for number, (own, other) in enumerate(cut):
        for first, second, distance in _collected(own.near(other, flips, limits)):
            differing = left[first] ^ right[second]
            new = np.ones(len(first), bool)
            for shift, width in bands[:number]:  # what an earlier band finds is not found again
                new &= np.bitwise_count(differing >> np.uint64(shift) & np.uint64((1 << width) - 1)) > flips
            yield first[new], second[new], distance[new]


def _bands(count: int) -> list[tuple[int, int]]:
    """Return where each of `count` bands begins and how many bits it has."""
    edges = [64 * at // count for at in range(count + 1)]
    return [(low, high - low) for low, high in pairwise(edges)]


def _work(bands: int, bits: int, pairs: int) -> float:
    """Return about how many pairs are looked at with so many bands, if hashes are spread evenly over the buckets."""
    width = 64 // bands
    probes = bands * (1 + (width if bits // bands else 0))
    return float(probes * (pairs / 2**width + _TILE * 2**width))


class _Buckets:
    """Hashes (N,) sorted by the bits of one band."""

    def __init__(self, hashes: Hashes, shift: int, width: int) -> None:
        self._width = width
        keys = (hashes >> np.uint64(shift) & np.uint64((1 << width) - 1)).astype(np.int64)
        self._order = np.argsort(keys, kind="stable")
        self._sorted = hashes[self._order]
        self._edges = np.searchsorted(keys[self._order], np.arange((1 << width) + 1))

    def _flips(self, flips: int) -> list[int]:
        return [0, *(1 << bit for bit in range(self._width))] if flips else [0]

    def cost(self, other: "_Buckets", flips: int) -> float:
        """Return about how many pairs `near` looks at."""
        sizes, theirs = np.diff(self._edges), np.diff(other._edges)
        keys = np.arange(len(sizes))
        return sum(float(sizes @ theirs[keys ^ flip]) + _TILE * len(keys) for flip in self._flips(flips))

    def near(self, other: "_Buckets", flips: int, limits: NDArray[np.uint8]) -> Iterator[tuple[Places, Places, Places]]:
        """Yield the near pairs of one bucket after the other: positions and distances."""
        limits = limits[self._order]
        for key in np.flatnonzero(np.diff(self._edges)).tolist():
            low, high = self._edges[key], self._edges[key + 1]
            for flip in self._flips(flips):
                begin, end = other._edges[key ^ flip], other._edges[(key ^ flip) + 1]
                for rows, columns, distance in _by_matrix(
                    self._sorted[low:high], other._sorted[begin:end], limits[low:high]
                ):
                    yield self._order[low + rows], other._order[begin + columns], distance


def _collected(
    parts: Iterator[tuple[Places, Places, Places]],
) -> Iterator[tuple[Places, Places, Places]]:
    """Join small parts into few large ones."""
    held: list[tuple[Places, Places, Places]] = []
    size = 0
    for part in parts:
        held.append(part)
        size += len(part[0])
        if size >= _AT_ONCE:
            first, second, distance = (np.concatenate(column) for column in zip(*held, strict=True))
            yield first, second, distance
            held, size = [], 0
    if held:
        first, second, distance = (np.concatenate(column) for column in zip(*held, strict=True))
        yield first, second, distance


def _by_matrix(left: Hashes, right: Hashes, limits: NDArray[np.uint8]) -> Iterator[tuple[Places, Places, Places]]:
    for row in range(0, len(left), _ROWS):
        for column in range(0, len(right), _COLUMNS):
            distance = hamming_distances(left[row : row + _ROWS], right[column : column + _COLUMNS])
            near = np.flatnonzero(distance <= limits[row : row + _ROWS, None])
            if len(near):
                first, second = np.divmod(near, distance.shape[1])
                yield first + row, second + column, distance.ravel()[near].astype(np.int64)
