"""Notes in JPEGs are taken out, and no pixel changes."""

import cv2
import numpy as np
import pytest

from edge_runtime.bundle.errors import InputError
from edge_runtime.media.jpeg_metadata import without_metadata

FRAME = np.random.default_rng(5).integers(0, 255, (40, 64, 3), np.uint8)


def encoded(*flags):
    return cv2.imencode(".jpg", FRAME, list(flags))[1].tobytes()


def segment(marker, body):
    return b"\xff" + bytes([marker]) + (len(body) + 2).to_bytes(2, "big") + body


def exif(orientation, order="big"):
    """EXIF with an orientation and a made-up GPS latitude."""
    head = b"MM\0*" if order == "big" else b"II*\0"
    entry = (0x0112).to_bytes(2, order) + (3).to_bytes(2, order) + (1).to_bytes(4, order)
    entry += orientation.to_bytes(2, order) + b"\0\0"
    gps = (0x8825).to_bytes(2, order) + (4).to_bytes(2, order) + (1).to_bytes(4, order) + b"GPS!"
    return b"Exif\0\0" + head + (8).to_bytes(4, order) + (2).to_bytes(2, order) + entry + gps + b"\0\0\0\0"


def noted(jpeg, *segments):
    """The JPEG with further segments behind the first one, and something behind its end."""
    place = 4 + int.from_bytes(jpeg[4:6], "big")
    return jpeg[:place] + b"".join(segments) + jpeg[place:] + b"TRAILER latitude 48.2"


def pixels(jpeg):
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_BGR)


@pytest.mark.parametrize("flags", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 2)])
def test_exif_comments_profiles_and_trailers_go_and_every_pixel_stays(flags):
    plain = encoded(*flags)
    notes = [segment(0xE1, exif(1)), segment(0xFE, b"password=hunter2"), segment(0xE2, b"ICC_PROFILE\0 Anna's phone")]
    clean = without_metadata(noted(plain, *notes, segment(0xED, b"Photoshop 3.0\0 place")))
    for planted in (b"GPS!", b"hunter2", b"Anna", b"Photoshop", b"latitude", b"Exif"):
        assert planted not in clean
    assert clean == without_metadata(plain) == plain
    assert np.array_equal(pixels(clean), pixels(plain))


@pytest.mark.parametrize("order", ["big", "little"])
def test_a_picture_that_lies_on_its_side_keeps_which_way_is_up_and_nothing_else(order):
    turned = noted(encoded(), segment(0xE1, exif(6, order)))
    clean = without_metadata(turned)
    assert b"GPS!" not in clean
    assert pixels(clean).shape == (64, 40, 3)
    assert np.array_equal(pixels(clean), pixels(turned))
    assert without_metadata(clean) == clean


def test_the_preview_in_a_jfif_header_goes_and_adobes_colour_space_stays():
    plain = encoded()
    body = plain[6:18] + b"\x01\x01" + b"RGB"
    adobe = b"Adobe\0\x64\0\0\0\0\x01"
    clean = without_metadata(plain[:2] + segment(0xE0, body) + segment(0xEE, adobe + b"more") + plain[20:])
    assert b"RGB" not in clean
    assert segment(0xEE, adobe) in clean
    assert b"more" not in clean


@pytest.mark.parametrize(
    "damage", [b"", b"\x89PNG\r\n\x1a\n", encoded()[:-200], encoded()[:30], b"\xff\xd8\xff\xff\xff"]
)
def test_what_is_no_whole_jpeg_is_refused(damage):
    with pytest.raises(InputError):
        without_metadata(damage)
