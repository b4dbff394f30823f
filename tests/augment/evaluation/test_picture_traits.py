"""What a file tells without its picture being looked at."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from augment.evaluation.picture_traits import blocking, quality_of, traits_of


def noise(seed: int = 0, width: int = 96, height: int = 64) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (height // 4, width // 4, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def seen(path: Path, frame: np.ndarray, **options: object) -> dict[str, float | str]:
    Image.fromarray(np.ascontiguousarray(frame[..., ::-1])).save(path, **options)
    return traits_of(path, cv2.imread(str(path)))


@pytest.mark.parametrize("quality", [30, 60, 90])
def test_quality_and_subsampling_come_from_the_tables_of_a_jpeg(tmp_path, quality):
    traits = seen(tmp_path / "a.jpg", noise(), quality=quality, subsampling=2)
    assert traits["quality"] == pytest.approx(quality, abs=1.5)
    assert traits["sampling"] == "2x2 1x1 1x1"
    assert traits["format"] == "JPEG"
    assert traits["EXIF"] == "no"


def test_the_standard_table_is_quality_50():
    data = io.BytesIO()
    Image.fromarray(noise()).save(data, "JPEG", quality=50)
    assert quality_of(sum(Image.open(data).quantization[0])) == pytest.approx(50)


def test_camera_day_and_place_come_from_exif(tmp_path):
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "FLIR", "E8"
    exif.get_ifd(0x8769).update({0x9003: "2024:03:17 14:30:00", 0xA431: "123"})
    exif.get_ifd(0x8825).update({1: "N", 2: (47.0, 30.0, 0.0), 3: "W", 4: (8.0, 15.0, 0.0)})
    traits = seen(tmp_path / "a.jpg", noise(), exif=exif)
    assert (traits["camera"], traits["serial"], traits["day"], traits["hour"]) == ("FLIR E8", "123", "2024-03-17", 14.5)
    assert traits["place"] == "47.500 -8.250"


def test_a_border_is_one_and_a_clear_sky_is_none(tmp_path):
    boxed = np.zeros((96, 96, 3), np.uint8)
    boxed[16:80] = noise()
    assert seen(tmp_path / "a.png", boxed)["borders above or below"] == pytest.approx(32 / 96, abs=0.01)
    assert seen(tmp_path / "b.png", noise())["borders above or below"] == 0
    sky = noise()
    sky[:20] = 200
    sky[20:, :80] = 200  # a pole at the right edge is all there is
    assert seen(tmp_path / "c.png", sky)["borders above or below"] == 0


def test_the_blocks_of_a_strong_compression_are_seen_after_it_is_saved_without_loss():
    smooth = cv2.GaussianBlur(noise(width=256, height=256), (0, 0), 3)
    pressed = cv2.imdecode(cv2.imencode(".jpg", smooth, [cv2.IMWRITE_JPEG_QUALITY, 10])[1], cv2.IMREAD_COLOR)
    assert blocking(smooth) == pytest.approx(1, abs=0.1)
    assert blocking(pressed) > 1.5
    assert blocking(smooth[:3, :3]) == 1


def test_what_pillow_cannot_read_has_the_traits_of_its_picture(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_bytes(b"no picture")
    assert traits_of(path, noise())["format"] == "xyz"
