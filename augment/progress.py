"""Progress of long work: a bar on a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
SECONDS_BETWEEN_LINES = 10.0


def progress(items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
    """Yield `items` and show on stderr how many of `total` are done."""
    if sys.stderr.isatty():
        yield from tqdm(items, total=total, desc=what, leave=False)
        return
    next_line = time.monotonic() + SECONDS_BETWEEN_LINES
    for done, item in enumerate(items):
        if time.monotonic() >= next_line:
            say(f"{what}: {done} of {total}")
            next_line = time.monotonic() + SECONDS_BETWEEN_LINES
        yield item


def say(line: str) -> None:
    """Write one line to stderr for the person who waits; results go to stdout."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
