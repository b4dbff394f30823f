"""What a video decoder says on standard error, for a process that does nothing but decode.

Where a frame is interlaced, OpenCV 4.13 and 5.0 return success and a picture of whatever the memory held: the refusal
of FFmpeg's library for conversion (libswscale) reaches standard error alone. No property of OpenCV tells it either.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

INTERLACED_SIGN = b"Cannot convert interlaced"
# Where one of these is set, OpenCV takes the messages to standard output, or drops them.
DIVERTED_BY = ("OPENCV_FFMPEG_DEBUG", "OPENCV_FFMPEG_LOGLEVEL")


@contextmanager
def caught_messages() -> Iterator[IO[bytes]]:
    """Keep what the process writes to standard error out of sight, in a file that is yielded.

    It may hold addresses with passwords, so it stays in memory where the system can do that (Linux). Enter this before
    the first video is opened.
    """
    for name in DIVERTED_BY:
        os.environ.pop(name, None)
    with _file() as messages:
        before = os.dup(2)
        os.dup2(messages.fileno(), 2)
        try:
            yield messages
        finally:
            os.dup2(before, 2)
            os.close(before)


def _file() -> IO[bytes]:
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("messages"), "w+b", buffering=0)
    return tempfile.TemporaryFile(buffering=0)


def tell_interlaced(messages: IO[bytes]) -> bool:
    """Return whether `messages` tell of an interlaced frame, and empty them. Call it after each retrieved frame."""
    if os.fstat(messages.fileno()).st_size == 0:  # nearly always
        return False
    messages.seek(0)
    said = messages.read()
    messages.truncate(0)
    messages.seek(0)  # standard error shares the place in the file
    return INTERLACED_SIGN in said
