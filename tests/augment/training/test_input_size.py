import pytest

from augment.record_types import DatasetRecord
from augment.settings import TrainSettings
from augment.training.input_size import input_of
from edge_runtime.bundle.preprocess import PreprocessSpec


def pictures(*sizes):
    return [
        DatasetRecord(
            id=str(at), path="", sha256="", width=width, height=height, label="", split="train", group="", origin="",
            phash="", notes=(),
        )
        for at, (width, height) in enumerate(sizes)
    ]  # fmt: skip


def test_a_square_input_stretches_for_the_class_head_as_ever_and_keeps_the_aspect_for_a_spatial_one():
    images = pictures((384, 288))
    assert input_of(TrainSettings(size=224), images, spatial=False) == PreprocessSpec(224, 224)
    assert input_of(TrainSettings(size=224), images, spatial=True) == PreprocessSpec(224, 224, "letterbox")


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        ((384, 288), (288, 384)),
        ((288, 384), (384, 288)),
        ((1920, 1080), (224, 384)),  # 216 in whole 32 pixels
        ((40, 24), (64, 96)),  # twice as large, not ten times: 80 x 48
        ((3000, 10), (32, 384)),
    ],
)
def test_a_native_input_has_the_pictures_aspect(size, shape):
    found = input_of(TrainSettings(size=384, aspect="native"), pictures(size), spatial=True)
    assert (found.height, found.width) == shape


def test_the_median_picture_decides():
    images = pictures((384, 288), (384, 288), (100, 1000))
    found = input_of(TrainSettings(size=384, aspect="native"), images, spatial=False)
    assert found == PreprocessSpec(288, 384, "letterbox")


@pytest.mark.parametrize(
    ("size", "tiles", "expected"),
    [
        ((1920, 1440), 1, (1, 1)),
        ((1920, 1440), 2, (2, 2)),
        ((1920, 1440), 0, (4, 4)),  # 384 + 3 * 288 = 1248
        ((768, 576), 0, (2, 2)),
        ((760, 570), 0, (1, 1)),  # not twice as large
        ((760, 570), 3, (2, 2)),  # three would enlarge: 384 + 2 * 288 = 960
        ((400, 300), 3, (1, 1)),
        ((1440, 1920), 2, (2, 2)),
    ],
)
def test_large_pictures_are_seen_in_tiles_which_never_enlarge_them(size, tiles, expected):
    section = TrainSettings(size=384, aspect="native", tiles=tiles)
    assert input_of(section, pictures(size), spatial=True).tiles == expected
    assert input_of(section, pictures(size), spatial=False).tiles == (1, 1)


def test_square_tiles_cover_a_wide_picture():
    assert input_of(TrainSettings(size=320, tiles=3), pictures((960, 400)), spatial=True).tiles == (2, 3)
