"""Wall time as a label, and how far it can be trusted. Durations are never taken from here."""

import ctypes
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

SYNCED, FREE, STEPPED = "synced", "free", "stepped"

STEP_SECONDS = 1.0  # a jump of wall against monotonic time beyond this is a step,
SLEW_SHARE = 1e-3  # and beyond this share of the time between two readings; the kernel slews by at most 5e-4
SETTLE_SECONDS = 600.0  # how long a reading counts as stepped after the step
EARLIEST = 1_767_225_600.0  # 2026-01-01 UTC: a clock before this has not been set

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

_STA_UNSYNC = 0x0040


class _Timex(ctypes.Structure):
    """The beginning of Linux's `struct timex`; the kernel fills more, hence the room behind it."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def kernel_synced() -> bool:
    """Whether the kernel says that something disciplines its clock; False where it cannot say."""
    if sys.platform != "linux":
        return False
    timex = _Timex()  # modes 0: read only
    if ctypes.CDLL(None).adjtimex(ctypes.byref(timex)) < 0:
        return False
    return not timex.status & _STA_UNSYNC


@dataclass(frozen=True)
class Instant:
    """One moment by both clocks, in seconds: `monotonic` for durations, `wall` since 1970 as a label."""

    monotonic: float
    wall: float


def instant(monotonic: float | None = None) -> Instant:
    """Return the moment of `monotonic` seconds, or this moment, with the wall time that belongs to it."""
    now, wall = time.monotonic(), time.time()
    return Instant(now, wall) if monotonic is None else Instant(monotonic, wall - (now - monotonic))


def boot_id() -> str:
    """Return the boot ID; monotonic times are comparable only within one boot."""
    return BOOT_ID.read_text().strip()


@dataclass(frozen=True)
class Moment:
    """The times that an event tells: when its frame was captured (`time`) and when it was `recorded`.

    Both are ISO 8601 in UTC with milliseconds. `clock` says how far they can be trusted: synced, free or stepped.
    """

    time: str
    recorded: str
    clock: str


class Clock:
    """Reads the wall clock and watches it for steps. A process has one; any thread may read it."""

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        synced: Callable[[], bool] = kernel_synced,
    ) -> None:
        self._wall, self._monotonic, self._synced = wall, monotonic, synced
        self._last: tuple[float, float] | None = None  # wall, monotonic
        self._stepped_at: float | None = None  # monotonic
        self._lock = threading.Lock()

    def read(self, captured: float | None = None) -> Moment:
        """Return this moment for something that was `captured` then (monotonic seconds), or now.

        A step of the wall clock between two calls is noticed at the second one, so call it regularly.
        """
        with self._lock:
            wall, now = self._wall(), self._monotonic()
            if self._last is not None:
                elapsed = now - self._last[1]
                if abs(wall - self._last[0] - elapsed) > STEP_SECONDS + SLEW_SHARE * elapsed:
                    self._stepped_at = now
            self._last = wall, now
            age = 0.0 if captured is None else now - captured
            return Moment(iso(wall - age), iso(wall), self._quality(wall, now))

    def _quality(self, wall: float, now: float) -> str:
        if self._stepped_at is not None and now - self._stepped_at < SETTLE_SECONDS:
            return STEPPED
        return SYNCED if wall >= EARLIEST and self._synced() else FREE


def from_iso(text: str) -> datetime:
    """Return the moment of an ISO 8601 time, without a zone where the text names none; ValueError where it is none."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))  # Python 3.10 knows no Z


def iso(wall: float) -> str:
    """Return seconds since 1970 as `2026-11-23T02:10:00.000Z`."""
    return datetime.fromtimestamp(wall, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
