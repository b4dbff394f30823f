"""From evaluated frames to records: votes raise alarms, hard examples are kept, test frames go their own way."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..bundle.decision import DecisionRule
from ..clock import Clock
from ..inference.evaluator import Evaluation
from .events import Reporter, Sight, View
from .outbox_spool import OutboxSpool
from .sample_selection import SampleSelector
from .votes import CameraRule, Change, Votes


@dataclass
class _Desk:
    """One view of one camera: its votes, and the votes of test frames, which never touch the others."""

    votes: Votes
    test_votes: Votes


class AlarmRules:
    """Takes every frame that was looked at, of all cameras, from one thread."""

    def __init__(
        self,
        rules: Mapping[str, CameraRule],
        reporter: Reporter,
        recorder: OutboxSpool,
        clock: Clock,
        hard_examples: SampleSelector,
    ) -> None:
        self._rules = rules
        self._desks: dict[tuple[str, str], _Desk] = {}
        self._reporter, self._recorder, self._clock = reporter, recorder, clock
        self._hard_examples = hard_examples

    def rule(self, camera: str) -> DecisionRule:
        """What the evaluator should decide by for this camera."""
        return self._rules[camera].decision

    def standing(self, camera: str, region: str = "") -> frozenset[str]:
        """Labels of the alarms that have not ended."""
        return self._desk(camera, region).votes.standing

    def see(self, view: View, evaluation: Evaluation, now: float) -> tuple[Change, ...]:
        """Count `evaluation` of `view` at `now` (monotonic seconds), record what follows from it, and return that.

        A view that was not evaluated is no vote. A test raises alarms marked as tests, and is never a sample.
        """
        desk = self._desk(view.camera, view.region)
        decision = evaluation.decision
        if decision is None:
            return ()
        changes = (desk.test_votes if view.test else desk.votes).add(decision, now)
        sight = Sight(view, decision, self.rule(view.camera), evaluation.cams)
        for change in changes:
            if change.raised:
                self._recorder.record(self._reporter.alarm(sight, change, self._clock.read()))
        if not view.test:
            self._keep_if_hard(sight, desk, now)
        return changes

    def end_test(self, camera: str) -> None:
        """Forget the votes of test frames, so that the next test alarm begins anew."""
        self._desk(camera, "").test_votes = self._votes(camera)

    def _keep_if_hard(self, sight: Sight, desk: _Desk, now: float) -> None:
        standing = desk.votes.standing
        reason = self._hard_examples.reason(sight.view.camera, sight.decision, sight.rule, standing, now)
        if reason is not None:
            self._recorder.record(self._reporter.sample(sight, reason, self._clock.read()))

    def _desk(self, camera: str, region: str) -> _Desk:
        if (camera, region) not in self._desks:
            self._desks[camera, region] = _Desk(self._votes(camera), self._votes(camera))
        return self._desks[camera, region]

    def _votes(self, camera: str) -> Votes:
        return Votes(self._rules[camera].votes, self.rule(camera).fault_labels)
