"""Shadow: before it may serve, a candidate sees a share of the frames, and its answers are compared and count nothing.

It runs in a thread of its own and is offered the next frame only when it has done with the one before, so that a slow
candidate delays no verdict of the serving model.
"""

import queue
import threading
from collections.abc import Sequence

from ...alerts.events import JudgedView
from ...bundle.decision import Decision, Rule
from ...bundle.errors import RarefaultError
from ...updates.errors import Reason
from ...updates.settings import UpdatesSection
from .model_switch import LoadedModel
from .probation import Finding


class Shadow:
    """Compares `candidate` with the serving model on live frames, from `start` to `stop`; one thread calls it."""

    def __init__(self, candidate: LoadedModel, section: UpdatesSection) -> None:
        self._candidate, self._section = candidate, section
        self._views: queue.Queue[JudgedView | None] = queue.Queue(maxsize=1)
        self._due = 0.0  # grows with every view by the share; at one the next is offered
        self._thread = threading.Thread(target=self._work, name="shadow", daemon=True)
        self._trouble = ""  # why the candidate has no answer
        self.seen = 0  # views that both models judged
        self.differing = 0  # of them: those that the candidate tells otherwise

    def start(self) -> None:
        """Compare what is offered from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Compare no more; the view at hand is not waited for."""
        while True:
            try:
                return self._views.put_nowait(None)
            except queue.Full:
                self._views.get_nowait()

    def offer(self, views: Sequence[JudgedView]) -> None:
        """Show the candidate its share of the `views` that the serving model has a decision on."""
        for view in views:
            if view.evaluation.decision is None:
                continue
            self._due = min(self._due + self._section.shadow_share, 1.0)
            if self._due >= 1.0 and self._views.empty():
                self._due -= 1.0
                self._views.put_nowait(view)

    @property
    def done(self) -> bool:
        """Whether enough frames were compared, or the candidate has failed."""
        return self.seen >= self._section.shadow_frames or self.failure is not None

    @property
    def failure(self) -> Finding | None:
        """Return why the candidate may not serve, None where nothing was found yet."""
        if self._trouble:
            return Finding(Reason.SHADOW, f"beside the serving model, the candidate gave no verdict: {self._trouble}")
        if self.differing > self._section.most_disagreement * self._section.shadow_frames:
            return Finding(Reason.SHADOW, f"{self.summary}, at most {self._section.most_disagreement:.0%} may be")
        return None

    @property
    def summary(self) -> str:
        """How far the comparison has come, in words."""
        wanted = self._section.shadow_frames
        return f"{self.differing} of {self.seen} frames told otherwise than by the serving model ({wanted} wanted)"

    def _work(self) -> None:
        while not self.done and (view := self._views.get()) is not None:
            rule = self._candidate.rules[view.camera].decision
            try:
                evaluation = self._candidate.evaluator.evaluate(view.image, rule)
            except RarefaultError as error:
                self._trouble = str(error)
                return
            if evaluation.decision is not None and view.evaluation.decision is not None:
                told = _faults(view.evaluation.decision, view.evaluation.rule)
                self.differing += _faults(evaluation.decision, rule) != told
                self.seen += 1


def _faults(decision: Decision, rule: Rule) -> set[str]:
    """Return the kinds of faults that are flagged."""
    return {rule.kind(label) for label in decision.flagged}
