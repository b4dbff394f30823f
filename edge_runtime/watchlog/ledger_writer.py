"""Keeps the ledger of a running service, whatever the disk does, and writes the night's report in the morning."""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..bundle.errors import UnavailableError
from ..bundle.files import replace_file
from ..causes import Cause
from ..delays import LEDGER_SECONDS
from ..station.settings import StationSection
from .ledger import Instant, Ledger
from .report import log_line, to_html, to_json

DAY = 86400.0  # seconds
KEEP_DAYS = 90  # of pages
KEEP_INTERVALS, KEEP_RUNS = 100_000, 10_000  # in the ledger, about ten megabytes

log = logging.getLogger(__name__)


def ledger_path(state_dir: Path) -> Path:
    """Where the ledger of a station lies."""
    return state_dir / "ledger" / "ledger.sqlite3"


class LedgerWriter:
    """A disk that takes nothing costs lines in the ledger, never the watch. Times are monotonic seconds."""

    def __init__(self, station: StationSection, cameras: Sequence[str], now: float) -> None:
        self._station, self._cameras = station, cameras
        self._path = ledger_path(station.state_dir)
        self._ledger: Ledger | None = None
        self._failing = False
        self._try_at = now
        self._reported = _day() if self._is_time() else ""  # the day of the last report; an hour that passed is not due
        self._opened(now)

    def note(self, states: Mapping[str, tuple[Cause | None, float]], now: float) -> None:
        """See `Ledger.note_all`; call it every time, so that what the disk did not take is written later."""
        self._do(lambda ledger: ledger.note_all(states, _instant(now)), now)

    def tick(self, now: float) -> None:
        """Show that the service lives; once a day, at `report_at`, write and log the night."""
        self._do(lambda ledger: ledger.beat(_instant(now)), now)
        day = _day()
        if self._is_time() and self._reported != day:
            self._reported = day
            self._do(lambda ledger: self._report(ledger, day, _instant(now)), now)

    def close(self, now: float) -> None:
        """The run ends."""
        self._do(lambda ledger: ledger.close(_instant(now)), now)
        self._ledger = None

    def _report(self, ledger: Ledger, day: str, now: Instant) -> None:
        night = ledger.night(DAY, now)
        log.info("%s", log_line(night), extra={"fields": {"night": to_json(night)}})
        page = self._path.with_name(f"night-{day}")
        try:
            replace_file(page.with_suffix(".json"), json.dumps(to_json(night), indent=1).encode())
            replace_file(page.with_suffix(".html"), to_html(night, self._station.name).encode())
        except OSError as error:
            raise UnavailableError(f"the night's report cannot be written ({error.strerror})") from error
        ledger.forget(KEEP_INTERVALS, KEEP_RUNS)
        for old in sorted(self._path.parent.glob("night-*"))[: -2 * KEEP_DAYS]:
            old.unlink(missing_ok=True)

    def _is_time(self) -> bool:
        return time.strftime("%H:%M") >= self._station.report_at

    def _opened(self, now: float) -> Ledger | None:
        if self._ledger is None and now >= self._try_at:
            self._try_at = now + LEDGER_SECONDS
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._ledger = Ledger(self._path, _instant(now))
                self._ledger.watch(self._cameras, _instant(now))
            except (OSError, UnavailableError) as error:
                self._fail(error)
        return self._ledger

    def _do(self, act: Callable[[Ledger], None], now: float) -> None:
        ledger = self._opened(now)
        if ledger is None:
            return
        try:
            act(ledger)
        except UnavailableError as error:
            self._fail(error)
            return
        self._failing = False

    def _fail(self, error: Exception) -> None:
        if not self._failing:
            log.error("%s; what was not watched is kept in memory until the disk takes it", error)
        self._failing = True


def _day() -> str:
    return time.strftime("%Y-%m-%d")


def _instant(now: float) -> Instant:
    """`now` (monotonic) with the wall time that belongs to it."""
    return Instant(now, time.time() - (time.monotonic() - now))
