"""Reads kind and size of an image from its first bytes, before any decoder sees the file. Pure."""

import re
import struct
from dataclasses import dataclass

from ..bundle.errors import InputError
from .file_kinds import HEAD_BYTES, Kind, kind_of, unread

MAX_SEGMENTS = 200_000  # JPEG segments or PNG chunks; more is an attack on our patience


@dataclass(frozen=True)
class Header:
    """`kind` as sniffed from the content; size in pixels as stored, before EXIF rotation; bits per channel.

    `sample` says which numbers a channel holds, and `nodata` which of them stands for "no value", if any.
    """

    kind: str  # JPEG PNG GIF BMP WebP TIFF PNM
    width: int
    height: int
    bits: int = 8
    channels: int = 3
    sample: str = "unsigned"  # or signed, float
    nodata: float | None = None


def damaged(header: Header) -> str:
    """Return what to say of an image whose header is fine and whose pixels no decoder gives."""
    return f"is a damaged {header.kind} (cut off?) or of an unknown variant; copy it again"


def too_large(width: int, height: int, most: int) -> str:
    """Return what to say of a picture of more than `most` pixels; "" of any other."""
    if width * height <= most:
        return ""
    return f"is too large: {width} x {height} pixels, at most {most // 1_000_000} million are read; scale it down"


def read_header(data: bytes) -> Header:
    """Return the header of an image file's bytes.

    The InputError is a predicate ("is no image ...", "is damaged ..."), to which the caller adds the subject.
    """
    for magic, parse in _PARSERS.items():
        if data.startswith(magic):
            try:
                header = parse(data)
            except (struct.error, IndexError) as error:
                raise InputError("is damaged: its header is cut off; copy it again from where it came") from error
            if header.width < 1 or header.height < 1:
                raise InputError(f"is damaged: its header says {header.width} x {header.height} pixels; copy it again")
            return header
    kind = kind_of(data[:HEAD_BYTES])
    if kind.kind not in (Kind.OTHER, Kind.PICTURE):
        raise InputError(unread(kind))
    raise InputError(f"is no image: it starts with {data[:8]!r}, expected JPEG, PNG, GIF, BMP, WebP, TIFF or PGM")


def _jpeg(data: bytes) -> Header:
    place = 2
    for _ in range(MAX_SEGMENTS):
        if data[place] != 0xFF:
            break
        marker = data[place + 1]
        if marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD8:  # padding and markers without a body
            place += 1 if marker == 0xFF else 2
            continue
        if marker in (0xD9, 0xDA):  # the picture starts or ends, and no size was given
            break
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            bits, height, width, channels = struct.unpack_from(">BHHB", data, place + 4)
            return Header("JPEG", width, height, bits, channels)
        place += 2 + struct.unpack_from(">H", data, place + 2)[0]
    raise InputError("is damaged: a JPEG without a frame header; copy it again from where it came")


def _png(data: bytes) -> Header:
    """Walk every chunk: a decoder trusts a chunk's length and allocates it, gigabytes for a file of 57 bytes."""
    length, kind, width, height, bits, colour = struct.unpack_from(">I4sIIBB", data, 8)
    if kind == b"CgBI":
        raise InputError("is a PNG as apps of Apple's phones pack it (CgBI), which is not read; save it as PNG or JPEG")
    if kind != b"IHDR" or length != 13:
        raise InputError("is damaged: a PNG whose first chunk is not IHDR; copy it again from where it came")
    place = 8
    for _ in range(MAX_SEGMENTS):
        length, kind = struct.unpack_from(">I4s", data, place)
        place += 12 + length
        if place > len(data):
            raise InputError(f"is damaged: a PNG chunk claims {length} bytes, the file has {len(data)}; copy it again")
        if kind == b"IEND":
            return Header("PNG", width, height, bits, {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(colour, 0))
    raise InputError(f"is damaged: a PNG of more than {MAX_SEGMENTS} chunks; save it again")


def _gif(data: bytes) -> Header:
    return Header("GIF", *struct.unpack_from("<HH", data, 6))


def _bmp(data: bytes) -> Header:
    if struct.unpack_from("<I", data, 14)[0] == 12:
        return Header("BMP", *struct.unpack_from("<HH", data, 18))
    width, height = struct.unpack_from("<ii", data, 18)
    return Header("BMP", width, abs(height))  # a negative height means top-down rows


def _webp(data: bytes) -> Header:
    kind = data[12:16]
    if data[8:12] == b"WEBP" and kind == b"VP8X":
        wide, high = data[24:27], data[27:30]
        return Header("WebP", 1 + int.from_bytes(wide, "little"), 1 + int.from_bytes(high, "little"))
    if data[8:12] == b"WEBP" and kind == b"VP8L":
        packed = struct.unpack_from("<I", data, 21)[0]
        return Header("WebP", 1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF))
    if data[8:12] == b"WEBP" and kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return Header("WebP", width & 0x3FFF, height & 0x3FFF)
    raise InputError("is no image: a RIFF file, but no WebP; convert it to JPEG or MP4")


