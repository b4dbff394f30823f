"""The station loop: newest frames in, verdicts and records out, and every second a look at everything else.

One thread does it all, so nothing here is ever queued: a frame that comes while the engine is busy is replaced by a
newer one and counted. Cameras have processes, sinks have threads; what dies is replaced, or the whole service ends and
systemd starts it again.
"""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..alerts.events import Record, Reporter
from ..alerts.notifier import Notifier
from ..bundle.errors import UnavailableError
from ..cameras.camera_group import CameraGroup
from ..child_process import RestartBudget
from ..clock import Clock
from . import systemd
from .camera_watch import CameraWatch
from .self_test import SelfTests
from .status_server import StatusServer
from .updating.live_updates import LiveUpdates

WAIT_SECONDS = 0.25  # for a frame; a stop is noticed within
TICK_SECONDS = 1.0
STUCK_SECONDS = 20.0  # without a tick: /healthz says so
BATCH = {"tensorrt": 16, "cuda": 16}  # frames in one call of the engine; on processors one at a time is as fast

log = logging.getLogger(__name__)


class Part(Protocol):
    """A part of the service that is looked after once a second, and ended with it."""

    def tick(self, now: float) -> None:
        """Do what is due at `now` (monotonic seconds)."""

    def stop(self) -> None:
        """End."""


@dataclass
class Service:
    """A station at work. `assemble` makes it; the parts that it holds are opened by `run`."""

    cameras: CameraGroup
    watch: CameraWatch
    self_tests: SelfTests
    restart_budget: RestartBudget
    notifier: Notifier
    reporter: Reporter
    clock: Clock
    server: StatusServer
    updates: LiveUpdates
    parts: Sequence[Part] = ()
    _started: float = field(default_factory=time.monotonic, init=False)
    _ticked: float = field(default_factory=time.monotonic, init=False)

    def run(self, stop: threading.Event) -> None:
        """Watch until `stop`; UnavailableError where the status port is taken or a part is beyond repair."""
        self.server.start({"loop": self._stuck, "senders": self._silent}, self._status)
        try:
            self.watch.ledger.open(self._started)
            self.notifier.start()
            with self.cameras:
                systemd.notify(systemd.READY)
                running = sum(plan.address is not None for plan in self.cameras.plans.values())
                log.info("watching %d cameras, status on port %d", running, self.server.port)
                self._tick(time.monotonic())  # until its first frame a camera is blind
                while not stop.is_set():
                    self.step()
                self.updates.note_clean_stop()
        finally:
            systemd.notify(systemd.STOPPING)
            self.updates.stop()
            for part in self.parts:
                part.stop()
            self.server.stop()
            self.watch.ledger.close(time.monotonic())

    def step(self) -> None:
        """Judge what is due, and tick when it is time."""
        if frames := self.cameras.newest(WAIT_SECONDS, BATCH.get(self.watch.evaluator.engine.name, 1)):
            self.self_tests.judged(*self.watch.judge(frames))
        now = time.monotonic()
        if now - self._ticked >= TICK_SECONDS:
            self._tick(now)

    def _tick(self, now: float) -> None:
        elapsed, self._ticked = now - self._ticked, now
        self.clock.read()
        states = self.cameras.states()
        self.watch.note(states, now, elapsed)
        self.self_tests.tick(self.cameras, now)
        self.updates.tick(now)
        for part in self.parts:
            part.tick(now)
        self.notifier.tick(now, self._heartbeat)
        if trouble := self._silent():
            raise UnavailableError(f"{trouble}, which only a restart mends; report this with the log")
        if self.restart_budget.spent({name: state.restarts for name, state in states.items()}, now):
            raise UnavailableError("the processes of all cameras die again and again; see the log for their causes")
        systemd.notify(systemd.ALIVE, f"STATUS=watching {self.watch.watched} of {len(states)} cameras")

    def _heartbeat(self) -> Record:
        engine = self.watch.evaluator.engine
        state = {
            "uptime_seconds": round(time.monotonic() - self._started),
            "engine": f"{engine.name} {engine.precision}",
            "cameras": self.watch.statuses(),
            "drift": self.watch.drift(),
            **self.updates.heartbeat(),
        }
        return self.reporter.heartbeat(state, self.clock.read())

    def _status(self) -> dict[str, Any]:
        disk = self.notifier.spool.trouble or self.watch.ledger.trouble
        return {
            "station": self.reporter.station,
            "cameras": self.watch.statuses(),
            "since": self.watch.since(),
            "drift": self.watch.drift(),
            "disk": disk,
            "model": self.updates.switch.serving.bundle.identity(),
            "update": self.updates.document(),
        }

    def _stuck(self) -> str:
        idle = time.monotonic() - self._ticked
        return f"the loop has not moved for {idle:.0f} s" if idle > STUCK_SECONDS else ""

    def _silent(self) -> str:
        return "" if self.notifier.alive else "a sender has died"
