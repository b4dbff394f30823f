"""Sinks: receivers outside the station that take events, one at a time, and answer what became of each."""

import base64
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from .events import ARCHIVE
from .outbox import Entry


class Verdict(Enum):
    """What became of one event that was offered."""

    TAKEN = "taken"  # the receiver has acknowledged it
    REFUSED = "refused"  # it will never take this one
    HELD = "held"  # it does not take events of this camera for now
    UNREACHABLE = "unreachable"  # it takes none for now, or it is unknown whether it did


@dataclass(frozen=True)
class Answer:
    """A verdict, the reason where it is not TAKEN, and the seconds that the receiver asked us to wait."""

    verdict: Verdict
    reason: str = ""
    retry_after: float | None = None


TAKEN = Answer(Verdict.TAKEN)
LEAST_RATE = 2000  # bytes a second: a link slower than this gets no pictures


class Sink(Protocol):
    """One receiver. One thread calls `open` and `send`; `close` may come from another and ends their waiting."""

    @property
    def name(self) -> str:
        """The name by which the outbox knows the sink."""

    def check(self) -> None:
        """Try the connection beside a running station, and send nothing. UnavailableError says what is wrong."""

    def open(self) -> None:
        """Get ready to send, which costs little where it is. UnavailableError where that is not possible now."""

    def send(self, entry: Entry) -> Answer:
        """Offer one event."""

    def set_camera(self, camera: str, status: Mapping[str, str]) -> None:
        """Send a status made by `events.camera_status`, from any thread; a sink that keeps no states does nothing."""

    def close(self) -> None:
        """Take leave of the receiver within two seconds."""


def payload(entry: Entry, inline: Collection[str], limit: int | None = None) -> bytes:
    """Return the event as JSON, with the pictures named by `inline`, and an archive, in it as base64 (`data`).

    Where that exceeds `limit` bytes, or a picture is no longer kept, references stand in their place; but an archive
    stays, since an event of feedback is nothing without it.
    """
    bare = json.dumps(entry.document).encode()
    data = {name: _read(entry, name) for name in {*inline, ARCHIVE} if name in entry.pictures}
    pictures = {
        name: {**reference, **({"data": data[name]} if data.get(name) else {})}
        for name, reference in entry.document.get("pictures", {}).items()
    }
    if not pictures:
        return bare
    whole = json.dumps({**entry.document, "pictures": pictures}).encode()
    return whole if limit is None or len(whole) <= limit or ARCHIVE in data else bare


def answer_seconds(timeout: float, size: int) -> float:
    """Return how long to wait for the answer to `size` bytes: `timeout`, and the time they take on the slowest link."""
    return timeout + size / LEAST_RATE


def _read(entry: Entry, name: str) -> str | None:
    try:
        return base64.b64encode(entry.pictures[name].read_bytes()).decode()
    except OSError:
        return None
