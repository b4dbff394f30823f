"""The boxes that an MP4, MOV, 3GP or HEIC file consists of (ISO/IEC 14496-12)."""

import struct
from collections.abc import Iterator
from typing import IO

FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")


def boxes(file: IO[bytes], size: int) -> Iterator[tuple[int, int, bytes]]:
    """Yield start, length and kind of each outer box of an ISO media file; nothing of another."""
    start = 0
    while start + 8 <= size:
        file.seek(start)
        head = file.read(16)
        length, kind = struct.unpack_from(">I4s", head)
        if start == 0 and kind not in FIRST_BOXES:
            return
        if length == 1 and len(head) == 16:
            length = struct.unpack_from(">Q", head, 8)[0]
        if length == 0:
            length = size - start  # the last box reaches to the end of the file
        if length < 8 or not kind.strip(b"\xa9 ").isalnum():
            return
        yield start, length, kind
        start += length
