"""The one reader: what it converts, what it refuses, and that it never hangs or bursts."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.preprocess import PreprocessSpec
from edge_runtime.media.image_files import MAX_BYTES, decode_image, read_image
from tests.support.pictures import BLUE, RED, animated_gif, make_hostile, picture, pillow_bytes, write

KINDS = ["JPEG", "PNG", "GIF", "BMP", "WebP", "TIFF"]


def close(frame: np.ndarray, expected: np.ndarray, levels: int = 8) -> bool:
    return frame.shape == expected.shape and np.abs(frame.astype(int) - expected)[8:40, 4:28].max() <= levels


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_upright_bgr(kind, tmp_path):
    image = decode_image(pillow_bytes(picture(RED), kind))
    assert image.kind == kind
    assert image.frame.dtype == np.uint8
    assert close(image.frame, picture(RED))
    assert image.notes == ()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_cut_off_file_is_damaged(kind, share):
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    data = pillow_bytes(noise, kind)
    with pytest.raises(InputError, match="damaged"):
        decode_image(data[: int(len(data) * share)])


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "1"])
def test_other_png_modes_become_bgr(mode):
    frame = decode_image(pillow_bytes(picture((255, 255, 255)), "PNG", mode)).frame
    assert frame.shape == (48, 64, 3)
    assert frame[24, 48].tolist() == [255, 255, 255]


def test_what_was_converted_is_noted():
    assert decode_image(animated_gif(), ".jpg").notes == ("is a GIF named .jpg",)
    assert decode_image(pillow_bytes(picture(RED), "PNG", "RGBA")).notes == ("has an alpha channel, dropped",)
    assert decode_image(pillow_bytes(picture(RED), "JPEG", "CMYK")).notes == ("is CMYK, converted to BGR",)


def test_cmyk_keeps_its_colours():
    assert close(decode_image(pillow_bytes(picture(BLUE), "JPEG", "CMYK")).frame, picture(BLUE))


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bits_of_colour_are_divided_by_256(suffix):
    deep = np.full((20, 30, 3), (40_000, 20_000, 300), np.uint16)
    image = decode_image(cv2.imencode(suffix, deep)[1].tobytes())
    assert image.frame[0, 0].tolist() == [156, 78, 1]  # 40000 / 256 = 156.25
    assert image.notes == ("has 16 bits per channel, divided by 256",)


def test_the_first_frame_of_an_animation_is_taken():
    assert close(decode_image(animated_gif()).frame, picture(RED))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(kind, orientation):
    upright = np.zeros((40, 60, 3), np.uint8)
    upright[:20, :30] = 255  # white in the top left quarter only
    undo = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]  # Pillow's Transpose that stores it so
    stored = Image.fromarray(upright) if undo is None else Image.fromarray(upright).transpose(undo)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = pillow_bytes(np.asarray(stored), kind, exif=exif)
    frame = decode_image(data).frame
    assert frame.shape == (40, 60, 3)
    assert [int(frame[y, x, 0] > 127) for y, x in ((10, 15), (10, 45), (30, 15), (30, 45))] == [1, 0, 0, 0]


def test_hostile_files_get_their_sentence(tmp_path):
    for name, reason in make_hostile(tmp_path).items():
        if not reason:
            read_image(tmp_path / name)
            continue
        with pytest.raises(InputError, match=reason) as caught:
            read_image(tmp_path / name)
        assert str(caught.value).startswith(name)


def test_a_missing_file_a_device_and_an_impossible_name_get_theirs(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_image(tmp_path / "nothing.png")
    with pytest.raises(InputError, match="no regular file"):
        read_image(type(tmp_path)("/dev/zero"))
    with pytest.raises(InputError, match="null byte"):
        read_image(tmp_path / "a\0b.png")


def test_a_file_beyond_the_cap_is_not_read(tmp_path):
    sparse = tmp_path / "sparse.png"
    with sparse.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(InputError, match=f"is {MAX_BYTES + 1} bytes"):
        read_image(sparse)


def test_a_mutated_file_never_escapes_the_error_family():
    generator = np.random.default_rng(3)
    for kind in KINDS:
        whole = np.frombuffer(pillow_bytes(picture(RED), kind), np.uint8)
        for _ in range(60):
            data = whole.copy()
            places = generator.integers(0, len(data), 4)
            data[places] = generator.integers(0, 256, 4, dtype=np.uint8)
            try:
                frame = decode_image(data.tobytes()).frame
            except InputError:
                continue
            assert frame.ndim == 3


def test_names_in_any_script_are_read(tmp_path):
    assert read_image(write(tmp_path / "Überhitzung 変圧器 🔥.png", picture(RED))).notes == ()


@pytest.mark.parametrize(
    ("size", "side", "read"),
    [((1080, 1920), 224, (270, 480)), ((1080, 1920), 300, (540, 960)), ((400, 300), 224, (400, 300))],
)
def test_a_large_jpeg_is_decoded_smaller_where_the_bundle_says_so(tmp_path, size, side, read):
    path = tmp_path / "large.jpg"
    cv2.imwrite(str(path), np.full((*size, 3), (40, 120, 200), np.uint8))
    spec = PreprocessSpec(side, side)
    assert read_image(path, spec).frame.shape[:2] == size
    smaller = read_image(path, replace(spec, decode="reduced")).frame
    assert smaller.shape[:2] == read
    assert np.abs(smaller.astype(int) - (40, 120, 200)).max() <= 3
    cv2.imwrite(str(path.with_suffix(".png")), np.zeros((*size, 3), np.uint8))
    assert read_image(path.with_suffix(".png"), replace(spec, decode="reduced")).frame.shape[:2] == size
