"""Writes the ledger of a running service, whatever the disk does, and the night's report in the morning."""

import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..bundle.errors import UnavailableError, os_errors_as
from ..bundle.files import replace_file
from ..causes import Cause
from ..clock import Instant, instant
from ..delays import LEDGER_SECONDS
from .ledger import Ledger
from .ledger_query import ledger_path
from .report import log_line, to_html, to_json

DAY = 86400.0  # seconds
DATE = "%Y-%m-%d"
KEEP_DAYS = 90  # of pages
KEEP_INTERVALS, KEEP_RUNS = 100_000, 10_000  # in the ledger, about ten megabytes

log = logging.getLogger(__name__)


class LedgerWriter:
    """Writes the ledger. A disk that takes nothing costs lines in it, never the watch. Times are monotonic seconds."""

    def __init__(
        self,
        state_dir: Path,
        station: str,
        cameras: Sequence[str],
        report_at: str,
        local_time: Callable[[str], str] = time.strftime,
    ) -> None:
        """`report_at` is the local time of the night's report, as HH:MM; `local_time` gives the time in a format."""
        self._station, self._cameras, self._report_at = station, cameras, report_at
        self._path, self._local_time = ledger_path(state_dir), local_time
        self._ledger: Ledger | None = None
        self.trouble = ""  # why the disk does not take the ledger
        self._try_at = -math.inf
        self._reported = ""  # the day of the last report

    def open(self, now: float) -> None:
        """Begin a run of the service; where the disk refuses, a later call of another method tries again."""
        self._reported = self._local_time(DATE) if self._is_time() else ""  # an hour that has passed today is not due
        self._opened(now)

    def note(self, states: Mapping[str, tuple[Cause | None, float]], now: float) -> None:
        """Write what changed, as `Ledger.note`. Call it with every state each time: what was refused is retried."""
        self._do(lambda ledger: ledger.note(states, instant(now)), now)

    def tick(self, now: float) -> None:
        """Note that the service lives; once a day, at `report_at`, write and log the night."""
        self._do(lambda ledger: ledger.beat(instant(now)), now)
        day = self._local_time(DATE)
        if self._is_time() and self._reported != day:
            self._reported = day
            self._do(lambda ledger: self._report(ledger, day, instant(now)), now)

    def close(self, now: float) -> None:
        """End the run."""
        self._do(lambda ledger: ledger.close(instant(now)), now)
        self._ledger = None

    def _report(self, ledger: Ledger, day: str, now: Instant) -> None:
        night = ledger.night(DAY, now)
        log.info("%s", log_line(night), extra={"fields": {"night": to_json(night)}})
        page = self._path.with_name(f"night-{day}")
        with os_errors_as(UnavailableError, "the night's report cannot be written", "free or check the disk"):
            replace_file(page.with_suffix(".json"), json.dumps(to_json(night), indent=1).encode())
            replace_file(page.with_suffix(".html"), to_html(night, self._station).encode())
        ledger.forget(KEEP_INTERVALS, KEEP_RUNS)
        for old in sorted(self._path.parent.glob("night-*"))[: -2 * KEEP_DAYS]:
            old.unlink(missing_ok=True)

    def _is_time(self) -> bool:
        return self._local_time("%H:%M") >= self._report_at

    def _opened(self, now: float) -> Ledger | None:
        if self._ledger is None and now >= self._try_at:
            self._try_at = now + LEDGER_SECONDS
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._ledger = Ledger(self._path, instant(now))
                self._ledger.watch(self._cameras, instant(now))
            except (OSError, UnavailableError) as error:
                self._fail(error)
        return self._ledger

    def _do(self, act: Callable[[Ledger], bool | None], now: float) -> None:
        """Let `act` write; where it says that it had nothing to write, nothing is known of the disk."""
        ledger = self._opened(now)
        if ledger is None:
            return
        try:
            written = act(ledger)
        except UnavailableError as error:
            self._fail(error)
            return
        if written is not False and self.trouble:
            log.warning("the disk takes the ledger again")
            self.trouble = ""

    def _fail(self, error: Exception) -> None:
        if not self.trouble:
            log.error("%s; what was not watched is kept in memory until the disk takes it", error)
        self.trouble = str(error)
