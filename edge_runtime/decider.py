"""From evaluated frames to records: votes raise alarms, hard examples are kept, test frames go their own way."""

from collections.abc import Callable
from dataclasses import dataclass

from .bundle.decision import DecisionRule
from .bundle.preprocess import Frame
from .bundle.votes import CameraRule, Change, Votes
from .clock import Clock
from .evaluate import Evaluation
from .events import Reporter, Sight
from .hard_examples import HardExamples
from .recorder import Recorder


@dataclass
class _Desk:
    """One camera: its rule, its votes, and the votes of test frames, which never touch the others."""

    rule: CameraRule
    votes: Votes
    test_votes: Votes


class Decider:
    """Takes every frame that was looked at, of all cameras, from one thread."""

    def __init__(
        self,
        rules: dict[str, CameraRule],
        reporter: Reporter,
        recorder: Recorder,
        clock: Clock,
        hard_examples: HardExamples,
        on_change: Callable[[str, Change], None] = lambda camera, change: None,
    ) -> None:
        self._desks = {camera: _desk(rule) for camera, rule in rules.items()}
        self._reporter, self._recorder, self._clock = reporter, recorder, clock
        self._hard_examples, self._on_change = hard_examples, on_change

    def rule(self, camera: str) -> DecisionRule:
        """What the evaluator should decide by for this camera."""
        return self._desks[camera].rule.decision

    def standing(self, camera: str) -> frozenset[str]:
        """Labels of the camera's alarms that have not ended."""
        return self._desks[camera].votes.standing

    def see(self, camera: str, frame: Frame, evaluation: Evaluation, now: float, test: bool = False) -> None:
        """Count `evaluation` of `frame` at `now` (monotonic seconds), and record what follows from it.

        A frame that was not evaluated is no vote. A test frame raises alarms marked as tests, and is never a sample.
        """
        desk = self._desks[camera]
        decision = evaluation.decision
        changes = (desk.test_votes if test else desk.votes).add(decision, now)
        if decision is None:
            return
        sight = Sight(camera, frame, decision, desk.rule.decision, evaluation.cams, test)
        for change in changes:
            if change.raised:
                self._recorder.record(self._reporter.alarm(sight, change, self._clock.read()))
            if not test:
                self._on_change(camera, change)
        if not test:
            self._keep_if_hard(sight, desk, now)

    def end_test(self, camera: str) -> None:
        """Forget the votes of test frames, so that the next test alarm begins anew."""
        desk = self._desks[camera]
        desk.test_votes = Votes(desk.rule.votes, desk.rule.decision.fault_labels)

    def _keep_if_hard(self, sight: Sight, desk: _Desk, now: float) -> None:
        reason = self._hard_examples.reason(sight.camera, sight.decision, sight.rule, desk.votes.standing, now)
        if reason is not None:
            self._recorder.record(self._reporter.sample(sight, reason, self._clock.read()))


def _desk(rule: CameraRule) -> _Desk:
    labels = rule.decision.fault_labels
    return _Desk(rule, Votes(rule.votes, labels), Votes(rule.votes, labels))
