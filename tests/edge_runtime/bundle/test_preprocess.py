"""Preprocessing on hand numbers."""

import cv2
import numpy as np
import pytest

from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.preprocess import PreprocessSpec, decode_png, encode_png


def test_shrinking_averages_every_pixel() -> None:
    frame = np.array([[0, 100], [200, 100]], np.uint8)[..., None].repeat(3, 2)
    assert PreprocessSpec(1, 1).apply(frame).tolist() == [[[100, 100, 100]]]  # (0 + 100 + 200 + 100) / 4


def test_a_corner_fault_is_kept_from_a_wide_frame() -> None:
    frame = np.zeros((64, 640, 3), np.uint8)
    frame[:8, :80, 2] = 255  # an eighth of either side
    small = PreprocessSpec(8, 8).apply(frame)
    assert small[0, 0].tolist() == [0, 0, 255]
    assert small.sum() == 255


@pytest.mark.parametrize("size", [(720, 1280), (1080, 1920), (449, 451), (2160, 3840)])
def test_making_it_smaller_in_steps_changes_little(size) -> None:
    """Against one step over all pixels: within 2 of 256 grey levels on average, whatever the size."""
    rng = np.random.default_rng(0)
    frame = cv2.resize(rng.integers(0, 255, (30, 40, 3), np.uint8), size[::-1], interpolation=cv2.INTER_CUBIC)
    frame = cv2.add(frame, rng.integers(0, 8, frame.shape, np.uint8))
    at_once = cv2.resize(frame, (224, 224), interpolation=cv2.INTER_AREA)
    assert np.abs(PreprocessSpec(224, 224).apply(frame).astype(int) - at_once).mean() < 2


def test_a_frame_of_the_right_size_is_copied_unchanged() -> None:
    frame = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    same = PreprocessSpec(8, 8).apply(frame)
    assert np.array_equal(same, frame)
    assert not np.shares_memory(same, frame)


def test_enlarging_interpolates() -> None:
    frame = np.array([[0, 100]], np.uint8)[..., None].repeat(3, 2)
    assert PreprocessSpec(1, 4).apply(frame)[0, :, 0].tolist() == [0, 25, 75, 100]


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 4), (0, 8, 3), (1, 8, 8, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="expected uint8"):
        PreprocessSpec(8, 8).apply(np.zeros(shape, np.uint8))


def test_floats_are_refused_because_their_scale_would_be_a_guess() -> None:
    with pytest.raises(InputError, match="float32"):
        PreprocessSpec(8, 8).apply(np.zeros((8, 8, 3), np.float32))  # type: ignore[arg-type]


def test_it_survives_json() -> None:
    spec = PreprocessSpec(224, 192)
    assert PreprocessSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    "change",
    [{"resize": "crop"}, {"colour": "rgb"}, {"height": 0}, {"width": 99999}, {"height": 2.0}, {"height": True}],
)
def test_what_this_version_does_not_know_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InputError):
        PreprocessSpec.from_json({"height": 8, "width": 8, "resize": "halve-area", "colour": "bgr"} | change)


def test_png_is_lossless() -> None:
    frame = np.random.default_rng(1).integers(0, 255, (5, 7, 3), dtype=np.uint8)
    assert np.array_equal(decode_png(encode_png(frame)), frame)
