"""A time that never goes back: what a station with a dead clock holds against metadata that has expired.

A clock without a battery starts in 1970, where nothing has expired yet, and an attacker could offer an old repository
(a freeze attack). So the latest moment at which metadata was found valid is kept on disk, and time is never taken to be
before it. It is raised after a successful look at a repository alone, so by no more than the validity of what
was signed: a clock that stood in 2040 for a day finds everything expired and leaves nothing behind.
"""

import json
import logging
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from ...bundle.files import replace_file
from ...clock import EARLIEST

FLOOR = "floor.json"
LARGEST = 1 << 10  # bytes of the file

log = logging.getLogger(__name__)


def utc_now() -> datetime:
    """Return this moment by the system's clock."""
    return datetime.now(timezone.utc)


class FloorTime:
    """The floor in the file at `path`; `now` reads the system's clock, in UTC."""

    def __init__(self, path: Path, now: Callable[[], datetime]) -> None:
        self._path, self._now = path, now

    def reference(self) -> datetime:
        """Return this moment by the system's clock, or the floor where the clock is behind it."""
        return max(self._now(), self._floor())

    def raise_to(self, moment: datetime) -> None:
        """Keep `moment` as the floor, durably, unless the floor is later already."""
        if moment > self._floor():
            document = {"time": moment.astimezone(timezone.utc).isoformat(timespec="seconds")}
            replace_file(self._path, json.dumps(document).encode() + b"\n")

    def _floor(self) -> datetime:
        earliest = datetime.fromtimestamp(EARLIEST, timezone.utc)
        try:
            with self._path.open("rb") as file:
                kept = datetime.fromisoformat(json.loads(file.read(LARGEST))["time"])
            return max(kept, earliest)
        except FileNotFoundError:
            return earliest
        except (OSError, ValueError, KeyError, TypeError) as error:  # TypeError: no zone, no object
            log.error("%s cannot be read (%s); time begins anew at %s", self._path, error, earliest.date())
            return earliest
