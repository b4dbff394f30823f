"""A mark in a frame's pixels that a program can check: did the whole frame come through the shared memory? Pure.

64 black and white blocks hold a number and its checksum. They stand in the first and in the last corner, so a frame of
which only a part arrived does not pass.
"""

import zlib

import numpy as np

from ..bundle.preprocess import Frame

SIDE = 8  # blocks in a row, and rows
SHARE = 32  # a block's side is this part of the picture's shorter side


def draw_mark(image: Frame, token: int) -> Frame | None:
    """Return a copy of `image` uint8 (H, W, 3) with the mark of `token`, below 2**32; None where it is too small."""
    if min(image.shape[:2]) < 2 * SIDE:
        return None
    blocks = _blocks(image, token)
    marked = image.copy()
    side = len(blocks)
    marked[:side, :side] = marked[-side:, -side:] = blocks
    return marked


def has_mark(image: Frame, token: int) -> bool:
    """Whether both marks of `token` are in `image`, pixel for pixel."""
    blocks = _blocks(image, token)
    side = len(blocks)
    return np.array_equal(image[:side, :side], blocks) and np.array_equal(image[-side:, -side:], blocks)


def _blocks(image: Frame, token: int) -> Frame:
    """Return the mark for a picture of this size: uint8 (side, side, 3)."""
    number = token.to_bytes(4, "big")
    data = number + zlib.crc32(number).to_bytes(4, "big")
    bits = np.unpackbits(np.frombuffer(data, np.uint8)).reshape(SIDE, SIDE, 1)
    pixels = max(1, min(image.shape[:2]) // SHARE)
    return np.repeat(np.repeat(bits * np.uint8(255), pixels, 0), pixels, 1).repeat(3, 2)
