"""A few numbers that tell from afar whether two devices made the same pixels of a picture.

Each number is a sum of all pixels, in which a fixed random sign goes before every one. The squared difference of two
such sums has the squared distance of the pixels as its mean (Johnson and Lindenstrauss 1984; with signs: Achlioptas
2003), so eight of them tell the root mean square difference to about a quarter. A rounding of one level here and there
hardly shows; another resizing, another order of colours or a lossy copy does.
"""

import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .preprocess import Frames

SUMS = 8  # one for each bit of a byte


def sketch(views: Frames) -> list[int]:
    """Return the sums of uint8 views (T, H, W, 3), which all tiles of a frame share."""
    values = views.reshape(-1)
    # The pixels of each byte of signs are added first, exactly: of eight sums over all pixels, one pass is left.
    by_signs = np.bincount(_signs(values.size), values, minlength=1 << SUMS).astype(np.int64)
    signs, total = np.arange(1 << SUMS), int(by_signs.sum())
    return [2 * int(by_signs[(signs >> bit) & 1 == 1].sum()) - total for bit in range(SUMS)]


def apart(views: Frames, expected: Sequence[int]) -> float:
    """Return the estimated root mean square difference, in levels of 0 to 255, of `views` from those of a sketch."""
    differences = np.array(sketch(views), dtype=np.float64) - np.array(expected, dtype=np.float64)
    return float(np.sqrt(np.mean(differences**2) / views.size))


@functools.lru_cache(maxsize=1)
def _signs(count: int) -> npt.NDArray[np.uint8]:
    """Return `count` random bytes; NumPy promises that this generator's raw numbers never change."""
    words = np.random.PCG64(0).random_raw(-(-count // 8)).astype("<u8")
    return words.view(np.uint8)[:count]
