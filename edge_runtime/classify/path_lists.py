"""Reads a list of paths from standard input, as shells, editors and file managers write it.

UTF-8 with or without a byte order mark, UTF-16, line ends of any system, quotes around a path, file:// addresses, and
backslashes of Windows. A line that names a file as it stands is taken as it stands.
"""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from ..text_files import as_on_disk, encoding_of

HEAD = 4  # bytes that are there as soon as anything is, and tell UTF-16
QUOTES = ('""', "''", "“”", "‘’", "«»")


def read_paths(stream: io.BufferedReader) -> Iterator[Path]:
    """Yield the path of each line that is not blank, as soon as the line is there."""
    encoding = encoding_of(stream.peek(HEAD)[:HEAD])
    # What is no UTF-8 stays as it is: names on a Linux disk may be in any encoding.
    for number, line in enumerate(io.TextIOWrapper(stream, encoding, errors="surrogateescape", newline="\n")):
        name = line.rstrip("\r\n") if number else line.rstrip("\r\n").removeprefix("\ufeff")
        if name.strip():
            yield _path(name)


def _path(name: str) -> Path:
    """Return the first reading of the line `name` that exists, else the plainest one."""
    bare = name.strip()
    quoted = len(bare) > 2 and bare[0] + bare[-1] in QUOTES
    bare = bare[1:-1] if quoted else bare
    found = (path for reading in (name, *_readings(bare)) if (path := _found(Path(reading))))
    return next(found, Path(bare if quoted else name))


def _readings(text: str) -> Iterator[str]:
    for path in (text, _local(text)):
        yield path
        if os.sep == "/":
            yield path.replace("\\", "/")


def _local(text: str) -> str:
    """Return the path of an address file:///folder/name%20with%20blanks, any other text as it is."""
    if not text.lower().startswith("file://"):
        return text
    path = unquote(text[7:])
    return path[1:] if path[2:3] == ":" else path  # "/C:/..." names a drive


def _found(path: Path) -> Path | None:
    """Return the path as it is on disk, None where it is not there."""
    try:
        spelled = as_on_disk(path)
        return spelled if spelled.exists() else None
    except (OSError, ValueError):
        return None
