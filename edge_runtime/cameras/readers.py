"""Readers bring an address's frames, in the capture process: a decoder may hang or crash there without harm.

Each reader yields, for every frame that arrives, a function that decodes it. A frame that is not needed is not decoded.
A reader that goes on by itself while nothing comes yields the cause, or None where that is as it should be.
"""

import errno
import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np

from ..bundle.errors import InputError
from ..bundle.preprocess import Frame
from ..bundle.radiometric import RadiometricRule
from ..causes import Cause
from ..media.decoder_messages import caught_messages, tell_interlaced
from ..media.image_files import read_image
from ..media.radiometric import UnscaledError
from ..media.upload_folder import UploadFolder
from .address import CameraAddress, Kind
from .mjpeg import jpegs
from .rtsp_describe import AnswerTimeout, SourceFailed, cause_of_setup, describe

Decode = Callable[[], Frame | None]
Decodes = Generator[Decode | Cause | None, None, None]

OPEN_MS = 3000
READ_MS = 1500  # the decoder takes three times as long to give up
SLOW_SECONDS = 1.0  # a read that fails after longer than this has waited in vain; an end of stream comes at once
FILE_OPTIONS = "protocol_whitelist;file"  # a playlist must not reach the network
QUICKLY = "|analyzeduration;500000"  # saves 1 s at opening; too little for a stream whose head comes late
OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
# The decoder falls back to UDP where the camera does not send over TCP, which is tried first: UDP loses packets.
# Not `fflags;nobuffer`: it throws away the key frame that opening has read, and the next may be ten seconds off.
RTSP_OPTIONS = (
    "rtsp_transport;tcp+udp|rtsp_flags;prefer_tcp|timeout;3000000|protocol_whitelist;rtsp,rtp,tcp,udp,tls,crypto"
)
LOOK_SECONDS, LOOK_TURNS = 1.0, 20  # between two looks at a folder, and beyond that in turns of what a look takes
FIRST_SECONDS = 5.0  # after which a folder without pictures is told
# Where Debian and Fedora keep the authorities that their systems trust, as one file.
AUTHORITIES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
BACKLOG = 100  # pictures of a folder, the newest, that lie there at the start and are shown once


@dataclass(frozen=True)
class Waits:
    """The seconds of a camera's settings: without a frame, without a new picture in a folder, between two frames."""

    read: float
    upload: float
    check: float


def open_source(
    address: CameraAddress,
    timeout: AnswerTimeout,
    waits: Waits,
    backlog: int = BACKLOG,
    radiometric: RadiometricRule | None = None,
) -> Decodes:
    """Return the reader for `address`; it raises SourceFailed, or ends where the stream ends.

    Of the pictures that lie in a folder at the start, the newest `backlog` are shown. Radiometric
    pictures are scaled by the rule `radiometric`.
    """
    if address.kind is Kind.MJPEG:
        return _mjpeg(address, timeout, waits.read)
    if address.kind is Kind.FOLDER:
        return _folder(UploadFolder(Path(address.location), backlog), waits, radiometric)
    if address.kind is Kind.RTSP:
        return _rtsp(address, timeout)
    return _file(address.location) if address.kind is Kind.FILE else _usb(Path(address.location))


def _mjpeg(address: CameraAddress, timeout: AnswerTimeout, read_timeout: float) -> Decodes:
    for data in jpegs(address, timeout, read_timeout):
        yield partial(_decoded, data)


def _decoded(data: bytes) -> Frame | None:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_BGR) if data else None


def _rtsp(address: CameraAddress, timeout: AnswerTimeout) -> Decodes:
    address, description = describe(address, timeout)
    properties = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_MS]
    began = time.monotonic()
    for options in (RTSP_OPTIONS + QUICKLY, RTSP_OPTIONS):
        os.environ[OPTIONS] = options + _tls_options(address)
        with _capture(address.with_credentials(), cv2.CAP_FFMPEG, properties) as (capture, messages):
            if capture.isOpened():
                yield from _grabs(capture, messages)
                return
    # What it cannot decode is told at once; it waits for packets that do not come.
    waited = time.monotonic() - began > SLOW_SECONDS
    cause = cause_of_setup(address, description, timeout)
    raise SourceFailed(cause or (Cause.STALLED if waited else Cause.CODEC))