def _tiff(data: bytes) -> Header:
    """Read the first directory of a TIFF, or of a BigTIFF, where every offset and count takes eight bytes."""
    if (kind := kind_of(data[:HEAD_BYTES])).kind is not Kind.PICTURE:  # a camera's raw file, which looks like one
        raise InputError(unread(kind))
    order, big = "<" if data.startswith(b"II") else ">", data[2:4] in (b"+\0", b"\0+")
    offset, size, inside = ("Q", 20, 8) if big else ("I", 12, 4)  # inside: bytes of an entry that may hold a value
    start = struct.unpack_from(order + offset, data, inside)[0]
    tally = order + ("Q" if big else "H")
    tags: dict[int, int] = {}
    nodata = None
    for entry in range(min(struct.unpack_from(tally, data, start)[0], MAX_SEGMENTS)):
        place = start + struct.calcsize(tally) + size * entry
        tag, code_number, values = struct.unpack_from(order + "HH" + offset, data, place)
        code = {1: "B", 2: "c", 3: "H", 4: "I", 16: "Q"}.get(code_number, "I")
        place += 4 + inside
        if values * struct.calcsize(code) > inside:  # they do not fit: the entry holds where they lie
            place = struct.unpack_from(order + offset, data, place)[0]
        if tag in (256, 257, 258, 277, 339):  # width, height, bits per sample, samples per pixel, sample format
            tags.setdefault(tag, struct.unpack_from(order + code, data, place)[0])
        if tag == 42113:  # GDAL_NODATA: a number as text
            nodata = _number(data[place : place + values])
    sample = {2: "signed", 3: "float"}.get(tags.get(339, 1), "unsigned")
    return Header("TIFF", tags.get(256, 0), tags.get(257, 0), tags.get(258, 1), tags.get(277, 1), sample, nodata)


def _number(text: bytes) -> float | None:
    try:
        return float(text.rstrip(b"\0 "))
    except ValueError:
        return None


def _pnm(data: bytes) -> Header:
    """Read a binary PGM or PPM: its kind, width, height and greatest value, with comments between them."""
    words = re.sub(rb"#[^\n]*", b" ", data[:1024]).split(maxsplit=4)[:4]
    if len(words) < 4 or not all(word.isdigit() for word in words[1:]):
        raise InputError("is damaged: a PGM or PPM without width, height and greatest value; copy it again")
    width, height, most = (int(word) for word in words[1:])
    return Header("PNM", width, height, 8 if most < 256 else 16, 1 if words[0] == b"P5" else 3)


_PARSERS = {
    b"\xff\xd8\xff": _jpeg,
    b"\x89PNG\r\n\x1a\n": _png,
    b"GIF87a": _gif,
    b"GIF89a": _gif,
    b"BM": _bmp,
    b"RIFF": _webp,
    b"II*\0": _tiff,
    b"MM\0*": _tiff,
    b"II+\0": _tiff,
    b"MM\0+": _tiff,
    b"P5": _pnm,
    b"P6": _pnm,
}
