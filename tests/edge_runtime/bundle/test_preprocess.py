"""Preprocessing on hand numbers."""

import cv2
import numpy as np
import pytest

from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.preprocess import Placement, PreprocessSpec, decode_png, encode_png


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


def test_a_letterboxed_frame_keeps_its_aspect_between_bars() -> None:
    frame = np.full((40, 20, 3), 200, np.uint8)
    spec = PreprocessSpec(8, 8, "letterbox")
    small = spec.apply(frame)
    assert (small[:, 2:6] == 200).all()
    assert (small[:, [0, 1, 6, 7]] == np.array([104, 116, 124])).all()
    assert spec.placement(40, 20) == Placement(0.2, 0.2, left=2, top=0, width=4, height=8)
    assert np.array_equal(spec.placement(40, 20).crop(small), small[:, 2:6])


@pytest.mark.parametrize("size", [(288, 384), (576, 768), (2304, 3072)])
def test_a_letterboxed_frame_of_the_right_aspect_has_no_bars(size) -> None:
    frame = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    stretched = PreprocessSpec(288, 384).apply(frame)
    assert np.abs(PreprocessSpec(288, 384, "letterbox").apply(frame).astype(int) - stretched).mean() < 2


def test_boxes_travel_between_frame_and_canvas() -> None:
    place = PreprocessSpec(100, 100, "letterbox").placement(200, 400)
    boxes = np.array([[0.0, 0.0, 400.0, 200.0], [40.0, 20.0, 80.0, 60.0]])
    assert place.to_canvas(boxes).tolist() == [[0, 25, 100, 75], [10, 30, 20, 40]]
    assert place.to_frame(place.to_canvas(boxes)) == pytest.approx(boxes)
    assert place.scale == 0.25


@pytest.mark.parametrize("turned", [False, True])
def test_a_large_letterboxed_frame_is_reduced_as_long_as_it_stays_larger_than_it_will_be(turned) -> None:
    spec = PreprocessSpec(288, 384, "letterbox")
    size = (1152, 1536)[:: -1 if turned else 1]
    assert spec.reduction(*size) == 4
    assert spec.reduction(*(side - 8 for side in size)) == 2
    assert spec.reduction(288, 384) == 1


TILED = PreprocessSpec(32, 64, "letterbox", tiles=(1, 2), overlap=0.25)


def test_tiles_share_their_overlap_and_cover_the_canvas() -> None:
    assert TILED.canvas == (32, 112)
    assert TILED.tile_places == [(0, 0), (0, 48)]
    frame = np.random.default_rng(0).integers(0, 255, (32, 112, 3), dtype=np.uint8)
    left, right = TILED.views(frame)
    assert np.array_equal(left, frame[:, :64])
    assert np.array_equal(right, frame[:, 48:])
    assert TILED.apply(frame).shape == (32, 64, 3)  # the whole frame in one view
    assert PreprocessSpec(8, 8, "letterbox").views(frame).shape == (1, 8, 8, 3)


def test_tiles_lie_whole_cells_apart_so_that_maps_join_cell_on_cell() -> None:
    spec = PreprocessSpec(416, 416, "letterbox", tiles=(2, 2))
    assert all(place % 16 == 0 for places in spec.tile_places for place in places)
    assert spec.canvas == (736, 736)


def test_maps_of_tiles_are_joined_by_their_highest_cell() -> None:
    maps = np.zeros((2, 1, 2, 4))
    maps[0, 0, 0, 3], maps[1, 0, 0, 0], maps[1, 0, 1, 0] = (
        5,
        3,
        7,
    )  # the fourth column of the left, the first of the right
    joined = TILED.join_maps(maps)
    assert joined.shape == (1, 2, 7)
    assert joined[0, :, 3].tolist() == [5, 7]
    assert joined.sum() == 12
    assert np.array_equal(PreprocessSpec(8, 8).join_maps(maps[:1]), maps[0])


def test_tiles_survive_json_and_a_card_without_them_has_none() -> None:
    assert PreprocessSpec.from_json(TILED.to_json()) == TILED
    assert PreprocessSpec.from_json({"height": 8, "width": 8, "resize": "halve-area", "colour": "bgr"}).tiles == (1, 1)


@pytest.mark.parametrize(
    "change",
    [{"tiles": [0, 1]}, {"tiles": [9, 9]}, {"tiles": 2}, {"tiles": [1]}, {"overlap": 1}, {"resize": "halve-area"}],
)
def test_tiles_that_cannot_be_cut_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(InputError):
        PreprocessSpec.from_json(TILED.to_json() | change)
