"""Which pictures were made from one another offline: turned, mirrored, cropped, made noisy, saved under other names.

Two searches, both by position in the arrays given, both pure. Small and smooth pictures are found by the perceptual
hashes of the eight ways to lay a picture down. For others, candidates share local features (SIFT, Lowe 2004) as words
(Sivic and Zisserman 2003); a candidate counts where one affine map lays rare features onto each other and the pictures
under them then agree, block by block. A mirrored picture's features are those of the picture, reordered.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from os import cpu_count
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from augment.data.duplicates import Thumbnail, grey_of, most_pairs
from augment.data.image_store import resize_by_area
from augment.data.perceptual_hash import Hashes, Pairs, near_pairs

Floats: TypeAlias = NDArray[np.float32]
Outline: TypeAlias = NDArray[np.uint8]  # (SIDE, SIDE) grey
Greys: TypeAlias = NDArray[np.uint8]  # (N, 32, 32) grey
Triple: TypeAlias = tuple[int, int, bool]  # two positions, the smaller first, and whether the first is mirrored

# Pictures among which all are compared by features: 82 kB of memory for each, and time that grows with their square.
MOST_BY_FEATURES = 10_000
MOST_PROVEN = 2000  # pairs that are compared by features among more pictures, at 20 to 50 ms each
SIDE = 192  # pixels; a picture is squeezed into a square, so that a quarter turn of it is one of the square
LEAST_SIDE = 48  # pixels; smaller pictures have no features worth the name
KEYPOINTS = 160  # of a picture, the strongest
WORDS = 1024  # at most, and as many mirrored ones
SHARED = 8  # features for each word at least, or every feature were a word of its own
NEAREST = 8  # candidates of each picture and of its mirror image

RATIO = 0.85  # a feature is matched if its second choice is farther by this (Lowe)
ERROR = 3.0  # pixels that a matched feature may lie off
LEAST_MATCHES = 10  # that agree on one map, and half of all
MOST_SCALE, MOST_STRETCH = 2.2, 1.8  # of a map: how much larger or smaller, how much more along one axis
BACKGROUND = 64  # pictures, drawn evenly: what many of them have too, a busbar or a logo, is no sign of a copy
# Candidates were chosen for being alike: others may be farther by this (1 - cosine), and still have a feature.
SLACK, LEAST_SLACK = 1.3, 0.03
ASKED = 30  # of the matched features at most, drawn evenly
MOST_COPIES = 24  # of one picture: a feature that more have is common. Of the pictures drawn that is a part, and CHANCE
CHANCE = 2
BLOCK = 24  # pixels
LEAST_BLOCKS = 12  # of 64 in the overlap
AGREE, MOST_AGREE = 0.95, 0.9  # correlation of the middle block and of three in four
DETAIL_AGREE, MOST_DETAIL_AGREE = 0.9, 0.8  # the same without the means of rows and columns: bars and horizons

# Pixels, grey levels. Of 300 pictures of four sets, 298 saved at JPEG 80 stay below, 257 at JPEG 50 and half the size,
# and 1 with a spot of 3 % of the side and 60 levels. Cells of one production batch that a faint streak parts (elpv)
# differ by 4.4 to 9.6.
FINE, MOST_DIFFERENCE = 9, 4.2
REFINEMENT = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 50, 1e-5)
MOST_OF_IT = 0.95  # of the picture that the other must cover to be called the same: a fault may be in the rest

_AT_ONCE = 4096  # thumbnails
TURNED_DETAIL = 0.96  # correlation; below it different solar cells, symmetric as they are, count as turned


def outline_of(frame: NDArray[np.uint8]) -> Outline:
    """Return an (H, W, 3) BGR picture as its outline; an even one where it is too small for features."""
    if min(frame.shape[:2]) < LEAST_SIDE:
        return np.zeros((SIDE, SIDE), np.uint8)
    grey: Outline = cv2.cvtColor(resize_by_area(frame, SIDE, SIDE), cv2.COLOR_BGR2GRAY)
    return grey


@dataclass(frozen=True)
class Features:
    """Where a picture's features lie, (K, 2) as x and y, and what they look like, (K, 128) of unit length."""

    points: Floats
    vectors: Floats

    @cached_property
    def mirrored(self) -> "Features":
        """The features of the picture seen in a mirror."""
        points = np.stack([SIDE - 1 - self.points[:, 0], self.points[:, 1]], axis=1)
        return Features(points, self.vectors[:, _MIRROR])


