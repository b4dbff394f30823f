"""Perceptual hashes: 64 bits per image, few of which differ between images that look alike."""

import cv2
import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Hashes = NDArray[np.uint64]


def perceptual_hash(frame: NDArray[np.uint8]) -> int:
    """Return the pHash of an (H, W, 3) uint8 BGR frame, as the ImageHash library computes it."""
    return int(str(imagehash.phash(Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)))), 16)


def hamming_distances(left: Hashes, right: Hashes) -> NDArray[np.uint8]:
    """Count the bits that differ in each pair of (N,) and (M,) hashes, as (N, M)."""
    differing: NDArray[np.uint8] = np.bitwise_count(left[:, None] ^ right[None])
    return differing
