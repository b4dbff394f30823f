"""The station loop: newest frames in, verdicts and records out, and every second a look at everything else.

One thread does it all, so nothing here is ever queued: a frame that comes while the engine is busy is replaced by a
newer one and counted. Cameras have processes, sinks have threads; what dies is replaced, or the whole service ends and
systemd starts it again.
"""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import cv2

from ..alerts.alarm_rules import AlarmRules
from ..alerts.events import Reporter, View
from ..alerts.notifier import Notifier
from ..alerts.sample_selection import SampleSelector
from ..alerts.votes import Change
from ..bundle.errors import InputError, UnavailableError
from ..bundle.store import open_bundle
from ..cameras.camera import CameraState, CapturedFrame
from ..cameras.camera_group import CameraGroup
from ..cameras.settings import CameraPlan, plan_cameras
from ..causes import Cause
from ..clock import Clock
from ..inference.blank_check import blank_cause
from ..inference.engines import open_engine
from ..inference.evaluator import Evaluator
from ..logs import log_to_stderr
from ..watchlog.ledger_writer import LedgerWriter
from ..watchlog.watch_state import WatchState
from . import systemd
from .metrics import Metrics, StatusServer
from .restart_budget import RestartBudget
from .self_test import FaultPictures, Schedule, frames_for, take_requests
from .settings import StationSettings, current_bundle

WAIT_SECONDS = 0.25  # for a frame; a stop is noticed within
TICK_SECONDS = 1.0
STUCK_SECONDS = 20.0  # without a tick: /healthz says so
BATCH = {"tensorrt": 16, "cuda": 16}  # frames in one call of the engine; on processors one at a time is as fast

log = logging.getLogger(__name__)


def serve(settings: StationSettings, stop: threading.Event) -> None:
    """Run a station until `stop`. RarefaultError says what is missing, or what only a restart may mend."""
    log_to_stderr(())
    cv2.setNumThreads(1)  # the engine and the cameras need the cores
    voice = Notifier(settings)
    try:
        plans = plan_cameras(settings.camera)
        for plan in plans:
            if plan.problem:
                log.error("camera %s is left out: %s", plan.name, plan.problem)
        log_to_stderr(secret for plan in plans if plan.address for secret in plan.address.secrets)
        station = settings.station
        bundle = open_bundle(current_bundle(station))
        opened = open_engine(bundle, station.engine, station.precision, callers=1, threads=station.cores)
        for reason in opened.skipped:
            log.info("passed over %s", reason)
        service = Service(settings, voice, Evaluator(bundle, opened.engine), plans)
        service.run(stop)
    finally:
        voice.stop()
        log.info("stopped")


