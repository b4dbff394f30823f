"""Hamming distances by hand, and what the perceptual hash sees and overlooks."""

import cv2
import numpy as np
import pytest

from augment.data.perceptual_hash import hamming_distances, near_pairs, perceptual_hash


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


def flipped(rng: np.random.Generator, hashes: np.ndarray, most: int) -> np.ndarray:
    """The hashes with up to `most` of their bits turned over."""
    for _ in range(most):
        turn = rng.random(len(hashes)) < 0.7
        hashes = hashes ^ (turn.astype(np.uint64) << rng.integers(0, 64, len(hashes)).astype(np.uint64))
    return hashes


def all_pairs(left: np.ndarray, right: np.ndarray, bits: int) -> list[list[int]]:
    return np.argwhere(hamming_distances(left, right) <= bits).tolist()


@pytest.mark.parametrize("bits", [0, 1, 5, 6, 12, 32, 64])
def test_the_index_finds_what_comparing_all_pairs_finds(bits):
    rng = np.random.default_rng(bits)
    scattered = rng.integers(0, 2**63, 1500, dtype=np.uint64)
    crowd = flipped(rng, np.full(700, 12345, np.uint64), 4)  # around one hash, many of them equal
    near = flipped(rng, scattered[:700], 9)
    left, right = np.concatenate([scattered, crowd]), np.concatenate([near, crowd[::2], scattered[:50]])
    if bits > 12:  # nearly all pairs are near
        left, right = left[::8], right[::8]
    assert near_pairs(left, right, bits).pairs.tolist() == all_pairs(left, right, bits)
    assert near_pairs(left, left[:0], bits).pairs.tolist() == []


def test_buckets_are_searched_where_hashes_are_many():
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 2**63, 20_000, dtype=np.uint64)
    hashes[:300] = flipped(rng, hashes[10_000:10_300], 7)
    found = near_pairs(hashes, hashes, 6).pairs
    both = near_pairs(hashes[:300], hashes[10_000:10_300], 6).pairs
    both[:, 1] += 10_000
    assert {tuple(pair) for pair in both.tolist()} <= {tuple(pair) for pair in found.tolist()}
    assert len(found) == 20_000 + 2 * len(both)  # each is near itself, and scattered hashes are near no other


def test_of_a_crowd_each_hash_keeps_its_nearest_and_equal_ones_chain():
    rng = np.random.default_rng(2)
    equal, scattered = np.full(3000, 7, np.uint64), rng.integers(2**40, 2**63, 1000, dtype=np.uint64)
    scattered[1::2] = scattered[::2] ^ np.uint64(3)
    hashes = np.concatenate([equal, scattered])
    near = near_pairs(hashes, hashes, 6, most=100_000)
    assert len(near.pairs) <= 100_000
    pairs = {tuple(pair) for pair in near.pairs.tolist()}
    assert {(at, at + 1) for at in range(2999)} <= pairs
    assert {(at, at + 1) for at in range(3000, 4000, 2)} <= pairs  # where nothing crowds, nothing is lost
    assert near.crowded.tolist() == list(range(3000))