# A SIFT vector holds 4 x 4 cells of 8 directions, relative to the direction of the feature: a mirror swaps the cells
# across it and the sense of the directions.
_MIRROR = np.arange(128).reshape(4, 4, 8)[::-1, :, -np.arange(8) % 8].reshape(-1)


def features_of(outline: Outline) -> Features:
    """Return the features of an outline, after its greys are stretched to the whole range."""
    low, high = np.percentile(outline, (1, 99))
    full = cv2.convertScaleAbs(outline.astype(np.float32) - low, alpha=255 / max(high - low, 8))
    points, vectors = cv2.SIFT.create(nfeatures=KEYPOINTS, contrastThreshold=0.02).detectAndCompute(full, None)
    if vectors is None:
        return Features(np.empty((0, 2), np.float32), np.empty((0, 128), np.float32))
    root = np.sqrt(vectors / np.maximum(vectors.sum(axis=1, keepdims=True), 1e-6))  # Arandjelovic and Zisserman 2012
    return Features(np.array([point.pt for point in points], np.float32)[:KEYPOINTS], root[:KEYPOINTS])


@dataclass(frozen=True)
class Copy:
    """Two pictures of which one was made from the other; `same` where only saving, light and noise part them."""

    first: int
    second: int
    same: bool


def feature_copies(outlines: Sequence[Outline]) -> list[Copy]:
    """Return the pairs of pictures of which one was made from the other, by their features."""
    with ThreadPoolExecutor(cpu_count()) as pool:
        features = list(pool.map(features_of, outlines))
        if sum(len(each.vectors) for each in features) < 2:
            return []
        background = _Background.of(features)
        triples = sorted(set(_candidates(features)))
        found = list(pool.map(lambda triple: _compared(outlines, features, triple, background), triples))
    return [copy for copy in found if copy is not None]


def copies_among(pairs: Pairs, count: int, outline: Callable[[int], Outline]) -> list[Copy]:
    """Return which of the `pairs` (M, 2) of `count` pictures are copies by their features.

    At most MOST_PROVEN are looked at, drawn evenly. `outline` gives a picture's; features are computed for each pair
    and not kept.
    """
    if not len(pairs):
        return []
    asked = pairs[np.unique(np.linspace(0, len(pairs) - 1, min(MOST_PROVEN, len(pairs))).astype(int))]
    with ThreadPoolExecutor(cpu_count()) as pool:
        drawn = np.unique(np.linspace(0, count - 1, min(BACKGROUND, count)).astype(int)).tolist()
        background = _Background.of(list(pool.map(lambda at: features_of(outline(at)), drawn)), count)

        def compared(pair: list[int]) -> Copy | None:
            outlines = [outline(at) for at in pair]
            features = [features_of(each) for each in outlines]
            ways = (_compared(outlines, features, (0, 1, flipped), background) for flipped in (False, True))
            found = next((way for way in ways if way), None)
            return found and Copy(pair[0], pair[1], found.same)

        return [copy for copy in pool.map(compared, asked.tolist()) if copy]


# Candidates


def _candidates(features: Sequence[Features]) -> Iterator[Triple]:
    """Yield each picture's likeliest partners, mirrored or not, by the words that they share."""
    plain, mirrored = _as_words(features)
    others = plain.T.tocsr()
    nearest = min(NEAREST, len(features) - 1)
    for flipped, rows in ((False, plain), (True, mirrored)):
        for start in range(0, len(features), 1024):
            likeness = (rows[start : start + 1024] @ others).toarray()
            own = np.arange(len(likeness))
            likeness[own, start + own] = -1
            best = np.argpartition(-likeness, nearest - 1, axis=1)[:, :nearest]
            for row, column in zip(*np.nonzero(np.take_along_axis(likeness, best, axis=1) > 0), strict=True):
                first, second = sorted((start + int(row), int(best[row, column])))
                yield first, second, flipped