class Service:
    """A station at work. Cameras whose plan has a problem are told as blind, and the others watched all the same."""

    def __init__(
        self,
        settings: StationSettings,
        voice: Notifier,
        evaluator: Evaluator,
        plans: Sequence[CameraPlan],
    ) -> None:
        """InputError where the settings do not fit the bundle; UnavailableError where the status port is taken."""
        manifest, digest = evaluator.bundle.manifest, evaluator.bundle.digest
        self._settings, self._voice, self._evaluator = settings, voice, evaluator
        self._plans = plans
        self._clock, self._started = Clock(), time.monotonic()
        self._ticked = self._started
        names = [camera.name for camera in settings.camera]
        rule = manifest.rule(evaluator.engine.precision)
        self._rules = {name: settings.rule(name, rule) for name in names}
        self._reporter = Reporter(settings.station.name, evaluator.bundle)
        self._decider = AlarmRules(
            self._rules, self._reporter, voice.recorder, self._clock, SampleSelector(settings.samples)
        )
        self._ledger = LedgerWriter(settings.station, names, self._started)
        self._attendance = WatchState({plan.name: plan.settings.floor_rate for plan in plans})
        self._faults = FaultPictures(evaluator.bundle)
        self._schedule = Schedule(names, settings.station.test_alarm_hours * 3600, self._started)
        self._budget = RestartBudget([plan.name for plan in plans if plan.address])
        self._causes: dict[str, Cause | None] = {}
        self._skipped: dict[str, int] = {}
        self.metrics = Metrics()
        self.metrics.set_model(manifest.name, manifest.version, digest)
        self.metrics.watch(voice.outbox, voice.recorder, voice.troubles)
        self._server = StatusServer(settings.http, self.metrics, {"loop": self._stuck, "senders": self._silent})
        log.info(
            "%s %s (%s) on %s %s",
            *(manifest.name, manifest.version, digest[:12], evaluator.engine.name, evaluator.engine.precision),
        )

    @property
    def status_port(self) -> int:
        """Where /healthz and /metrics are."""
        return self._server.port

    def run(self, stop: threading.Event) -> None:
        """Watch until `stop`; UnavailableError where a part is beyond repair."""
        self._server.start()
        self._voice.start()
        try:
            with CameraGroup(self._plans) as cameras:
                systemd.notify(systemd.READY)
                log.info(
                    "watching %d cameras, status on port %d",
                    sum(plan.address is not None for plan in self._plans),
                    self.status_port,
                )
                self._tick(cameras, time.monotonic())  # until its first frame a camera is blind
                while not stop.is_set():
                    self.step(cameras)
        finally:
            systemd.notify(systemd.STOPPING)
            self._server.stop()
            self._ledger.close(time.monotonic())

    def step(self, cameras: CameraGroup) -> None:
        """Judge what is due, and tick when it is time."""
        if sightings := cameras.newest(WAIT_SECONDS, BATCH.get(self._evaluator.engine.name, 1)):
            self._judge(sightings)
        now = time.monotonic()
        if now - self._ticked >= TICK_SECONDS:
            self._tick(cameras, now)

    def _judge(self, sightings: list[CapturedFrame]) -> None:
        seen = [(sighting, region, part) for sighting in sightings for region, part in sighting.views()]
        views = [View(sighting.camera, part, region, sighting.test) for sighting, region, part in seen]
        unfit: dict[str, Cause] = {}
        raised: set[str] = set()
        try:
            evaluations = self._evaluator.evaluate_all([(v.frame, self._decider.rule(v.camera)) for v in views])
        except InputError as error:  # the model's answer is unusable; that to the next frame may be better
            log.error("no verdict on frames of %s: %s", ", ".join(sorted({v.camera for v in views})), error)
            evaluations, unfit = [], {view.camera: Cause.MODEL for view in views}
        for (sighting, _, _), view, evaluation in zip(seen, views, evaluations, strict=False):
            if (cause := blank_cause(evaluation.health)) is not None:
                unfit[view.camera] = cause
                continue
            changes = self._decider.see(view, evaluation, sighting.captured)
            self.metrics.infer_seconds.observe((evaluation.infer_ms or 0.0) / 1000)
            self._tell(view, changes)
            raised |= {view.camera for change in changes if change.raised and view.test}
        self._attend(sightings, unfit)
        for camera in {sighting.camera for sighting in sightings if sighting.test} - raised:
            log.error("the test alarm of %s was NOT raised; run `edge-station check`", camera)
            self.metrics.test_alarms.labels(camera, "failed").inc()

    def _tell(self, view: View, changes: tuple[Change, ...]) -> None:
        for change in changes:
            fields = {"camera": view.camera, "region": view.region, "label": change.label, "test": view.test}
            what = f"{'test ' * view.test}alarm {'raised' if change.raised else 'ended'}"
            log.warning("%s: %s at %s", what, change.label, view.camera, extra={"fields": fields})
            if change.raised and view.test:
                self.metrics.test_alarms.labels(view.camera, "raised").inc()
            elif change.raised:
                self.metrics.events.labels(view.camera, change.label).inc()

    def _attend(self, sightings: list[CapturedFrame], unfit: Mapping[str, Cause]) -> None:
        for seen in sightings:
            if seen.test:
                continue
            if seen.camera in unfit:
                self._attendance.unfit(seen.camera, unfit[seen.camera])
            else:
                self._attendance.judged(seen.camera, seen.captured)
                self.metrics.frames_evaluated.labels(seen.camera).inc()

    def _tick(self, cameras: CameraGroup, now: float) -> None:
        elapsed, self._ticked = now - self._ticked, now
        self._clock.read()
        states = cameras.states()
        blind = {name: self._attendance.blind(state, now) for name, state in states.items()}
        self._ledger.note(blind, now)
        for name, (cause, _) in blind.items():
            self._note(name, cause, elapsed)
        for state in states.values():
            self._count_skipped(state)
        self._ledger.tick(now)
        self._test(cameras, now)
        self._voice.tick(now, self._reporter, self._clock, self._state)
        if trouble := self._silent():
            raise UnavailableError(f"{trouble}, which only a restart mends; report this with the log")
        if self._budget.spent({p.name: states[p.name].restarts for p in self._plans if p.address}, now):
            raise UnavailableError("the processes of all cameras die again and again; see the log for their causes")
        watched = sum(cause is None for cause in self._causes.values())
        systemd.notify(systemd.ALIVE, f"STATUS=watching {watched} of {len(self._settings.camera)} cameras")

    def _note(self, camera: str, cause: Cause | None, elapsed: float) -> None:
        """Tell everybody who wants to know how a camera does; those who want news only where it is new."""
        if cause is not None:
            self.metrics.blind_seconds.labels(camera, cause.value).inc(elapsed)
        if camera in self._causes and self._causes[camera] is cause:
            return
        self._causes[camera] = cause
        self._voice.set_camera(camera, *_status(cause))
        if cause is None:
            log.info("%s is watched", camera, extra={"fields": {"camera": camera}})
        else:
            fields = {"camera": camera, "cause": cause.value}
            log.warning("%s is not watched (%s): %s", camera, cause.value, cause.advice, extra={"fields": fields})

    def _count_skipped(self, state: CameraState) -> None:
        self.metrics.frames_dropped.labels(state.camera).inc(state.skipped - self._skipped.get(state.camera, 0))
        self._skipped[state.camera] = state.skipped

    def _test(self, cameras: CameraGroup, now: float) -> None:
        """Show a known fault to the cameras whose test was asked for, or is due."""
        due = self._schedule.due(now)
        for camera in [*take_requests(self._settings.station.state_dir), *([due] if due else [])]:
            try:
                frames = frames_for(self._faults, self._rules, camera)
                self._decider.end_test(camera)
                for frame in frames:
                    cameras.inject(camera, frame)
            except InputError as error:
                log.error("no test alarm at %s: %s", camera, error)
                self.metrics.test_alarms.labels(camera, "failed").inc()

    def _state(self) -> Mapping[str, Any]:
        """What a heartbeat says."""
        statuses = {name: _status(cause) for name, cause in self._causes.items()}
        engine = self._evaluator.engine
        return {
            "uptime_seconds": round(time.monotonic() - self._started),
            "engine": f"{engine.name} {engine.precision}",
            "cameras": {name: {"status": status, "cause": cause} for name, (status, cause) in statuses.items()},
        }

    def _stuck(self) -> str:
        idle = time.monotonic() - self._ticked
        return f"the loop has not moved for {idle:.0f} s" if idle > STUCK_SECONDS else ""

    def _silent(self) -> str:
        return "" if self._voice.alive else "a sender has died"


def _status(cause: Cause | None) -> tuple[str, str]:
    """(status, cause) as topics and heartbeats say it."""
    return ("online", "") if cause is None else (cause.status, cause.value)
