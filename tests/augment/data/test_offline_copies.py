"""Copies that were made offline are found by picture, and different pictures of one layout are not."""

import cv2
import numpy as np
import pytest

from augment.data.duplicates import thumbnail_of
from augment.data.offline_copies import (
    SIDE,
    blocks_agree,
    copies_among,
    feature_copies,
    features_of,
    no_difference,
    outline_of,
    turned_pairs,
)
from augment.evaluation.leaks import packed_outline

SAME = np.array([[1, 0, 0], [0, 1, 0]], np.float32)


def scene(seed: int, width: int = 300, height: int = 240) -> np.ndarray:
    """A hundred shapes of random place, size and grey: every seed is another picture."""
    rng = np.random.default_rng(seed)
    frame = np.full((height, width, 3), 128, np.uint8)
    for _ in range(100):
        x, y, size = int(rng.integers(0, width)), int(rng.integers(0, height)), int(rng.integers(6, 30))
        colour = rng.integers(0, 256, 3).tolist()
        if rng.random() < 0.5:
            cv2.rectangle(frame, (x, y), (x + size, y + size // 2), colour, -1)
        else:
            cv2.circle(frame, (x, y), size // 2, colour, -1)
    return cv2.GaussianBlur(frame, (0, 0), 1)


def rotated(frame: np.ndarray, degrees: float) -> np.ndarray:
    height, width = frame.shape[:2]
    return cv2.warpAffine(frame, cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1), (width, height))


def saved(frame: np.ndarray, quality: int) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


MADE = {
    "mirrored": lambda frame: frame[:, ::-1],
    "turned": lambda frame: np.rot90(frame),
    "rotated": lambda frame: rotated(frame, 10),
    "cropped": lambda frame: frame[30:234, 10:265],
    "darker": lambda frame: (frame * 0.6).astype(np.uint8),
    "saved small": lambda frame: saved(cv2.resize(frame, (180, 144), interpolation=cv2.INTER_AREA), 40),
    "mirrored, cropped, grey": lambda frame: cv2.cvtColor(
        cv2.cvtColor(np.ascontiguousarray(frame[20:230, 280:20:-1]), cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR
    ),
    "turned and rotated": lambda frame: rotated(np.rot90(frame).copy(), -8),
    "bordered": lambda frame: cv2.copyMakeBorder(frame, 30, 30, 0, 0, cv2.BORDER_CONSTANT),
    "stretched": lambda frame: cv2.resize(frame, (256, 256)),
}


@pytest.mark.parametrize("how", MADE)
def test_a_copy_is_found_among_other_pictures(how):
    frames = [scene(seed) for seed in range(5)]
    outlines = [outline_of(np.ascontiguousarray(frame)) for frame in (*frames, MADE[how](frames[2]))]
    assert {(copy.first, copy.second) for copy in feature_copies(outlines)} == {(2, 5)}


def test_different_pictures_of_one_layout_are_no_copies():
    def cell(seed: int) -> np.ndarray:
        frame = np.full((200, 200, 3), 170, np.uint8)
        frame[[*range(48, 53), *range(148, 153)]] = 40
        for x in range(10, 200, 30):
            cv2.rectangle(frame, (x, 42), (x + 12, 58), (20, 20, 20), -1)
            cv2.rectangle(frame, (x, 142), (x + 12, 158), (20, 20, 20), -1)
        rng = np.random.default_rng(seed)
        for _ in range(40):
            x, y = rng.integers(0, 190, 2).tolist()
            cv2.circle(frame, (x, y), int(rng.integers(3, 12)), rng.integers(60, 240, 3).tolist(), -1)
        return frame

    assert feature_copies([outline_of(cell(seed)) for seed in range(40)]) == []


def test_nothing_to_see_is_no_copy_of_nothing():
    even = np.full((100, 100, 3), 90, np.uint8)
    assert feature_copies([outline_of(even), outline_of(even), outline_of(even)]) == []
    assert feature_copies([]) == []
    assert feature_copies([outline_of(scene(1))]) == []
    assert turned_pairs([], 6).tolist() == []
    assert turned_pairs([thumbnail_of(even)] * 3, 6).tolist() == []


def test_a_copy_is_found_among_many_pictures_without_features():
    even = [np.zeros((SIDE, SIDE), np.uint8)] * 200
    original = outline_of(scene(1))
    found = feature_copies([even[0], original, original.copy(), *even])
    assert [(copy.first, copy.second, copy.same) for copy in found] == [(1, 2, True)]


def test_the_features_of_a_mirror_image_are_known_without_looking():
    outline = outline_of(scene(3))
    known, seen = features_of(outline).mirrored, features_of(np.ascontiguousarray(outline[:, ::-1]))
    likeness = known.vectors @ seen.vectors.T
    apart = np.linalg.norm(known.points - seen.points[likeness.argmax(axis=1)], axis=1)
    assert (apart < 2).mean() > 0.8


def test_a_re_saved_picture_is_the_same_and_one_with_a_small_fault_is_not():
    frame = scene(4)
    fault = frame.copy()
    cv2.circle(fault, (150, 120), 6, (255, 255, 255), -1)
    onto = outline_of(frame)
    assert no_difference(onto, outline_of(saved(frame, 50)), SAME)
    assert no_difference(onto, outline_of((frame * 0.8 + 10).astype(np.uint8)), SAME)
    assert not no_difference(onto, outline_of(fault), SAME)
    assert blocks_agree(onto, outline_of(fault), SAME)
    assert not blocks_agree(onto, outline_of(scene(5)), SAME)


def test_pictures_too_small_for_features_are_found_turned():
    tiny = [cv2.resize(scene(seed), (24, 40), interpolation=cv2.INTER_AREA) for seed in range(4)]
    thumbnails = [thumbnail_of(np.ascontiguousarray(frame)) for frame in (*tiny, tiny[1][::-1], np.rot90(tiny[3]))]
    assert turned_pairs(thumbnails, 6).tolist() == [[1, 4], [3, 5]]
    assert outline_of(tiny[0]).max() == 0


def test_an_outline_survives_the_journal():
    frame = scene(6)
    assert len(packed_outline(frame)) < 30_000  # characters
    assert outline_of(frame).shape == (SIDE, SIDE)


@pytest.mark.parametrize("how", ["mirrored", "turned", "darker"])
def test_pairs_that_are_asked_for_are_judged_as_among_all(how):
    frames = [scene(seed) for seed in range(4)]
    outlines = [outline_of(np.ascontiguousarray(frame)) for frame in (*frames, MADE[how](frames[2]))]
    found = copies_among(np.array([[0, 1], [2, 4], [3, 4]]), len(outlines), outlines.__getitem__)
    assert found == feature_copies(outlines)
