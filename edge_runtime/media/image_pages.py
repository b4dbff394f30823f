"""The pages behind the first picture of a file: TIFF directories, frames of an animation, pictures of an MPO."""

import struct
from collections.abc import Iterator

import cv2
import numpy as np

from ..bundle.errors import InputError
from ..bundle.preprocess import Frame
from .image_headers import MAX_SEGMENTS, Header
from .jpeg_ends import other_pictures

MAX_PAGES = 200  # that are judged of one file; more are a film, and told as not looked at
_REDUCED_OR_MASK = 0b101  # bits of the TIFF tag NewSubfileType: a smaller copy of another page, or its mask


def page_files(data: bytes, header: Header) -> Iterator[bytes]:
    """Yield each page behind the first as a file of its own, of kinds whose pages are independent of each other.

    InputError, a predicate, where a page is missing.
    """
    if header.kind == "JPEG":
        yield from other_pictures(data)
    elif header.kind == "TIFF":
        pointer = "I" if data[2:4] in (b"*\0", b"\0*") else "Q"
        order, place = "<" if data.startswith(b"II") else ">", 4 if pointer == "I" else 8
        for start in _directories(data, order, pointer, place):
            page = bytearray(data)
            struct.pack_into(order + pointer, page, place, start)
            yield bytes(page)


def _directories(data: bytes, order: str, pointer: str, place: int) -> Iterator[int]:
    """Yield where the directory of each further page lies. `pointer` is the struct code of offsets, Q in BigTIFF."""
    long = pointer == "Q"
    count_code, size = (order + "Q", 20) if long else (order + "H", 12)
    seen: set[int] = set()
    try:
        start = struct.unpack_from(order + pointer, data, place)[0]
        while start and start not in seen and len(seen) <= MAX_PAGES:
            count = struct.unpack_from(count_code, data, start)[0]
            entries = start + struct.calcsize(count_code)
            kind = 0
            for entry in range(min(count, 4096)):
                if struct.unpack_from(order + "H", data, entries + size * entry)[0] == 254:
                    kind = struct.unpack_from(order + "I", data, entries + size * entry + (12 if long else 8))[0]
            if seen and not kind & _REDUCED_OR_MASK:
                yield start
            seen.add(start)
            start = struct.unpack_from(order + pointer, data, entries + size * count)[0]
    except struct.error:  # the chain leads out of the file
        raise InputError("is cut off: a page that it announces is missing; copy it again") from None


def count_frames(data: bytes, header: Header) -> int:
    """Return how many frames an animated GIF, WebP or PNG says it has; 1 of anything else."""
    if header.kind == "GIF":
        return _gif_frames(data)
    if header.kind == "WebP":
        return _webp_frames(data)
    if header.kind == "PNG" and (place := data.find(b"acTL", 0, 4096)) > 0:
        return int.from_bytes(data[place + 4 : place + 8], "big")
    return 1


def later_frames(data: bytes, count: int) -> list[Frame]:
    """Return the frames 2 to `count` of an animation; fewer where the rest cannot be decoded.

    Each builds on the ones before it, so they are decoded together.
    """
    try:
        _, frames = cv2.imdecodemulti(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_BGR, range=(0, count))
    except cv2.error:
        return []
    return list(frames[1:])


def _gif_frames(data: bytes) -> int:
    """Count image blocks; blocks between them are skipped by the lengths of their parts."""
    place = 13 + _colours(data[10] if len(data) > 10 else 0)
    found = 0
    for _ in range(MAX_SEGMENTS):
        kind = data[place : place + 1]
        if kind == b",":
            found += 1
            place += 11 + _colours(data[place + 9] if len(data) > place + 9 else 0)
        elif kind == b"!":
            place += 2
        else:
            break
        while place < len(data) and data[place]:
            place += 1 + data[place]
        place += 1
    return max(1, found)


def _colours(flags: int) -> int:
    """Return the size in bytes of the colour table that the flags announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _webp_frames(data: bytes) -> int:
    place, found = 12, 0
    while place + 8 <= len(data):
        found += data.startswith(b"ANMF", place)
        size = struct.unpack_from("<I", data, place + 4)[0]
        place += 8 + size + (size & 1)
    return max(1, found)
