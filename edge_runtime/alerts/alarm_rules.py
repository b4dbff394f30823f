"""Alarm rules: votes on judged frames raise alarms, frames worth learning from are kept, test frames are kept apart."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..bundle.decision import Rule
from ..clock import Clock
from .events import JudgedView, Reporter
from .outbox_spool import OutboxSpool
from .sample_selection import SampleSelector
from .votes import CameraRule, Change, Votes


@dataclass
class AlarmRules:
    """Counts the judged views of all cameras, from one thread, and records the alarms and samples that follow."""

    rules: Mapping[str, CameraRule]  # by camera
    reporter: Reporter
    spool: OutboxSpool
    clock: Clock
    samples: SampleSelector
    # What an alarm or a sample of a label of a camera bears besides: by camera and label.
    marks: Callable[[str, str], Mapping[str, Any]] = lambda camera, label: {}
    # by camera, region and whether it is a test
    _votes: dict[tuple[str, str, bool], Votes] = field(default_factory=dict, init=False)

    def rule(self, camera: str) -> Rule:
        """Return what the evaluator should decide by for this camera."""
        return self.rules[camera].decision

    def add(self, view: JudgedView) -> tuple[Change, ...]:
        """Count `view` at the time of its capture, record what follows from it, and return the alarms that changed.

        A view without a decision is no vote. A test raises alarms that are marked as tests, and is never a sample.
        """
        decision = view.evaluation.decision
        if decision is None:
            return ()
        key = (view.camera, view.region, view.test)
        if key not in self._votes:
            self._votes[key] = Votes(self.rules[view.camera].votes, self.rule(view.camera))
        votes = self._votes[key]
        changes = votes.add(decision, view.captured)
        for change in changes:
            if change.raised:
                marks = self.marks(view.camera, change.label)
                self.spool.record(self.reporter.alarm(view, change, self.clock.read(view.captured), marks))
        if not view.test and (reason := self.samples.reason(view, votes.standing)) is not None:
            marks = self.marks(view.camera, decision.label)
            self.spool.record(self.reporter.sample(view, reason, self.clock.read(view.captured), marks))
        return changes

    def take_over(self, rules: Mapping[str, CameraRule]) -> None:
        """Go on by the `rules` of another bundle; votes and standing alarms are kept where it knows their faults."""
        self.rules = rules
        self._votes = {
            key: votes.taken_over(rules[key[0]].votes, rules[key[0]].decision)
            for key, votes in self._votes.items()
            if not key[2]
        }

    def end_test(self, camera: str) -> None:
        """Forget the votes of test frames, so that the next test alarm begins anew."""
        self._votes.pop((camera, "", True), None)
