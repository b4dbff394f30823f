"""Where the picture of a JPEG file ends, whether pixels are missing, and what other files lie in or behind it.

The structure is that of ITU-T T.81, annex B; several pictures in one file are CIPA DC-007 (MPO); a film behind the
picture is how phones keep a "motion photo".
"""

import contextlib
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from ..bundle.errors import InputError
from ..bundle.preprocess import Frame

END = b"\xff\xd9"
PADDING = b"\0\xff"  # what a file system or a card fills unwritten places with
_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])")  # past stuffed bytes and restart marks of the coded data
_SCAN, _ALONE = 0xDA, (0x01, 0xD8)
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)
_PREVIEW = 0x01  # MPO type of a smaller copy of the first picture
_NEXT = re.compile(END + rb"[\0\xff]*(?=\xff\xd8\xff)")
_HEAD_BYTES = 128 << 10  # of a picture, in which its metadata say what lies behind it
_PARTS = b"Container:Directory"  # of what a phone keeps there: depth and gain maps, no pictures
_GAIN_MAPS = (b"hdrgm", b"HDRGainMap", b"urn:iso:std:iso:ts:21496")  # how bright to show it, no picture of its own


@dataclass(frozen=True)
class JpegEnd:
    """The `data` that a decoder needs, a note where the file's end is unusual, and where a film begins, if any."""

    data: bytes
    note: str | None = None
    film_at: int | None = None


def find_end(data: bytes) -> JpegEnd:
    """Return what of the file is the picture; InputError (a predicate) where pixels are missing."""
    solid = data.rstrip(PADDING)
    if solid.endswith(END):
        return JpegEnd(data)
    end, complete = _walk(data)
    if end is not None:
        found = data.find(b"ftyp", end)
        return JpegEnd(data, film_at=found - 4 if found >= end + 4 else None)
    # Of the padding behind it, two bytes may belong to the coded data.
    for more in range(min(2, len(data) - len(solid)) + 1 if complete else 0):
        kept = data[: len(solid) + more]
        if _needs_nothing_more(kept):
            return JpegEnd(kept + END, "has no end mark, and no pixel is missing")
    raise InputError("is a damaged JPEG (cut off: pixels are missing); copy it again")


def _walk(data: bytes, start: int = 0) -> tuple[int | None, bool]:
    """Return the place behind the end mark (None without one), and whether every scan of the picture has begun.

    The picture begins at `start`.
    """
    place, progressive = start + 2, False
    missing: dict[int, list[int]] = {}  # of each component and coefficient how many low bits are still to come
    while (found := _MARKER.search(data, place)) is not None:
        marker, place = found[1][0], found.end()
        if marker == END[1]:
            return place, True
        if marker in _ALONE:
            continue
        body = data[place + 2 : place + int.from_bytes(data[place : place + 2], "big")]
        place += 2 + len(body)
        if marker in _FRAMES and len(body) > 5:
            progressive = marker in _PROGRESSIVE
            missing = {number: [99] * 64 for number in body[6::3]}
        elif marker == _SCAN and body and len(body) >= 4 + 2 * body[0]:
            first, last, bits = body[1 + 2 * body[0] : 4 + 2 * body[0]]
            for number in set(body[1 : 1 + 2 * body[0] : 2]) & set(missing):
                places = range(first, min(last, 63) + 1) if progressive else range(64)
                for coefficient in places:
                    missing[number][coefficient] = bits & 15
    return None, bool(missing) and not any(any(bits) for bits in missing.values())


def _needs_nothing_more(data: bytes) -> bool:
    """Whether the picture is the same whatever follows `data`: then no pixel depends on what is missing.

    A decoder paints what is missing grey and says nothing, so it is asked twice, with other bytes behind the data.
    """
    noise = np.random.default_rng(0).integers(1, 255, 4096, np.uint8).tobytes()  # holds no marker
    frames = [_decoded(data + tail + END) for tail in (b"", noise)]
    return frames[0] is not None and frames[1] is not None and np.array_equal(frames[0], frames[1])


def _decoded(data: bytes) -> Frame | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_BGR)
    except cv2.error:
        return None


def other_pictures(data: bytes) -> Iterator[bytes]:
    """Yield the further pictures of the file, each a JPEG file; without previews and gain maps of the first."""
    at = _directory(data)
    parts = _in_a_row(data) if at is None else _listed(data, at)
    with contextlib.suppress(struct.error):  # the list is cut off or no list
        yield from (part for part in parts if not any(sign in part[:4096] for sign in _GAIN_MAPS))


def _in_a_row(data: bytes) -> Iterator[bytes]:
    """Yield what begins right behind the end of the picture before it, as in motion JPEG without a container."""
    if data.endswith(END) and _count_ends(data) == 1:  # most files, and told four times faster than by the pattern
        return
    if _NEXT.search(data) is None or _PARTS in data[:_HEAD_BYTES]:
        return
    end = _walk(data)[0]
    while end is not None and (begin := _NEXT.match(data, end - len(END))) is not None:
        end = _walk(data, begin.end())[0]
        yield data[begin.end() : end]


def _count_ends(data: bytes) -> int:
    """Count the end marks, at even places and at odd ones."""
    pairs = (np.frombuffer(data, "<u2", (len(data) - odd) // 2, odd) for odd in (0, 1))
    return sum(int(np.count_nonzero(pair == int.from_bytes(END, "little"))) for pair in pairs)


def _directory(data: bytes) -> int | None:
    """Return where the list of pictures lies (segment APP2, "MPF"), None without one."""
    place = 2
    while data[place : place + 1] == b"\xff" and len(data) > place + 4 and data[place + 1] != _SCAN:
        if data[place + 1] == 0xE2 and data.startswith(b"MPF\0", place + 4):
            return place + 8
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return None


def _listed(data: bytes, at: int) -> Iterator[bytes]:
    order = "<" if data.startswith(b"II", at) else ">"
    start = at + struct.unpack_from(order + "I", data, at + 4)[0]
    for entry in range(struct.unpack_from(order + "H", data, start)[0]):
        tag, _, size, offset = struct.unpack_from(order + "HHII", data, start + 2 + 12 * entry)
        if tag != 0xB002:  # the list of the pictures, 16 bytes for each; the first is the file's own
            continue
        for place in range(at + offset + 16, at + offset + size, 16):
            attribute, length, begin = struct.unpack_from(order + "III", data, place)
            part = data[at + begin : at + begin + length]
            # Editors keep the list, and drop what it lists: then it points to nothing, or into the first picture.
            known = part.startswith(b"\xff\xd8") or (part and at + begin >= (_walk(data)[0] or len(data)))
            if attribute >> 16 & 0xFF != _PREVIEW and known:
                yield part
