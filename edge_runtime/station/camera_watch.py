"""Judges the frames of the cameras, and reports the state of each camera to ledger, metrics, sinks and log."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..alerts.alarm_rules import AlarmRules
from ..alerts.events import JudgedView, camera_status
from ..alerts.notifier import Notifier
from ..alerts.votes import CameraRule, Change
from ..bundle.errors import UnavailableError
from ..bundle.preprocess import Frame
from ..bundle.store import Bundle
from ..cameras.camera import CameraState, CapturedFrame
from ..cameras.settings import CameraPlan
from ..causes import Cause
from ..clock import instant, iso
from ..inference.evaluator import Evaluation, Evaluator
from ..watchlog.ledger_writer import LedgerWriter
from ..watchlog.watch_state import WatchState
from .attention.reader import AttentionReader
from .metrics import Metrics

log = logging.getLogger(__name__)


@dataclass
class CameraWatch:
    """Judges frames and reports states; one thread calls it."""

    plans: Sequence[CameraPlan]
    evaluator: Evaluator
    alarm_rules: AlarmRules
    ledger: LedgerWriter
    notifier: Notifier
    metrics: Metrics
    attention: AttentionReader
    # Each is told of the views of cameras that were judged together, and of the number of alarms that they raised.
    on_judged: list[Callable[[Sequence[JudgedView], int], None]] = field(default_factory=list)
    # Told why the engine fails; returns whether another model has taken over, which is then shown the same frames.
    on_failure: Callable[[UnavailableError], bool] = lambda error: False
    # Told of another bundle and its rules before the first frame is judged by them.
    on_take_over: Callable[[Bundle, Mapping[str, CameraRule]], None] = lambda bundle, rules: None
    # Returns the views that have left the range they had, as /status and heartbeat hold them.
    drift: Callable[[], list[dict[str, Any]]] = list

    def __post_init__(self) -> None:
        self._problems = {plan.name: plan.problem for plan in self.plans}
        self._watch_state = WatchState({plan.name: plan.least_rate for plan in self.plans})
        self._since: dict[str, float] = {}  # monotonic seconds since when a camera is not watched
        self._told: dict[str, dict[str, str]] = {}  # the status that was last reported, by camera
        self._skipped: dict[str, int] = {}

    @property
    def watched(self) -> int:
        """The number of cameras that are watched now."""
        return len(self._told.keys() - self._since.keys())

    def statuses(self) -> dict[str, dict[str, str]]:
        """Return the status of each camera as topics and heartbeats hold it."""
        return {name: dict(status) for name, status in dict(self._told).items()}

    def since(self) -> dict[str, str]:
        """Return by camera since when it is not watched (ISO 8601, UTC); a camera that is watched is left out."""
        return {name: iso(instant(since).wall) for name, since in self._since.items()}

    def judge(self, frames: Sequence[CapturedFrame]) -> tuple[set[str], set[str]]:
        """Judge `frames` in one call of the engine.

        Return the cameras that test frames belong to, and those of them whose test alarm was raised.
        """
        parts = [(frame, region, image) for frame in frames for region, image in frame.views()]
        try:
            evaluations = self._evaluate(parts)
        except UnavailableError as error:
            if not self.on_failure(error):
                raise
            evaluations = self._evaluate(parts)
        views = [
            JudgedView(frame.camera, image, evaluation, frame.captured, region, frame.test)
            for (frame, region, image), evaluation in zip(parts, evaluations, strict=True)
        ]
        raised, alarms = set(), 0
        for view in views:
            if view.evaluation.cause is Cause.MODEL:
                log.error("no verdict on frames of %s: %s", view.camera, view.evaluation.reason)
            for change in self.alarm_rules.add(view):
                self._report_alarm(view, change)
                if change.raised and view.test:
                    raised.add(view.camera)
                alarms += change.raised and not view.test
        seen = [view for view in views if not view.test]
        self._note_verdicts(seen)
        for tell in self.on_judged:
            tell(seen, alarms)
        return {view.camera for view in views if view.test}, raised

    def _evaluate(self, parts: Sequence[tuple[CapturedFrame, str, Frame]]) -> list[Evaluation]:
        return self.evaluator.evaluate_all([(image, self.alarm_rules.rule(f.camera)) for f, _, image in parts])

    def take_over(self, evaluator: Evaluator, rules: Mapping[str, CameraRule]) -> None:
        """Judge by another model from the next frame on; votes go on."""
        self.evaluator = evaluator
        self.alarm_rules.take_over(rules)
        self.alarm_rules.reporter.take_over(evaluator.bundle)
        self.metrics.set_model(**evaluator.bundle.identity())
        self.on_take_over(evaluator.bundle, rules)

    def _report_alarm(self, view: JudgedView, change: Change) -> None:
        fields = {"camera": view.camera, "region": view.region, "label": change.label, "test": view.test}
        what = f"{'test ' * view.test}alarm {'raised' if change.raised else 'ended'}"
        log.warning("%s: %s at %s", what, change.label, view.camera, extra={"fields": fields})
        if change.raised and not view.test:
            self.metrics.events.labels(view.camera, change.label).inc()

    def _note_verdicts(self, views: Sequence[JudgedView]) -> None:
        """Note for each camera that its frame was judged in all its parts, or why not."""
        unfit = {view.camera: view.evaluation.cause for view in views if view.evaluation.cause is not None}
        for view in views:
            if view.evaluation.infer_ms is not None:
                self.metrics.infer_seconds.observe(view.evaluation.infer_ms / 1000)
        for camera, captured in {view.camera: view.captured for view in views}.items():
            if camera in unfit:
                self._watch_state.unfit(camera, unfit[camera])
            else:
                self._watch_state.judged(camera, captured)
                self.metrics.verdict_seconds.observe(time.monotonic() - captured)
                self.metrics.frames_evaluated.labels(camera).inc()

    def note(self, states: Mapping[str, CameraState], now: float, elapsed: float) -> None:
        """Report how each camera does `now` (monotonic seconds), `elapsed` seconds after the last call."""
        maintained = self.attention.tick(instant(now)).maintenance
        self._watch_state.maintain([name for name in states if name in maintained], now)
        blind = {name: self._watch_state.blind(name, s.cause, s.since, now) for name, s in states.items()}
        self.ledger.note(blind, now)
        self._since = {name: since for name, (cause, since) in blind.items() if cause is not None}
        for name, (cause, _) in blind.items():
            if cause is Cause.MAINTENANCE:
                self.metrics.maintenance_seconds.labels(name).inc(elapsed)
            elif cause is not None:
                self.metrics.blind_seconds.labels(name, cause.value).inc(elapsed)
            if (status := self._status(name, cause)) != self._told.get(name):
                self._told[name] = status
                self._report_change(name, cause, status)
        for name, state in states.items():
            self.metrics.frames_dropped.labels(name).inc(state.skipped - self._skipped.get(name, 0))
            self._skipped[name] = state.skipped
        self.ledger.tick(now)

    def _report_change(self, camera: str, cause: Cause | None, status: Mapping[str, str]) -> None:
        self.notifier.set_camera(camera, status)
        if cause is None:
            log.info("%s is watched", camera, extra={"fields": {"camera": camera}})
        elif cause is Cause.MAINTENANCE:
            fields = {"camera": camera, **status}
            log.info("%s is under maintenance until %s", camera, status["until"], extra={"fields": fields})
        else:
            fields, why = {"camera": camera, "cause": cause.value}, self._problems[camera] or cause.advice
            log.warning("%s is not watched (%s): %s", camera, cause.value, why, extra={"fields": fields})

    def _status(self, camera: str, cause: Cause | None) -> dict[str, str]:
        if cause is Cause.MAINTENANCE:
            return camera_status(cause, until_by=self.attention.current.maintenance[camera].to_json())
        return camera_status(cause, self._problems[camera])
