"""Which images count as showing the same thing, on numbers and pictures small enough to check by eye."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augment.data.duplicates import (
    THUMBNAIL,
    blocks_of,
    burst_pairs,
    burst_similarity,
    duplicate_pairs,
    groups_of,
    hash_pairs,
    same_value_pairs,
)

NONE = np.empty((0, 2), np.int64)


def noise(seed: int, side: int = THUMBNAIL) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


def bars(side: int = THUMBNAIL) -> np.ndarray:
    """The layout that different solar cells share: three dark rows."""
    picture = np.full((side, side, 3), 150, np.uint8)
    picture[[6, 16, 26]] = 60
    return picture


def test_hashes_within_the_bits_are_pairs() -> None:
    hashes = np.array([0b0000, 0b0011, 0b0111, 2**64 - 1], np.uint64)
    assert hash_pairs(hashes, 0).tolist() == []
    assert hash_pairs(hashes, 1).tolist() == [[1, 2]]
    assert hash_pairs(hashes, 2).tolist() == [[0, 1], [1, 2]]
    assert hash_pairs(hashes, 64).tolist() == [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]
    assert hash_pairs(np.array([], np.uint64), 6).tolist() == []


@given(st.lists(st.integers(0, 2**64 - 1), max_size=30), st.integers(0, 64))
def test_hash_pairs_equal_those_counted_bit_by_bit(values: list[int], bits: int) -> None:
    expected = [
        [i, j]
        for i in range(len(values))
        for j in range(i + 1, len(values))
        if (values[i] ^ values[j]).bit_count() <= bits
    ]
    assert hash_pairs(np.array(values, np.uint64), bits).tolist() == expected


def test_a_shared_layout_without_shared_detail_is_no_duplicate() -> None:
    cells = [np.clip(bars() + noise(seed) // 8, 0, 255).astype(np.uint8) for seed in (1, 2)]
    brighter = np.clip(cells[0].astype(int) + 20, 0, 255).astype(np.uint8)
    hashes = np.array([0, 1, 3], np.uint64)
    assert duplicate_pairs(hashes, [cells[0], cells[1], brighter], 6).tolist() == [[0, 2]]


def test_equal_hashes_need_no_detail() -> None:
    black = np.zeros((THUMBNAIL, THUMBNAIL, 3), np.uint8)
    assert duplicate_pairs(np.array([7, 7], np.uint64), [black, black], 6).tolist() == [[0, 1]]
    assert duplicate_pairs(np.array([7, 6], np.uint64), [black, black], 6).tolist() == []


def test_a_burst_survives_a_moved_camera_and_a_class_folder() -> None:
    scene = np.kron(noise(3, 10), np.ones((4, 4, 1), np.uint8))
    shots = [scene[:32, :32], scene[4:36, 4:36], noise(4)]
    paths = ["normal/Line_9.jpg", "hotspot/Line_10.jpg", "normal/Line_11.jpg"]
    assert burst_pairs(paths, shots, gap=1, similarity=0.75).tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("other", "alike"),
    [
        ("b/IMG_0005.jpg", True),
        ("b/IMG_0006.jpg", True),
        ("b/IMG_0007.jpg", False),
        ("b/DSC_0006.jpg", False),
        ("b/IMG_0006_left.jpg", False),
        ("b/mast 3/IMG_0006.jpg", False),
        ("b/IMG.jpg", False),
    ],
)
def test_only_neighbours_of_one_series_can_be_a_burst(other: str, alike: bool) -> None:
    found = burst_pairs(["a/IMG_0005.jpg", other], [noise(1), noise(1)], gap=1, similarity=0.75)
    assert found.tolist() == ([[0, 1]] if alike else [])


def test_similarity_is_one_for_the_same_picture_and_zero_for_an_even_one() -> None:
    picture, even = noise(5, 16), np.full((16, 16, 3), 80, np.uint8)
    assert burst_similarity(picture, picture) == pytest.approx(1.0, abs=1e-5)
    assert burst_similarity(picture, 255 - picture) < 0.5
    assert burst_similarity(even, even) == 0.0
    assert burst_similarity(picture, even) <= 0.0


def test_pairs_form_groups_named_after_their_smallest_id() -> None:
    pairs = np.array([[0, 2], [2, 3]])
    assert groups_of(["d", "b", "c", "a"], pairs) == ["a", "b", "a", "a"]
    assert groups_of(["d", "b"], NONE) == ["d", "b"]


def test_equal_values_chain_and_none_stands_alone() -> None:
    assert same_value_pairs(["x", None, "y", "x", None, "x"]).tolist() == [[0, 3], [3, 5]]


def test_a_block_spans_classes_and_not_series() -> None:
    paths = [
        "hot/IMG_11.jpg",
        "ok/IMG_6.jpg",
        "ok/IMG_5.jpg",
        "ok/b/IMG_6.jpg",
        "all/ok/IMG_7.jpg",
        "ok/x.jpg",
        "ok/ok7.jpg",
    ]
    blocks = blocks_of(paths, ("hot", "ok"), 6)
    assert blocks[0] == blocks[1] == blocks[4]
    assert blocks[5] is None
    assert len({*blocks}) == 5
