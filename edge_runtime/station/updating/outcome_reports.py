"""Tells what became of updates: as events, which go to every sink, and in the metrics."""

import time
import uuid

from ...alerts.alarm_rules import AlarmRules
from ...alerts.events import ALARM
from ...alerts.outbox import Outbox
from ...clock import iso
from ...updates.state import Outcome, UpdateState
from ..metrics import Metrics

DAY = 86400.0  # seconds
MOST_ALARMS = 1000  # that are looked at
NAMESPACE = uuid.UUID("5f0c2e0e-4a6b-4f0e-9d3a-6f5f6a1d2b7c")  # of the ids of update events


class OutcomeReports:
    """Records an event for every outcome of an update; each has one id for ever, so none is told twice."""

    def __init__(self, alarm_rules: AlarmRules, metrics: Metrics) -> None:
        self._alarm_rules, self._metrics = alarm_rules, metrics
        self._told: set[str] = set()
        self._shown: UpdateState | None = None

    def __call__(self, state: UpdateState) -> None:
        """Tell what is new in `state`. What the disk does not take is tried again with the next call."""
        if state is not self._shown:
            self._shown = state
            self._metrics.set_update(state.stage.value, state.release.number if state.release else None, state.reason)
        for place, outcome in reversed(list(enumerate(state.history))):
            self._tell(outcome, state.detail if place == 0 and outcome.stage is state.stage else "")

    def _tell(self, outcome: Outcome, detail: str) -> None:
        reporter, clock = self._alarm_rules.reporter, self._alarm_rules.clock
        identity = str(
            uuid.uuid5(NAMESPACE, f"{reporter.station} {outcome.time} {outcome.stage.value} {outcome.bundle}")
        )
        if identity in self._told:
            return
        content = {
            "release": outcome.release,
            "bundle": outcome.bundle,
            "outcome": outcome.stage.value,
            "reason": outcome.reason,
            "detail": detail,
            "ended": outcome.time,
        }
        if self._alarm_rules.spool.record(reporter.update(content, clock.read(), identity)):
            self._told.add(identity)


def alarms_of_the_last_day(outbox: Outbox) -> int:
    """Count the alarms, without tests, that were recorded in the last 24 hours by the wall clock."""
    since = iso(time.time() - DAY)
    documents = (entry.document for entry in outbox.recent(ALARM, MOST_ALARMS))
    return sum(
        not document["test"] and (document.get("recorded") or document["time"]) >= since for document in documents
    )