def _as_words(features: Sequence[Features]) -> tuple[csr_matrix, csr_matrix]:
    """Return (N, words) rows of unit length, tf-idf weighted, of the pictures and of their mirror images.

    Words are features drawn evenly from all, and their mirror images, so that a mirrored feature is a mirrored word.
    """
    vectors = np.concatenate([each.vectors for each in features])
    drawn = vectors[np.linspace(0, len(vectors) - 1, min(WORDS, -(-len(vectors) // SHARED))).astype(int)]
    book = np.concatenate([drawn, drawn[:, _MIRROR]]).T
    word = np.concatenate([np.argmax(vectors[at : at + 8192] @ book, axis=1) for at in range(0, len(vectors), 8192)])
    row = np.repeat(np.arange(len(features)), [len(each.vectors) for each in features])
    shape, ones = (len(features), book.shape[1]), np.ones(len(row), np.float32)
    counts = [csr_matrix((ones, (row, words)), shape) for words in (word, (word + len(drawn)) % book.shape[1])]
    having = sum(np.bincount(count.tocoo().col, minlength=book.shape[1]) for count in counts)
    weight = np.log(2 * len(features) / np.maximum(having, 1)).astype(np.float32)
    return _weighted(counts[0], weight), _weighted(counts[1], weight)


def _weighted(counts: csr_matrix, weight: Floats) -> csr_matrix:
    rows = counts.sqrt().multiply(weight).tocsr()
    length = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    scaled: csr_matrix = rows.multiply(1 / np.maximum(length, 1e-6)[:, None]).tocsr()
    return scaled


# Proof


@dataclass(frozen=True)
class _Background:
    """The features of pictures drawn evenly from those that have any, (M, 128), and where those of each begin."""

    vectors: Floats
    starts: NDArray[np.int64]
    most: float  # pictures of these that may have a rare feature

    @classmethod
    def of(cls, features: Sequence[Features], count: int | None = None) -> "_Background":
        """Draw from `features`; they are of `count` pictures where others were left out."""
        full = [each.vectors for each in features if len(each.vectors)]
        if not full:
            return cls(np.zeros((1, 128), np.float32), np.zeros(1, np.int64), CHANCE)
        drawn = [full[at] for at in np.unique(np.linspace(0, len(full) - 1, BACKGROUND).astype(int))]
        starts = np.cumsum([0, *(len(vectors) for vectors in drawn[:-1])])
        return cls(np.concatenate(drawn), starts, MOST_COPIES * len(drawn) / (count or len(full)) + CHANCE)

    def rare(self, vectors: Floats, likeness: Floats) -> NDArray[np.bool_]:
        """Whether each of (K, 128) features has few pictures with a feature as like it as `likeness` (K,)."""
        best = np.maximum.reduceat(vectors @ self.vectors.T, self.starts, axis=1)
        having = (1 - best <= np.maximum(SLACK * (1 - likeness[:, None]), LEAST_SLACK)).sum(axis=1)
        found: NDArray[np.bool_] = having <= self.most
        return found


def _compared(
    outlines: Sequence[Outline], features: Sequence[Features], triple: Triple, background: _Background
) -> Copy | None:
    first, second, flipped = triple
    onto, outline = features[first], outlines[first]
    if flipped:
        onto, outline = onto.mirrored, np.ascontiguousarray(outline[:, ::-1])
    left, right, likeness = _matches(onto, features[second])
    found = _affine(onto.points[left], features[second].points[right])
    if found is None or not blocks_agree(outline, outlines[second], found[0]):
        return None
    mapped, inside = found
    asked = np.flatnonzero(inside)[:: -(-int(inside.sum()) // ASKED)]
    if background.rare(onto.vectors[left[asked]], likeness[asked]).sum() < LEAST_MATCHES:
        return None
    return Copy(first, second, no_difference(outline, outlines[second], mapped))


def _affine(onto: Floats, of: Floats) -> tuple[Floats, NDArray[np.bool_]] | None:
    """Return the (2, 3) map that lays most of the points `of` (M, 2) onto their partners, and which; None if none does.

    None too where the map is no copy's: a mirror, a great stretch, another scale.
    """
    if len(of) < LEAST_MATCHES:
        return None
    found, inliers = cv2.estimateAffine2D(of, onto, method=cv2.RANSAC, ransacReprojThreshold=ERROR, maxIters=500)
    if found is None or inliers.sum() < max(LEAST_MATCHES, len(of) / 2):
        return None
    large, small = np.linalg.svd(found[:, :2], compute_uv=False)
    if large > MOST_SCALE or small < 1 / MOST_SCALE or large > MOST_STRETCH * small or np.linalg.det(found[:, :2]) < 0:
        return None
    return found.astype(np.float32), inliers.ravel().astype(bool)


def _matches(onto: Features, of: Features) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Return the features of both pictures that choose each other, and clearly, with their cosine."""
    if min(len(onto.vectors), len(of.vectors)) < 2:
        return np.empty(0, int), np.empty(0, int), np.empty(0, np.float32)
    likeness = onto.vectors @ of.vectors.T
    choice = likeness.argmax(axis=1)
    rows = np.flatnonzero(likeness.argmax(axis=0)[choice] == np.arange(len(choice)))
    second, best = np.partition(likeness[rows], -2, axis=1)[:, -2:].T
    clear = 1 - best < RATIO**2 * (1 - second)  # of unit vectors the squared distance is 2 - 2 cos
    return rows[clear], choice[rows[clear]], best[clear]


def blocks_agree(onto: Outline, of: Outline, found: Floats) -> bool:
    """Whether two outlines agree in the blocks that the (2, 3) affine map `found` lays over each other."""
    mask = cv2.warpAffine(np.ones_like(of), found, (SIDE, SIDE)).astype(bool)
    whole = _blocks(mask).all(axis=1)
    if whole.sum() < LEAST_BLOCKS:
        return False
    pictures = [
        cv2.GaussianBlur(picture, (0, 0), 1.5).astype(np.float32)
        for picture in (np.ascontiguousarray(onto), cv2.warpAffine(of, found, (SIDE, SIDE)))
    ]
    plain = _correlations(*(_blocks(picture)[whole] for picture in pictures))
    if np.median(plain) < AGREE or np.quantile(plain, 0.25) < MOST_AGREE:
        return False
    detail = _correlations(*(_blocks(_without_bars(picture, mask))[whole] for picture in pictures))
    return bool(np.median(detail) >= DETAIL_AGREE and np.quantile(detail, 0.25) >= MOST_DETAIL_AGREE)


def no_difference(onto: Outline, of: Outline, found: Floats) -> bool:
    """Whether nothing but light, noise and saving parts two outlines laid over each other: not even a small fault.

    The map is refined first (Evangelidis and Psarakis 2008), since half a pixel at an edge differs like a fault. After
    a common gain and offset, no part of FINE x FINE pixels differs by more than MOST_DIFFERENCE grey levels.
    """
    if cv2.warpAffine(np.ones_like(of), found, (SIDE, SIDE)).mean() < MOST_OF_IT:
        return False
    back = cv2.invertAffineTransform(found).astype(np.float32)
    try:
        _, refined = cv2.findTransformECC(onto, of, back, cv2.MOTION_AFFINE, REFINEMENT, None, 5)
    except cv2.error:  # it found no way to a better map
        return False
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    mask = cv2.erode(cv2.warpAffine(np.ones_like(of), refined, (SIDE, SIDE), flags=flags), np.ones((5, 5), np.uint8))
    inside = mask.astype(bool)
    left, right = (
        cv2.GaussianBlur(picture, (0, 0), 1.5).astype(np.float32)
        for picture in (onto, cv2.warpAffine(of, refined, (SIDE, SIDE), flags=flags))
    )
    gain, offset = np.polyfit(right[inside], left[inside], 1)
    difference = np.where(inside, left - gain * right - offset, 0).astype(np.float32)
    return bool(np.abs(cv2.blur(difference, (FINE, FINE))).max() <= MOST_DIFFERENCE)


def _blocks(picture: NDArray[Any]) -> NDArray[Any]:
    count = SIDE // BLOCK
    return picture.reshape(count, BLOCK, count, BLOCK).swapaxes(1, 2).reshape(count * count, BLOCK * BLOCK)


def _correlations(first: Floats, second: Floats) -> Floats:
    """Return the correlation of each block with its partner, of the half with more to see."""
    first, second = (blocks - blocks.mean(axis=1, keepdims=True) for blocks in (first, second))
    spread = first.std(axis=1)
    seen = (spread >= np.median(spread)) & (spread > 1)
    if not seen.any():
        return np.zeros(1, np.float32)
    product = (first * second).mean(axis=1) / np.maximum(spread * second.std(axis=1), 1e-3)
    chosen: Floats = product[seen]
    return chosen


def _without_bars(picture: Floats, mask: NDArray[np.bool_]) -> Floats:
    """Return the picture less the means of its rows and columns within the mask, twice: a mask is no rectangle."""
    for _ in range(2):
        for axis in (0, 1):
            mean = np.where(mask, picture, 0).sum(axis=axis, keepdims=True) / np.maximum(
                mask.sum(axis=axis, keepdims=True), 1
            )
            picture = np.where(mask, picture - mean, 0).astype(np.float32)
    return picture


# Small and smooth pictures


def turned_pairs(thumbnails: Sequence[Thumbnail], bits: int) -> Pairs:
    """Find pictures that are others turned by quarters or mirrored: near hashes, and the same detail in thumbnails.

    Those that lie the same way round are `duplicates.duplicate_pairs`.
    """
    if not thumbnails:
        return np.empty((0, 2), np.int64)
    every = np.stack([grey_of(thumbnail) for thumbnail in thumbnails])
    # Two rows of at most unit length reach TURNED_DETAIL only where both are nearly as long: smooth pictures are none.
    starts = range(0, len(every), _AT_ONCE)
    length = np.concatenate([np.linalg.norm(_details(every[at : at + _AT_ONCE]), axis=1) for at in starts])
    places = np.flatnonzero(length >= TURNED_DETAIL - 1e-3)
    greys = every[places]
    plain, most = _hashes(greys), most_pairs(len(greys))
    found = [np.empty((0, 2), np.int64)]
    for turn in range(1, 8):
        turned = np.rot90(greys if turn < 4 else greys[:, :, ::-1], turn % 4, axes=(1, 2))
        near = near_pairs(_hashes(turned), plain, bits, most).pairs
        near = near[near[:, 0] != near[:, 1]]
        for start in range(0, len(near), _AT_ONCE):
            first, second = near[start : start + _AT_ONCE].T
            same = (_details(turned[first]) * _details(greys[second])).sum(axis=1) >= TURNED_DETAIL
            found.append(np.sort(np.stack([first[same], second[same]], axis=1), axis=1))
    others: Pairs = places[np.unique(np.concatenate(found), axis=0)].reshape(-1, 2)
    return others


def _hashes(greys: Greys) -> Hashes:
    """Return 64 bits of each of (N, 32, 32) pictures: which of its low frequencies are above their median."""
    if not len(greys):
        return np.empty(0, np.uint64)
    bits = np.stack([cv2.dct(np.ascontiguousarray(grey, np.float32))[:8, :8].ravel() for grey in greys])
    above = np.packbits(bits > np.median(bits, axis=1, keepdims=True), axis=1)
    return np.ascontiguousarray(above).view(np.uint64).ravel()


def _details(thumbnails: Greys) -> Floats:
    """Return (N, 1024) rows of unit length: the pictures without the means of their rows and columns."""
    greys = thumbnails.astype(np.float32)
    left = greys - greys.mean(axis=1, keepdims=True) - greys.mean(axis=2, keepdims=True)
    left = (left + greys.mean(axis=(1, 2), keepdims=True)).reshape(len(greys), -1)
    rows: Floats = left / np.maximum(np.linalg.norm(left, axis=1, keepdims=True), 32.0)  # an even picture has no detail
    return rows
