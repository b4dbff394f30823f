"""A station on which no model can serve after a failed update: it says that it watches nothing, and looks for another.

Ending would help nobody: systemd would start it again and again, and central would hear nothing.
"""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...alerts.alarm_rules import AlarmRules
from ...alerts.events import NO_MODEL, Record, Reporter, camera_status
from ...alerts.notifier import Notifier
from ...alerts.sample_selection import SampleSelector
from ...causes import Cause
from ...clock import Clock
from ...updates.state import HANDED_OVER, load
from ...watchlog.ledger_writer import LedgerWriter
from .. import systemd
from ..metrics import Metrics
from ..settings import StationSettings
from ..status_server import StatusServer
from .outcome_reports import OutcomeReports
from .schedule import Schedules
from .signed_reports import SignedReports

TICK_SECONDS = 1.0
RETRY_SECONDS = 3600.0  # then what serves at a start is looked for again: somebody may have put the files right

log = logging.getLogger(__name__)


@dataclass
class WithoutModel:
    """Tells every sink that none of the `cameras` is watched, because of `problem`."""

    settings: StationSettings
    cameras: Sequence[str]
    notifier: Notifier
    schedule: Schedules
    problem: str

    def __post_init__(self) -> None:
        station = self.settings.station
        self._reporter, self._clock, self._metrics = Reporter(station.name, None), Clock(), Metrics()
        self._reports = SignedReports(station.state_dir, station.name)
        self._status = {name: camera_status(Cause.MODEL, self.problem) for name in self.cameras}
        self._began = time.monotonic()

    def run(self, stop: threading.Event) -> bool:
        """Report until `stop`, or until there may be a model; UnavailableError where the status port is taken.

        Return whether an hour has passed: then what failed may be tried again, since power cuts look the same.
        """
        station = self.settings.station
        log.error("no camera is watched: %s", self.problem)
        selector = SampleSelector(self.settings.samples)
        tell = OutcomeReports(AlarmRules({}, self._reporter, self.notifier.spool, self._clock, selector), self._metrics)
        self._metrics.watch(self.notifier.outbox, self.notifier.spool, self.notifier.troubles)
        ledger = LedgerWriter(station.state_dir, station.name, self.cameras, station.report_at)
        server = StatusServer(self.settings.http, self._metrics)
        server.start({}, self._state)
        try:
            ledger.open(self._began)
            self.notifier.start()
            for name, status in self._status.items():
                self.notifier.set_camera(name, status)
            systemd.notify(systemd.READY)
            while not stop.wait(TICK_SECONDS):
                now, state = time.monotonic(), load(station.state_dir)
                if state.stage in HANDED_OVER or now - self._began > RETRY_SECONDS:
                    break
                tell(state)
                self.schedule.tick(now, busy=False)
                ledger.note(dict.fromkeys(self.cameras, (Cause.MODEL, self._began)), now)
                ledger.tick(now)
                for name in self.cameras:
                    self._metrics.blind_seconds.labels(name, Cause.MODEL.value).inc(TICK_SECONDS)
                self.notifier.tick(now, self._heartbeat)
                systemd.notify(systemd.ALIVE, f"STATUS=watching 0 of {len(self.cameras)} cameras: no model can serve")
        finally:
            self.schedule.stop()
            server.stop()
            ledger.close(time.monotonic())
        return time.monotonic() - self._began > RETRY_SECONDS

    def _update(self) -> dict[str, Any]:
        return {"slot": "", **load(self.settings.station.state_dir).summary()}

    def _state(self) -> dict[str, Any]:
        """Return what /status answers."""
        about = {"station": self.settings.station.name, "cameras": self._status, "model": None}
        return {**about, "disk": self.notifier.spool.trouble, "update": self._update()}

    def _heartbeat(self) -> Record:
        update = self._update()
        state = {
            "uptime_seconds": round(time.monotonic() - self._began),
            "engine": "none",
            "cameras": self._status,
            **{"update": update, **self._reports.for_heartbeat(NO_MODEL, update)},
        }
        return self._reporter.heartbeat(state, self._clock.read())
