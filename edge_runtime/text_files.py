"""The one reader of every text that a person writes, whatever editor, spreadsheet or system wrote it.

UTF-8 and UTF-16 are read, with or without a byte order mark, and every line end becomes a line feed. Names are compared
by Unicode's composed form (NFC), since macOS writes an umlaut as two characters and most other systems as one.
"""

import codecs
import unicodedata
from pathlib import Path

from .bundle.errors import InputError

MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
LEAST_NULS = 0.3  # share of bytes that are zero: in UTF-16 nearly half of any text with blanks, digits or Latin letters


def read_text(path: Path) -> str:
    """Return the text of the file at `path`; InputError where it cannot be read, or as in `decode_text`."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{printable(str(path))} cannot be read ({error.strerror})") from None
    return decode_text(data, str(path))


def decode_text(data: bytes, name: str) -> str:
    """Return `data` as text with line feeds as line ends and without byte order mark.

    `name` says in messages where the text is from. InputError names the line and the byte that is no UTF-8.
    """
    encoding = encoding_of(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = _line(data[: error.start].decode(encoding, "replace"))
        what = f"holds the byte 0x{data[error.start]:02X}{_in_windows(data[error.start])}"
        problem = f"UTF-8 text: line {line} {what}" if encoding == "utf-8" else f"whole UTF-16 text: see line {line}"
        raise InputError(f"{printable(name)} is no {problem}; save it again as UTF-8") from None
    text = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        line = _line(text.partition("\0")[0])
        raise InputError(f"{printable(name)} is no text: line {line} holds a zero byte; save it again as UTF-8")
    return text


def encoding_of(data: bytes) -> str:
    """Return the encoding of a text by its first bytes, or by all; a byte order mark stays in what it decodes to."""
    for mark, encoding in MARKS:
        if data.startswith(mark):
            return encoding
    even, odd = data[0::2].count(0), data[1::2].count(0)
    if len(data) % 2 == 0 and even + odd > LEAST_NULS * len(data):
        return "utf-16-le" if odd > even else "utf-16-be"
    return "utf-8"


def _in_windows(byte: int) -> str:
    try:
        return f" ({bytes([byte]).decode('cp1252')!r} in Windows-1252)"
    except UnicodeDecodeError:
        return ""


def _line(before: str) -> int:
    """Return the number of the line in which `before`, the text up to some place, ends."""
    return before.replace("\r\n", "\n").replace("\r", "\n").count("\n") + 1


def normal(text: str) -> str:
    """Return `text` in composed form (NFC), by which names are compared; what is stored stays as it is on disk."""
    return unicodedata.normalize("NFC", text)


def as_on_disk(path: Path) -> Path:
    """Return the first spelling of `path` that exists: as it is, composed or decomposed; else as it is. OSError."""
    spellings = (path, Path(normal(str(path))), Path(unicodedata.normalize("NFD", str(path))))
    return next((spelling for spelling in spellings if spelling.exists()), path)


def printable(text: str) -> str:
    """Return the text with what a terminal might obey escaped: file names may hold line breaks and worse."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
