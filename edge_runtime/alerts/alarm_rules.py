"""Alarm rules: votes on judged frames raise alarms, frames worth learning from are kept, test frames are kept apart."""

from collections.abc import Mapping

from ..bundle.decision import DecisionRule
from ..clock import Clock
from .events import JudgedView, Reporter
from .outbox_spool import OutboxSpool
from .sample_selection import SampleSelector
from .votes import CameraRule, Change, Votes


class AlarmRules:
    """Counts the judged views of all cameras, from one thread, and records the alarms and samples that follow."""

    def __init__(
        self,
        rules: Mapping[str, CameraRule],
        reporter: Reporter,
        spool: OutboxSpool,
        clock: Clock,
        samples: SampleSelector,
    ) -> None:
        self._rules = rules
        self._votes: dict[tuple[str, str, bool], Votes] = {}  # by camera, region and whether it is a test
        self._reporter, self._spool, self._clock, self._samples = reporter, spool, clock, samples

    def rule(self, camera: str) -> DecisionRule:
        """Return what the evaluator should decide by for this camera."""
        return self._rules[camera].decision

    def add(self, view: JudgedView) -> tuple[Change, ...]:
        """Count `view` at the time of its capture, record what follows from it, and return the alarms that changed.

        A view without a decision is no vote. A test raises alarms that are marked as tests, and is never a sample.
        """
        decision = view.evaluation.decision
        if decision is None:
            return ()
        key = (view.camera, view.region, view.test)
        if key not in self._votes:
            self._votes[key] = Votes(self._rules[view.camera].votes, self.rule(view.camera).fault_labels)
        votes = self._votes[key]
        changes = votes.add(decision, view.captured)
        for change in changes:
            if change.raised:
                self._spool.record(self._reporter.alarm(view, change, self._clock.read(view.captured)))
        if not view.test:
            self._keep_if_hard(view, votes.standing)
        return changes

    def end_test(self, camera: str) -> None:
        """Forget the votes of test frames, so that the next test alarm begins anew."""
        self._votes.pop((camera, "", True), None)

    def _keep_if_hard(self, view: JudgedView, standing: frozenset[str]) -> None:
        if (reason := self._samples.reason(view, standing)) is not None:
            self._spool.record(self._reporter.sample(view, reason, self._clock.read(view.captured)))
