"""JPEG files that end otherwise than the standard says: judged where no pixel is missing, refused where one is."""

import io
import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from edge_runtime.bundle.errors import InputError
from edge_runtime.media.jpeg_ends import find_end, other_pictures


def jpeg(**options) -> bytes:
    pixels = np.random.default_rng(1).integers(0, 255, (96, 128, 3)).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(cv2.GaussianBlur(pixels, (5, 5), 0)).save(out, "JPEG", quality=90, **options)
    return out.getvalue()


BASELINE, PROGRESSIVE = jpeg(), jpeg(progressive=True)


@pytest.mark.parametrize("whole", [BASELINE, PROGRESSIVE, jpeg(restart_marker_blocks=4)])
@pytest.mark.parametrize("behind", [b"", bytes(1), bytes(5000), b"\xff" * 100])
def test_a_missing_end_mark_costs_no_pixel(whole, behind):
    end = find_end(whole[:-2] + behind)
    assert end.note == "has no end mark, and no pixel is missing"
    frames = [cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for data in (whole, end.data)]
    assert np.array_equal(*frames)


@pytest.mark.parametrize("whole", [BASELINE, PROGRESSIVE])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("behind", [b"", bytes(50_000)])
def test_a_picture_that_lacks_pixels_is_refused(whole, share, behind):
    with pytest.raises(InputError, match="pixels are missing"):
        find_end(whole[: int(len(whole) * share)] + behind)


def test_a_progressive_picture_that_lacks_a_whole_scan_is_refused():
    last = PROGRESSIVE.rindex(b"\xff\xda")  # what comes before it can be decoded, and is only blurred
    with pytest.raises(InputError, match="pixels are missing"):
        find_end(PROGRESSIVE[:last])


def test_padding_behind_the_end_mark_is_nothing_to_tell():
    assert find_end(BASELINE + bytes(100)).note is None


def test_the_film_of_a_motion_photo_is_found_behind_the_picture():
    film = struct.pack(">I4s4s", 24, b"ftyp", b"isom") + bytes(40) + b"SEFT"
    assert find_end(BASELINE + b"trailer" + film).film_at == len(BASELINE) + 7
    assert find_end(BASELINE + b"MotionPhoto of nothing").film_at is None


def test_every_picture_of_an_mpo_is_found_but_previews_and_gain_maps():
    def page(level: int) -> Image.Image:
        return Image.new("RGB", (64, 48), (level, level, level))

    out = io.BytesIO()
    page(10).save(out, "MPO", save_all=True, append_images=[page(100), page(200)])
    found = list(other_pictures(out.getvalue()))
    means = [cv2.imdecode(np.frombuffer(part, np.uint8), cv2.IMREAD_COLOR).mean().round() for part in found]
    assert means == [100, 200]
    gain = out.getvalue().replace(found[1], found[1][:20] + b"hdrgm" + found[1][25:])
    assert len(list(other_pictures(gain))) == 1
    assert list(other_pictures(BASELINE)) == []
    assert list(other_pictures(out.getvalue()[:120])) == []


@pytest.mark.parametrize("padding", [b"", bytes(512), b"\xff" * 4])
def test_pictures_in_a_row_are_all_found(padding):
    row = BASELINE + padding + PROGRESSIVE + padding + BASELINE
    assert list(other_pictures(row)) == [PROGRESSIVE, BASELINE]
    cut = list(other_pictures(row[:-100]))
    assert [len(part) for part in cut] == [len(PROGRESSIVE), len(BASELINE) - 100]  # the last one is refused when read


def test_a_thumbnail_and_what_a_phone_keeps_behind_a_picture_are_no_pictures_of_their_own():
    exif = b"Exif\0\0" + BASELINE + BASELINE
    assert list(other_pictures(jpeg(exif=exif))) == []
    assert list(other_pictures(jpeg(comment=b"Container:Directory Depth") + BASELINE)) == []
