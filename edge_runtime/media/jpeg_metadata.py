"""A JPEG file without what its maker noted beside the picture: EXIF with GPS, comments, previews, and what lies behind.

The picture's data are copied as they are and not encoded anew (ITU-T T.81, annex B; EXIF 2.32, section 4.6).
"""

import re
import struct

from ..bundle.errors import InputError

START, END = b"\xff\xd8", b"\xff\xd9"
_NEXT = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # in entropy-coded data, past stuffed bytes and restart marks
_SCAN, _APP0, _APP1, _APP14, _COMMENT = 0xDA, 0xE0, 0xE1, 0xEE, 0xFE
_ALONE = (0x01, *range(0xD0, 0xD9))  # markers without a segment
_ORIENTATION = 0x0112


def without_metadata(jpeg: bytes) -> bytes:
    """Return the same picture without its notes; InputError (a predicate) where `jpeg` is no whole JPEG file.

    What decoding needs stays: the tables, Adobe's mark of the colour space, and which way up the picture is.
    """
    if not jpeg.startswith(START + b"\xff"):
        raise InputError("is no JPEG")
    parts, place, upright = [START], 2, 1
    while (step := _segment(jpeg, place)) is not None:
        marker, begin, end = step
        body = jpeg[begin:end]
        if marker == END[1]:
            return b"".join([*parts[:1], *_turned(upright), *parts[1:], END])
        if marker == _APP1 and body.startswith(b"Exif\0\0"):
            upright = _orientation(body[6:])
        elif not (_APP0 <= marker < _APP0 + 16 or marker == _COMMENT):
            if marker == _SCAN:
                end = found.start() if (found := _NEXT.search(jpeg, end)) else len(jpeg)
                body = jpeg[begin:end]
            parts.append(b"\xff" + bytes([marker]) + body if marker in _ALONE else jpeg[begin - 4 : end])
        elif kept := _harmless(marker, body):
            parts.append(b"\xff" + bytes([marker]) + struct.pack(">H", len(kept) + 2) + kept)
        place = end
    raise InputError("is a damaged JPEG (cut off: it has no end); copy it again")


def _segment(jpeg: bytes, place: int) -> tuple[int, int, int] | None:
    """Return the marker at `place`, and where its content begins and ends; None where the file ends or is damaged."""
    if jpeg[place : place + 1] != b"\xff":
        return None
    while jpeg[place + 1 : place + 2] == b"\xff":  # filling
        place += 1
    if place + 2 > len(jpeg):
        return None
    marker = jpeg[place + 1]
    if marker in _ALONE or marker == END[1]:
        return marker, place + 2, place + 2
    end = place + 2 + int.from_bytes(jpeg[place + 2 : place + 4], "big")
    return (marker, place + 4, end) if place + 4 <= end <= len(jpeg) else None


def _harmless(marker: int, body: bytes) -> bytes:
    """Return what of an application's segment stays: JFIF without its preview, and Adobe's colour space."""
    if marker == _APP0 and body.startswith(b"JFIF\0") and len(body) >= 14:
        return body[:12] + b"\0\0"
    if marker == _APP14 and body.startswith(b"Adobe") and len(body) >= 12:
        return body[:12]
    return b""


def _orientation(tiff: bytes) -> int:
    """Return EXIF's orientation, 1 (upright) to 8; 1 where there is none that can be read."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2], ">")
    try:
        start = struct.unpack_from(order + "I", tiff, 4)[0]
        for entry in range(struct.unpack_from(order + "H", tiff, start)[0]):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, start + 2 + 12 * entry)
            if tag == _ORIENTATION and kind == 3 and 1 <= value <= 8:
                return int(value)
    except struct.error:
        pass
    return 1


def _turned(orientation: int) -> list[bytes]:
    """Return a segment of EXIF that says which way up the picture is, and nothing else; none for an upright one."""
    if orientation == 1:
        return []
    tiff = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, _ORIENTATION, 3, 1, orientation, 0, 0)
    body = b"Exif\0\0" + tiff
    return [b"\xff" + bytes([_APP1]) + struct.pack(">H", len(body) + 2) + body]
