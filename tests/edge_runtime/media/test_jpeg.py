"""The one JPEG encoder, and JPEGs found in a stream."""

import cv2
import numpy as np
import pytest

from edge_runtime.media.jpeg import JpegFinder, encode_jpeg
from tests.support.pictures import RED, picture


def test_the_bytes_are_opencvs_own_at_its_default_quality():
    frame = picture(RED)
    assert encode_jpeg(frame) == cv2.imencode(".jpg", frame)[1].tobytes()


def test_less_quality_gives_fewer_bytes_of_the_same_picture():
    frame = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    assert len(encode_jpeg(frame, 40)) < len(encode_jpeg(frame, 90))
    assert cv2.imdecode(np.frombuffer(encode_jpeg(frame, 40), np.uint8), cv2.IMREAD_COLOR).shape == frame.shape


def found(data: bytes, step: int = 1 << 16) -> list[bytes]:
    finder = JpegFinder(1 << 20)
    return [whole for place in range(0, len(data), step) for whole in finder.feed(data[place : place + step])]


@pytest.fixture
def jpegs() -> list[bytes]:
    """Baseline, progressive, with restart markers, and with a thumbnail in a segment of its own."""
    frame = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    kinds = ([], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 4])
    made = [cv2.imencode(".jpg", frame, kind)[1].tobytes() for kind in kinds]
    thumbnail = cv2.imencode(".jpg", frame[::4, ::4])[1].tobytes()
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    return [*made, made[0][:2] + segment + made[0][2:]]


@pytest.mark.parametrize("step", [1, 7, 4096, 1 << 20])
@pytest.mark.parametrize("between", [b"", b"\r\n--frame\r\nContent-Length: 5\r\n\r\n", b"\nb\xff\xd8\n\n", b"\xff"])
def test_whole_jpegs_are_found_whatever_lies_between_and_however_they_come(jpegs, between, step):
    assert found(between + between.join(jpegs) + between, step) == jpegs


def test_one_without_its_end_mark_ends_where_the_boundary_begins(jpegs):
    part = b"\r\n--frame\r\nContent-Type: image/jpeg\r\n\r\n"
    assert found(part + jpegs[0][:-2] + part + jpegs[1]) == [jpegs[0][:-2], jpegs[1]]
    assert found(jpegs[0][:-2] + jpegs[1]) == [jpegs[0][:-2], jpegs[1]]


def test_bytes_that_are_no_picture_are_not_kept(jpegs):
    finder = JpegFinder(1 << 20)
    assert [whole for _ in range(100) for whole in finder.feed(b"no picture" * 1000)] == []
    assert list(finder.feed(jpegs[0])) == [jpegs[0]]
    small = JpegFinder(1000)
    assert list(small.feed(jpegs[0][:-2])) == []  # larger than allowed: given up
    assert list(small.feed(b"\xff\xd9")) == []
