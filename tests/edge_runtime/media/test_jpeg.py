"""The one JPEG encoder."""

import cv2
import numpy as np

from edge_runtime.media.jpeg import encode_jpeg
from tests.support.pictures import RED, picture


def test_the_bytes_are_opencvs_own_at_its_default_quality():
    frame = picture(RED)
    assert encode_jpeg(frame) == cv2.imencode(".jpg", frame)[1].tobytes()


def test_less_quality_gives_fewer_bytes_of_the_same_picture():
    frame = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    assert len(encode_jpeg(frame, 40)) < len(encode_jpeg(frame, 90))
    assert cv2.imdecode(np.frombuffer(encode_jpeg(frame, 40), np.uint8), cv2.IMREAD_COLOR).shape == frame.shape
