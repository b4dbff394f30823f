"""The one image reader: training, curation, export and the edge all see the same pixels of the same file."""

import itertools
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from ..bundle.errors import InputError
from ..bundle.preprocess import Frame, PreprocessSpec
from ..bundle.radiometric import RadiometricRule
from .file_kinds import HEAD_BYTES, IMAGE_SUFFIXES, SUFFIXES, Kind, kind_of, unread
from .heic_files import film_in, read_heic
from .image_headers import Header, damaged, read_header, too_large
from .image_pages import MAX_PAGES, count_frames, later_frames, page_files
from .jpeg_ends import find_end
from .radiometric import holds_values, jpeg_holds_values, read_scaled

MAX_BYTES = 128 << 20  # bytes of one file
MAX_PIXELS = 64_000_000  # 192 MB once decoded
EMPTY = "is empty (0 bytes); copy it again, or download it if it is kept in a cloud"


@dataclass(frozen=True)
class ReadImage:
    """`frame` uint8 (H, W, 3) BGR, upright; `kind` by content; `notes` about what was converted, each a predicate.

    `span` are the least and the greatest value of a radiometric picture, in its own unit. `film_at` is where in
    the file a film begins that a phone keeps behind the picture.
    """

    frame: Frame
    kind: str
    notes: tuple[str, ...]
    span: tuple[float, float] | None = None
    film_at: int | None = None


@dataclass(frozen=True)
class Page:
    """One page of a file: the `image`, or the `reason` (a sentence) why there is none.

    `number` counts from 1, and is None in a file of one page.
    """

    image: ReadImage | None
    reason: str | None
    number: int | None


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


def read_pages(
    path: Path, spec: PreprocessSpec | None = None, radiometric: RadiometricRule | None = None
) -> Iterator[Page]:
    """Yield every page of the file, each read as `read_image` reads the first.

    Pages are the directories of a TIFF, the frames of an animated GIF, WebP or PNG, and the pictures of MPO and HEIC.
    The last one may be a reason why pages were left out.
    """
    name = path.name or str(path)
    try:
        found = _pages(_read_bytes(path), path.suffix, spec, radiometric)
        held: list[ReadImage | InputError] = [next(found)]  # handed on below, not kept: a picture may take 192 MB
    except InputError as error:
        yield Page(None, f"{name} {error}", None)
        return
    number: int | None = None
    while held:
        held += itertools.islice(found, 1)
        number = (number or 0) + 1 if number or len(held) > 1 else None
        yield _page(held.pop(0), name, number)


def _page(page: ReadImage | InputError, name: str, number: int | None) -> Page:
    return Page(None, f"{name} {page}", number) if isinstance(page, InputError) else Page(page, None, number)


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
        raise InputError(EMPTY)
    if data[4:8] == b"ftyp":
        return _heic(data, suffix, next(_heic_frames(data)))
    header = read_header(data)
    end = find_end(data) if header.kind == "JPEG" else None
    if end is not None:
        data = end.data
    if header.kind == "JPEG" and header.bits != 8:
        raise InputError(f"is a JPEG with {header.bits} bits per channel, which is not read; save it with 8 bits")
    if refused := too_large(header.width, header.height, MAX_PIXELS):
        raise InputError(refused)
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
    if end is not None and end.note is not None:
        notes.append(end.note)
    if header.bits == 16:
        spread = ", since its values spread as a photograph's do" if header.channels == 1 else ""
        notes.append(f"has 16 bits per channel, divided by 256{spread}")
    if header.kind == "JPEG" and jpeg_holds_values(data):
        notes.append("holds radiometric data, which is not read; its visible picture is judged")
    return ReadImage(frame, header.kind, tuple(notes), film_at=end.film_at if end is not None else None)


def _pages(
    data: bytes, suffix: str, spec: PreprocessSpec | None, radiometric: RadiometricRule | None
) -> Iterator[ReadImage | InputError]:
    if data[4:8] == b"ftyp":
        for frame in _heic_frames(data):
            yield _or_error(partial(_heic, data, suffix, frame))
        return
    first = _or_error(partial(decode_image, data, suffix, spec, radiometric))
    yield first
    try:
        header = read_header(data)
    except InputError:
        return
    try:
        for place, page in enumerate(page_files(data, header)):
            if place + 1 == MAX_PAGES:
                yield _too_many(place + 1)
                return
            yield _or_error(partial(decode_image, page, suffix, spec, radiometric))
    except InputError as error:
        yield error
    count = 1 if isinstance(first, InputError) else count_frames(data, header)
    if count > 1:
        most = min(count, MAX_PAGES, MAX_PIXELS // (header.width * header.height))
        frames = later_frames(data, most)
        yield from (ReadImage(frame, header.kind, ()) for frame in frames)
        if len(frames) + 1 < most:
            yield InputError(f"is damaged: {len(frames) + 1} of its {count} pages can be read; copy it again")
        elif most < count:
            yield _too_many(most, count)


def _or_error(read: Callable[[], ReadImage]) -> ReadImage | InputError:
    try:
        return read()
    except InputError as error:
        return error


def _too_many(judged: int, count: int | None = None) -> InputError:
    held = f"{count} pages" if count else "more pages"
    return InputError(f"holds {held}, of which the first {judged} are read; split it, or save it as a video")


def _heic_frames(data: bytes) -> Iterator[Frame | InputError]:
    """Yield the pictures of a HEIC file; InputError where it is another format, or the library is not installed."""
    kind = kind_of(data[:HEAD_BYTES])
    if kind.kind is not Kind.PICTURE:
        raise InputError(unread(kind))
    return read_heic(data, MAX_PIXELS)


def _heic(data: bytes, suffix: str, frame: Frame | InputError) -> ReadImage:
    if isinstance(frame, InputError):
        raise frame
    header = Header("HEIC", frame.shape[1], frame.shape[0])
    return ReadImage(frame, "HEIC", tuple(_notes(header, suffix.lower())), film_at=film_in(data))


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
            return file.read(status.st_size + 1)  # room for MAX_BYTES would be new pages for every picture
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
