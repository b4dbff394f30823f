"""The one JPEG encoder, for heat maps, event pictures, contact sheets and report pages; and JPEGs found in a stream."""

import re
from collections.abc import Iterator

import cv2

from ..bundle.preprocess import Frame
from .file_kinds import OWN_MARK

DEFAULT_QUALITY = 95  # of 100; OpenCV's own default

START, END = b"\xff\xd8\xff", b"\xff\xd9"
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # in entropy-coded data, past stuffed bytes and restarts
_ALONE = (0x01, *range(0xD0, 0xD8))  # markers without a segment
_SCAN, _BEGIN, _END = 0xDA, 0xD8, 0xD9


def encode_jpeg(frame: Frame, quality: int = DEFAULT_QUALITY) -> bytes:
    """Return uint8 (H, W, 3) BGR or (H, W) grey as the bytes of a JPEG file; `quality` is 0 to 100."""
    _, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return data.tobytes()


def mark_own(jpeg: bytes) -> bytes:
    """Return the JPEG with a comment that says that it was drawn here: it is no evidence and nothing to learn from."""
    place = 4 + int.from_bytes(jpeg[4:6], "big")  # behind the first segment, which JFIF wants first
    return jpeg[:place] + b"\xff\xfe" + (2 + len(OWN_MARK)).to_bytes(2, "big") + OWN_MARK + jpeg[place:]


class JpegFinder:
    """Finds whole JPEGs in a stream of bytes by their own structure (ITU-T T.81, annex B), whatever lies between them.

    Neither boundaries nor lengths of a multipart stream are needed, which cameras write in many dialects. A thumbnail
    inside a picture is not found. One whose end mark is missing ends where the next one begins, without the
    boundary between them: bytes behind a picture would keep a decoder from noticing that it was cut off.
    """

    def __init__(self, most: int) -> None:
        """Give up what has grown beyond `most` bytes without an end."""
        self._data, self._most = bytearray(), most
        self._at = 0  # how far the picture at the start of the data has been walked through; 0: none has begun

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Add `data`, and yield each JPEG that is whole now."""
        self._data += data
        while (end := self._end()) is not None:
            picture = bytes(self._data[:end])
            self._drop(end)
            yield picture if picture.endswith(END) else _without_boundary(picture)
        if len(self._data) > self._most:
            self._drop(len(self._data) - 2)

    def _drop(self, size: int) -> None:
        del self._data[:size]
        self._at = 0

    def _end(self) -> int | None:
        """Walk on through the picture; return where it ends, None where more bytes are needed."""
        if not self._at:
            start = self._data.find(START)
            self._drop(start if start >= 0 else max(0, len(self._data) - 2))
            if start < 0:
                return None
            self._at = 2
        while (found := _NEXT_MARKER.search(self._data, self._at)) is not None:
            place, marker = found.start(), self._data[found.start() + 1]
            if marker == _END:
                return place + 2
            if marker == _BEGIN and self._data[place : place + 3] != START[: len(self._data) - place]:
                marker = _ALONE[0]  # not the next picture
            if marker == _BEGIN:
                return place
            step = 2 if marker in _ALONE else 2 + int.from_bytes(self._data[place + 2 : place + 4], "big")
            if len(self._data) < place + max(step, 4):
                self._at = place
                return None
            self._at = place + step
        self._at = max(self._at, len(self._data) - 1)
        return None


def _without_boundary(data: bytes) -> bytes:
    return data[: data.rfind(b"\n--")].removesuffix(b"\r") if data.endswith((b"\n\n", b"\r\n\r\n")) else data