def _tls_options(address: CameraAddress) -> str:
    """Return the options by which the decoder trusts the certificates that `connect` has trusted."""
    if not address.tls:
        return ""
    import ssl

    known = (address.ca_file, ssl.get_default_verify_paths().cafile or "", *AUTHORITIES)
    found = [f"|ca_file;{path}" for path in known if path and Path(path).exists()]
    return "|tls_verify;1" + "".join(found[:1])


def _usb(device: Path) -> Decodes:
    try:
        os.close(os.open(device, os.O_RDWR | os.O_NONBLOCK))
    except OSError as error:
        raise SourceFailed(_cause_of_opening(error)) from error
    number = device.resolve().name.removeprefix("video")  # udev's names are links
    if not number.isdecimal():
        raise SourceFailed(Cause.DEVICE)
    with _capture(int(number), cv2.CAP_V4L2, []) as (capture, messages):
        if not capture.isOpened():
            raise SourceFailed(Cause.DEVICE)
        yield from _grabs(capture, messages)


def _cause_of_opening(error: OSError) -> Cause:
    """Return why this device lets a file, folder or device not be opened."""
    if isinstance(error, PermissionError):
        return Cause.DENIED
    return Cause.DEVICE if error.errno == errno.EBUSY else Cause.NOT_FOUND


def _grabs(capture: Any, messages: IO[bytes]) -> Decodes:
    while True:
        started = time.monotonic()
        if not capture.grab():
            if time.monotonic() - started > SLOW_SECONDS:
                raise SourceFailed(Cause.STALLED)
            return
        yield partial(_retrieved, capture, messages)


def _file(path: str) -> Decodes:
    """Read a video file in real time, by its own clock; a late reader skips frames."""
    try:
        Path(path).open("rb").close()
    except OSError as error:
        raise SourceFailed(_cause_of_opening(error)) from error
    os.environ[OPTIONS] = FILE_OPTIONS
    with _capture(path, cv2.CAP_FFMPEG, []) as (capture, messages):
        if not capture.isOpened():
            raise SourceFailed(Cause.CODEC)
        rate = float(capture.get(cv2.CAP_PROP_FPS))
        step = 1 / rate if 0 < rate < 1000 else 0.04
        started = time.monotonic()
        for number, decode in enumerate(_grabs(capture, messages)):
            time.sleep(max(0.0, started + number * step - time.monotonic()))
            yield decode


def _folder(folder: UploadFolder, waits: Waits, radiometric: RadiometricRule | None) -> Decodes:
    """Read the pictures of a folder, one every `waits.check` seconds, and for ever those that come into it."""
    due = time.monotonic() + FIRST_SECONDS
    while True:
        began = time.monotonic()
        try:
            pictures = folder.look()
        except OSError as error:
            took, due = 0.0, began  # once it is back, nobody knows whether the camera still uploads
            yield _cause_of_opening(error)
        else:
            took = time.monotonic() - began
            for path in pictures:
                due = time.monotonic() + waits.upload
                yield partial(_image, path, radiometric)
                time.sleep(waits.check)
            yield Cause.NO_UPLOAD if time.monotonic() > due else None
        time.sleep(LOOK_SECONDS + LOOK_TURNS * took)


def _image(path: Path, radiometric: RadiometricRule | None) -> Frame | None:
    try:
        return read_image(path, radiometric=radiometric).frame
    except InputError as error:
        if isinstance(error.__cause__, UnscaledError):
            raise SourceFailed(Cause.UNSCALED) from error
        return None


def _retrieved(capture: Any, messages: IO[bytes]) -> Frame | None:
    done, frame = capture.retrieve()
    if tell_interlaced(messages):  # then the frame is whatever the memory held
        raise SourceFailed(Cause.INTERLACED)
    return frame if done else None


@contextmanager
def _capture(address: str | int, backend: int, parameters: list[int]) -> Iterator[tuple[Any, IO[bytes]]]:
    """Yield the opened decoder, and the file that takes its messages."""
    with caught_messages() as messages:
        capture = cv2.VideoCapture(address, backend, parameters)
        try:
            yield capture, messages
        finally:
            capture.release()
