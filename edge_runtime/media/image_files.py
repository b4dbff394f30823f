"""The one image reader: training, curation, export and the edge all see the same pixels of the same file."""

import stat
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ..bundle.errors import InputError
from ..bundle.preprocess import Frame, PreprocessSpec
from ..bundle.radiometric import RadiometricRule
from .image_headers import Header, damaged, read_header
from .radiometric import holds_values, jpeg_holds_values, read_scaled

MAX_BYTES = 128 << 20  # bytes of one file
MAX_PIXELS = 64_000_000  # 192 MB once decoded

SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png", ".apng"),
    "GIF": (".gif",),
    "BMP": (".bmp", ".dib"),
    "WebP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "PNM": (".pgm", ".ppm", ".pnm"),
}
IMAGE_SUFFIXES = frozenset(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)


@dataclass(frozen=True)
class ReadImage:
    """`frame` uint8 (H, W, 3) BGR, upright; `kind` by content; `notes` about what was converted, each a predicate.

    `span` are the least and the greatest value of a radiometric picture, in its own unit.
    """

    frame: Frame
    kind: str
    notes: tuple[str, ...]
    span: tuple[float, float] | None = None


REDUCED = {
    1: cv2.IMREAD_COLOR_BGR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


def read_image(path: Path, spec: PreprocessSpec | None = None, radiometric: RadiometricRule | None = None) -> ReadImage:
    """Read one still image; InputError is a sentence that starts with the file's name.

    With a `spec` that allows it, a JPEG much larger than the model's input is decoded smaller. EXIF orientation is
    honoured, 16 bits of colour are divided by 256, grey, palette, CMYK and alpha become BGR, and of an animation the
    first frame is taken. A radiometric picture is scaled by the rule of `spec`, or by `radiometric` where the whole
    picture is wanted; without a rule it is refused. Only regular files are opened: a FIFO would block for ever.
    """
    try:
        return decode_image(_read_bytes(path), path.suffix, spec, radiometric)
    except InputError as error:
        raise InputError(f"{path.name or path} {error}") from error


def decode_image(
    data: bytes,
    suffix: str = "",
    spec: PreprocessSpec | None = None,
    radiometric: RadiometricRule | None = None,
) -> ReadImage:
    """Decode an image from bytes, as `read_image` does from a file.

    The InputError is a predicate ("is damaged ..."), to which the caller adds the subject.
    """
    if not data:
        raise InputError("is empty (0 bytes); copy it again from where it came")
    header = read_header(data)
    if header.width * header.height > MAX_PIXELS:
        size = f"{header.width} x {header.height} pixels"
        raise InputError(f"is too large: {size}, at most {MAX_PIXELS // 1_000_000} million are read; scale it down")
    if holds_values(header):
        scaled = read_scaled(data, header, radiometric or (spec.radiometric if spec else None))
        if scaled is not None:
            told = (*_notes(header, suffix.lower()), *scaled.notes)
            return ReadImage(scaled.frame, header.kind, told, scaled.span)
    reduced = spec is not None and spec.decode == "reduced" and header.kind == "JPEG"
    how = REDUCED[spec.reduction(header.height, header.width) if spec and reduced else 1]
    try:
        frame = cv2.imdecode(np.frombuffer(data, np.uint8), how)
    except cv2.error:
        frame = None
    if frame is None:
        raise InputError(damaged(header))
    notes = _notes(header, suffix.lower())
    if header.bits == 16:
        notes.append("has 16 bits per channel, divided by 256")
    if header.kind == "JPEG" and jpeg_holds_values(data):
        notes.append("holds radiometric data, which is not read; its visible picture is judged")
    return ReadImage(frame, header.kind, tuple(notes))


def _read_bytes(path: Path) -> bytes:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise InputError("is a folder, not an image")
        if not stat.S_ISREG(status.st_mode):
            raise InputError("is no regular file (a pipe, socket or device); give an image file")
        if status.st_size > MAX_BYTES:
            raise InputError(f"is {status.st_size} bytes, at most {MAX_BYTES} are read; scale the image down")
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    except FileNotFoundError as error:
        raise InputError("does not exist, or is a link to nothing; check the path") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL inside the name
        raise InputError(f"cannot be read ({getattr(error, 'strerror', None) or error}); check the file") from error


def _notes(header: Header, suffix: str) -> list[str]:
    notes = []
    if suffix in IMAGE_SUFFIXES and suffix not in SUFFIXES[header.kind]:
        notes.append(f"is a {header.kind} named {suffix}")
    if header.kind == "JPEG" and header.channels == 4:
        notes.append("is CMYK, converted to BGR")
    if header.kind == "PNG" and header.channels in (2, 4):
        notes.append("has an alpha channel, dropped")
    return notes
