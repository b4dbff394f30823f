"""Reads a list of paths from standard input, as shells, editors and file managers write it.

UTF-8 with or without a byte order mark, UTF-16, line ends of any system, quotes around a path, file:// addresses, and
backslashes of Windows. A line that names a file as it stands is taken as it stands.
"""

import io
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

QUOTES = ('""', "''", "“”", "‘’", "«»")


def read_paths(stream: io.BufferedReader) -> Iterator[Path]:
    """Yield the path of each line that is not blank, as soon as the line is there."""
    head = stream.peek(4)[:4]
    encoding = "utf-8-sig"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif len(head) == 4 and not (head[1] or head[3]):
        encoding = "utf-16-le"
    elif len(head) == 4 and not (head[0] or head[2]):
        encoding = "utf-16-be"
    # What is no UTF-8 stays as it is: names on a Linux disk may be in any encoding.
    for line in io.TextIOWrapper(stream, encoding, errors="surrogateescape", newline="\n"):
        if (name := line.rstrip("\r\n")).strip():
            yield _path(name)


def _path(name: str) -> Path:
    """Return the first reading of the line `name` that exists, else the plainest one."""
    bare = name.strip()
    quoted = len(bare) > 2 and bare[0] + bare[-1] in QUOTES
    bare = bare[1:-1] if quoted else bare
    found = (Path(reading) for reading in (name, *_readings(bare)) if _exists(Path(reading)))
    return next(found, Path(bare if quoted else name))


def _readings(text: str) -> Iterator[str]:
    for path in (text, _local(text)):
        for slashed in (path, path.replace("\\", "/")) if os.sep == "/" else (path,):
            yield slashed
            yield unicodedata.normalize("NFC", slashed)
            yield unicodedata.normalize("NFD", slashed)


def _local(text: str) -> str:
    """Return the path of an address file:///folder/name%20with%20blanks, any other text as it is."""
    if not text.lower().startswith("file://"):
        return text
    path = unquote(text[7:])
    return path[1:] if path[2:3] == ":" else path  # "/C:/..." names a drive


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
