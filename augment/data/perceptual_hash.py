"""Perceptual hashes: 64 bits per image, few of which differ between images that look alike."""

import cv2
import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Hashes = NDArray[np.uint64]

HASH_BITS = 64


def perceptual_hash(frame: NDArray[np.uint8]) -> int:
    """The pHash of an (H, W, 3) uint8 BGR frame, as the ImageHash library computes it."""
    return int(str(imagehash.phash(Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)))), 16)


def hamming_distances(left: Hashes, right: Hashes) -> NDArray[np.uint8]:
    """(N,) and (M,) hashes -> (N, M), how many bits of each pair differ."""
    return np.bitwise_count(left[:, None] ^ right[None])
