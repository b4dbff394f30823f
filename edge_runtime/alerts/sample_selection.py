"""Selects the frames that the central team would learn most from. Pure; time is passed in."""

import math
from collections import Counter

from ..bundle.decision import Decision, Rule
from .events import JudgedView
from .settings import SamplesSection

DISAGREEING, RARE, UNCERTAIN = "disagreeing", "rare", "uncertain"

SETTLED = 200  # frames of a camera before a label of it can be called rare
MEMORY = 100_000  # frames; then all counts are halved, so that last year does not outweigh this night


class SampleSelector:
    """Selects few of all evaluated views as samples."""

    def __init__(self, settings: SamplesSection) -> None:
        self._settings = settings
        self._seen: dict[str, Counter[str]] = {}  # by camera: frames per reported label
        self._picked_at: dict[tuple[str, str], float] = {}  # by camera and reason: monotonic seconds

    def reason(self, view: JudgedView, standing: frozenset[str]) -> str | None:
        """Return why the view is worth keeping, or None. Call it once for each view that was evaluated.

        Disagreeing: it flags a kind that has no alarm, or does not flag one that has (`standing`). Rare: its label is
        seldom reported by this camera. Uncertain: a fault is near its threshold. One per `interval`, camera and reason.
        """
        camera, evaluation = view.camera, view.evaluation
        if (decision := evaluation.decision) is None:
            return None
        rare = self._is_rare(camera, decision.label)
        reasons = (
            (DISAGREEING, {evaluation.rule.kind(label) for label in decision.flagged} != standing),
            (RARE, rare),
            (UNCERTAIN, self._is_uncertain(decision, evaluation.rule)),
        )
        for reason, holds in reasons:
            if holds and self._is_due(camera, reason, view.captured):
                self._picked_at[camera, reason] = view.captured
                return reason
        return None

    def _is_rare(self, camera: str, label: str) -> bool:
        seen = self._seen.setdefault(camera, Counter())
        seen[label] += 1
        total = seen.total()
        rare = total >= SETTLED and seen[label] < self._settings.rare_share * total
        if total >= MEMORY:
            self._seen[camera] = Counter({name: count // 2 for name, count in seen.items()})
        return rare

    def _is_uncertain(self, decision: Decision, rule: Rule) -> bool:
        margin = self._settings.uncertain_margin
        return any(abs(decision.chances[label] - rule.thresholds[label]) <= margin for label in rule.fault_labels)

    def _is_due(self, camera: str, reason: str, now: float) -> bool:
        return now - self._picked_at.get((camera, reason), -math.inf) >= self._settings.interval
