"""Probation: a new model serves and is watched for a while; what it does worse than the one before undoes the update.

Pure: frames and times are passed in. A crash of the service is counted elsewhere, by its starts (`UpdateState.boots`).
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from ...alerts.events import JudgedView
from ...causes import Cause
from ...updates.errors import Reason
from ...updates.proof import HARMLESS_MS
from ...updates.settings import UpdatesSection

LEAST_ALARMS = 3  # fewer say nothing about a rate
LEAST_VIEWS = 50  # of each model, before their shares and latencies are compared
LEAST_JUDGED = 10  # views with a verdict, before a model is kept: blind cameras say nothing about it
KEPT_TIMES = 500  # of inferences, the newest
# A model that flags nearly every view from its first one on, where the one before flagged few, sees faults everywhere.
FLAGGED_BEFORE, FLAGGED_NOW = 0.1, 0.9
DAY = 24.0  # hours


@dataclass(frozen=True)
class Finding:
    """Why a model may not serve: the `reason`, and in `detail` what was seen."""

    reason: Reason
    detail: str


@dataclass
class Measures:
    """What one model has done while it served."""

    views: int = 0  # that got a decision
    flagged: int = 0  # of them: with a fault
    alarms: int = 0
    infer_ms: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_TIMES))
    unusable: str = ""  # the first sentence about an answer that was no answer

    def add(self, views: Sequence[JudgedView], alarms: int) -> None:
        """Count `views` that were judged together, and the `alarms` that they raised."""
        self.alarms += alarms
        for evaluation in (view.evaluation for view in views):
            if evaluation.cause is Cause.MODEL:
                self.unusable = self.unusable or (evaluation.reason or "its answer cannot be used")
            if evaluation.decision is not None:
                self.views += 1
                self.flagged += bool(evaluation.decision.flagged)
            if evaluation.infer_ms is not None:
                self.infer_ms.append(evaluation.infer_ms)


class Probation:
    """Compares the new model, whose frames come by `measures.add`, with what was measured `before`.

    `daily_alarms` were raised in the day before the update; `began` is in monotonic seconds. After a restart in
    the middle nothing was measured `before`, and only what needs no comparison is found.
    """

    def __init__(self, section: UpdatesSection, before: Measures, daily_alarms: int, began: float) -> None:
        self.measures = Measures()
        self._section, self._before, self._daily_alarms, self._began = section, before, daily_alarms, began

    def over(self, now: float) -> bool:
        """Whether the time of probation has passed, and the model has judged enough in it."""
        return now - self._began >= self._section.probation_minutes * 60 and self.measures.views >= LEAST_JUDGED

    @property
    def summary(self) -> str:
        """What the end of the probation waits for besides its time, in words; empty where it does not."""
        views = self.measures.views
        return f"{views} of at least {LEAST_JUDGED} views are judged" if views < LEAST_JUDGED else ""

    @property
    def unusable(self) -> Finding | None:
        """Return what was wrong with an answer that was none, None where all could be used."""
        if not self.measures.unusable:
            return None
        return Finding(Reason.PROBATION_NAN, f"on a frame of this station, {self.measures.unusable}")

    def failure(self, now: float) -> Finding | None:
        """Return why the new model may serve no longer, None where nothing was found until `now`."""
        return self.unusable or self._too_many_alarms(now) or self._always_faulty() or self._too_slow()

    def _too_many_alarms(self, now: float) -> Finding | None:
        hours, alarms = (now - self._began) / 3600, self.measures.alarms
        expected = self._daily_alarms / DAY * hours
        if alarms < LEAST_ALARMS or alarms <= self._section.most_alarms * expected:
            return None
        detail = f"{alarms} alarms in {60 * hours:.0f} minutes, {self._daily_alarms} in the day before"
        return Finding(Reason.PROBATION_ALARMS, detail)

    def _always_faulty(self) -> Finding | None:
        before, now = self._before, self.measures
        if min(before.views, now.views) < LEAST_VIEWS:
            return None
        if before.flagged > FLAGGED_BEFORE * before.views or now.flagged < FLAGGED_NOW * now.views:
            return None
        detail = f"{now.flagged} of {now.views} frames show a fault to it, {before.flagged} of {before.views} before"
        return Finding(Reason.PROBATION_ALARMS, detail)

    def _too_slow(self) -> Finding | None:
        if min(len(self._before.infer_ms), len(self.measures.infer_ms)) < LEAST_VIEWS:
            return None
        before, now = median(self._before.infer_ms), median(self.measures.infer_ms)
        if now <= max(self._section.most_latency * before, HARMLESS_MS):
            return None
        return Finding(Reason.PROBATION_LATENCY, f"a frame takes {now:.1f} ms, {before:.1f} ms before")
