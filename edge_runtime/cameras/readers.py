"""Readers bring an address's frames, in the capture process: a decoder may hang or crash there without harm.

Each reader yields, for every frame that arrives, a function that decodes it. A frame that is not needed is not decoded.
"""

import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..bundle.errors import InputError
from ..bundle.preprocess import Frame
from ..bundle.radiometric import RadiometricRule
from ..causes import Cause
from ..media.image_files import IMAGE_SUFFIXES, read_image
from .address import CameraAddress, Kind
from .mjpeg import jpegs
from .rtsp_describe import AnswerTimeout, SourceFailed, describe

Decode = Callable[[], Frame | None]
Decodes = Generator[Decode, None, None]

OPEN_MS = 3000
READ_MS = 1500  # the decoder takes three times as long to give up
SLOW_SECONDS = 1.0  # a read that fails after longer than this has waited in vain; an end of stream comes at once
FILE_OPTIONS = "protocol_whitelist;file"  # a playlist must not reach the network
QUICKLY = "|analyzeduration;500000"  # saves 1 s at opening; too little for a stream whose head comes late
OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
# Not `fflags;nobuffer`: it throws away the key frame that opening has read, and the next may be ten seconds off.
RTSP_OPTIONS = "rtsp_transport;tcp|timeout;3000000|protocol_whitelist;rtsp,rtp,tcp,udp,tls,crypto"


def open_source(
    address: CameraAddress,
    timeout: AnswerTimeout,
    read_timeout: float,
    image_seconds: float,
    radiometric: RadiometricRule | None = None,
) -> Decodes:
    """Return the reader for `address`; it raises SourceFailed, or ends where the stream ends.

    A folder gives one image every `image_seconds`, its radiometric pictures by the rule `radiometric`.
    """
    if address.kind is Kind.MJPEG:
        return _mjpeg(address, timeout, read_timeout)
    if address.kind is Kind.FOLDER:
        return _folder(Path(address.location), image_seconds, radiometric)
    if address.kind is Kind.RTSP:
        return _rtsp(address, timeout)
    return _file(address.location) if address.kind is Kind.FILE else _usb(address.location)


def _mjpeg(address: CameraAddress, timeout: AnswerTimeout, read_timeout: float) -> Decodes:
    for data in jpegs(address, timeout, read_timeout):
        yield partial(_decoded, data)


def _decoded(data: bytes) -> Frame | None:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_BGR) if data else None


def _rtsp(address: CameraAddress, timeout: AnswerTimeout) -> Decodes:
    describe(address, timeout)
    properties = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_MS]
    for options in (RTSP_OPTIONS + QUICKLY, RTSP_OPTIONS):
        os.environ[OPTIONS] = options
        with _capture(address.with_credentials(), cv2.CAP_FFMPEG, properties) as capture:
            if capture.isOpened():
                yield from _grabs(capture)
                return
    raise SourceFailed(Cause.CODEC)  # the camera described the stream, so this is why it does not open


def _usb(device: str) -> Decodes:
    if not Path(device).exists():
        raise SourceFailed(Cause.NOT_FOUND)
    with _capture(int(device.removeprefix("/dev/video")), cv2.CAP_V4L2, []) as capture:
        if not capture.isOpened():
            raise SourceFailed(Cause.REFUSED)  # in use, or not ours to open
        yield from _grabs(capture)


def _grabs(capture: Any) -> Decodes:
    while True:
        started = time.monotonic()
        if not capture.grab():
            if time.monotonic() - started > SLOW_SECONDS:
                raise SourceFailed(Cause.STALLED)
            return
        yield partial(_retrieved, capture)


def _file(path: str) -> Decodes:
    """Read a video file in real time, by its own clock; a late reader skips frames."""
    if not Path(path).is_file():
        raise SourceFailed(Cause.NOT_FOUND)
    os.environ[OPTIONS] = FILE_OPTIONS
    with _capture(path, cv2.CAP_FFMPEG, []) as capture:
        if not capture.isOpened():
            raise SourceFailed(Cause.CODEC)
        rate = float(capture.get(cv2.CAP_PROP_FPS))
        step = 1 / rate if 0 < rate < 1000 else 0.04
        started = time.monotonic()
        for number, decode in enumerate(_grabs(capture)):
            time.sleep(max(0.0, started + number * step - time.monotonic()))
            yield decode


def _folder(path: Path, seconds: float, radiometric: RadiometricRule | None) -> Decodes:
    """Read the images of a folder by name, one every `seconds`; folders below it are left out."""
    files = path.iterdir() if path.is_dir() else ()
    images = [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".")]
    if not images:
        raise SourceFailed(Cause.NOT_FOUND)
    due = time.monotonic()
    for file in sorted(images):
        time.sleep(max(0.0, due - time.monotonic()))
        due += seconds
        yield partial(_image, file, radiometric)


def _image(path: Path, radiometric: RadiometricRule | None) -> Frame | None:
    try:
        return read_image(path, radiometric=radiometric).frame
    except InputError:
        return None


def _retrieved(capture: Any) -> Frame | None:
    done, frame = capture.retrieve()
    return frame if done else None


@contextmanager
def _capture(address: str | int, backend: int, parameters: list[int]) -> Iterator[Any]:
    capture = cv2.VideoCapture(address, backend, parameters)
    try:
        yield capture
    finally:
        capture.release()
