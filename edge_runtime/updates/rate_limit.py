"""How fast an update may be fetched, and at which hours not at all."""

import threading
import time
from collections.abc import Callable

from .errors import Reason, UpdateDelayed

BURST_SECONDS = 0.25  # of the rate may be made up for after a pause
LONGEST_HOLD = 60.0  # seconds that an alarm holds the download up: its receiver may be down while the repository is not
POLL_SECONDS = 0.2  # while it is held up


class RateLimit:
    """Lets through so many bytes a second on average; one object for all that an update fetches.

    `bytes_per_second` 0 is unlimited. `quiet` tells whether nothing may be fetched at this moment. What was let through
    may be up to a quarter of a second ahead of the rate, never more, however long the link stood still before. `hold`
    tells whether the link is wanted for something more urgent, an alarm: then nothing is read, for a minute at most.
    """

    def __init__(
        self,
        bytes_per_second: int = 0,
        quiet: Callable[[], bool] = lambda: False,
        hold: Callable[[], bool] = lambda: False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate, self._quiet, self._hold, self._monotonic = bytes_per_second, quiet, hold, monotonic
        self._held_since: float | None = None
        self._paid_until = monotonic()  # the moment by which the bytes so far are due

    def take(self, count: int, stop: threading.Event) -> None:
        """Wait until `count` bytes that have come are due; UpdateDelayed in quiet hours and when `stop` is set."""
        if self._quiet():
            raise UpdateDelayed(Reason.QUIET, "nothing is downloaded at this hour")
        if self._rate:
            now = self._monotonic()
            self._paid_until = max(self._paid_until, now - BURST_SECONDS) + count / self._rate
            if (seconds := self._paid_until - now) > 0:
                stop.wait(seconds)
        self._wait_for_alarms(stop)
        if stop.is_set():
            raise UpdateDelayed(Reason.STOPPED, "the download was stopped")

    def _wait_for_alarms(self, stop: threading.Event) -> None:
        while self._hold():
            now = self._monotonic()
            self._held_since = now if self._held_since is None else self._held_since
            if now - self._held_since >= LONGEST_HOLD or stop.wait(POLL_SECONDS):
                return
        self._held_since = None
