"""Hamming distances by hand, and what the perceptual hash sees and overlooks."""

import cv2
import numpy as np

from augment.data.perceptual_hash import hamming_distances, perceptual_hash


def test_distances_by_hand():
    left, right = np.array([0, 0b111], np.uint64), np.array([0, 1, 2**63, 2**64 - 1], np.uint64)
    assert hamming_distances(left, right).tolist() == [[0, 1, 1, 64], [3, 2, 4, 61]]


def scene(seed: int) -> np.ndarray:
    return cv2.resize(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8), (160, 120))


def test_the_hash_overlooks_size_compression_and_light_and_sees_another_scene():
    one = scene(1)
    _, data = cv2.imencode(".jpg", one, [cv2.IMWRITE_JPEG_QUALITY, 60])
    changed = [cv2.resize(one, (320, 240)), cv2.imdecode(data, cv2.IMREAD_COLOR), (one * 0.8).astype(np.uint8)]
    distances = hamming_distances(
        np.array([perceptual_hash(one)], np.uint64),
        np.array([perceptual_hash(frame) for frame in [*changed, scene(2)]], np.uint64),
    )[0]
    assert max(distances[:3]) <= 4
    assert distances[3] > 16
