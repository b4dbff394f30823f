"""Votes turn verdicts on single frames into alarms: N of M, hysteresis and cool-down. Pure; time is passed in.

One `Votes` serves one camera. A frame that was not evaluated is never added: it neither supports an alarm nor ends
one, so a blind camera cannot clear a fault.
"""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..bundle.decision import Decision, DecisionRule
from ..bundle.errors import InputError

MAX_WINDOW = 1000  # frames


@dataclass(frozen=True)
class VoteRule:
    """An alarm is raised by `needed` votes among the last `window` evaluated frames.

    It ends when `release` or fewer of them are left, and is then not raised again before `cooldown` seconds have passed
    since it was raised. Votes older than `max_age` seconds are forgotten, so frames on the two sides of a long blind
    time do not add up.
    """

    needed: int = 2
    window: int = 3
    release: int = 0
    cooldown: float = 600.0
    max_age: float = 120.0

    def __post_init__(self) -> None:
        if not 1 <= self.needed <= self.window <= MAX_WINDOW:
            raise InputError(
                f"votes: needed is {self.needed} and window {self.window}, "
                f"expected 1 <= needed <= window <= {MAX_WINDOW}"
            )
        if not 0 <= self.release < self.needed:
            raise InputError(
                f"votes: release is {self.release}, expected 0 or more and fewer than needed ({self.needed})"
            )
        if not 0 <= self.cooldown < math.inf:
            raise InputError(f"votes: cooldown is {self.cooldown!r}, expected a number of seconds from 0")
        if not 0 < self.max_age < math.inf:
            raise InputError(f"votes: max_age is {self.max_age!r}, expected a number of seconds above 0")


@dataclass(frozen=True)
class Change:
    """An alarm begins (`raised`) or ends. `votes` of the last `of` evaluated frames are for `label`."""

    label: str
    raised: bool
    votes: int
    of: int
    needed: int

    def to_json(self) -> dict[str, int]:
        """Return the `votes` of an event."""
        return {"votes": self.votes, "of": self.of, "needed": self.needed}


class Votes:
    """The votes of one camera on every fault label."""

    def __init__(self, rule: VoteRule, fault_labels: tuple[str, ...]) -> None:
        self._rule = rule
        self._labels = fault_labels
        self._frames: deque[tuple[float, frozenset[str]]] = deque(maxlen=rule.window)
        self._raised_at: dict[str, float] = {}  # monotonic seconds of the last time
        self._standing: set[str] = set()

    @property
    def standing(self) -> frozenset[str]:
        """Labels whose alarm has been raised and has not ended."""
        return frozenset(self._standing)

    def add(self, decision: Decision, now: float) -> tuple[Change, ...]:
        """Count one frame at `now` (monotonic seconds); return what begins or ends, in the order of the fault labels.

        Two labels that both reach their thresholds both get a vote.
        """
        self._frames.append((now, frozenset(decision.flagged)))
        while now - self._frames[0][0] > self._rule.max_age:
            self._frames.popleft()
        changes = (self._change(label, now) for label in self._labels)
        return tuple(change for change in changes if change is not None)

    def _change(self, label: str, now: float) -> Change | None:
        count = sum(label in flagged for _, flagged in self._frames)
        if label in self._standing:
            if count > self._rule.release:
                return None
            self._standing.remove(label)
            return Change(label, False, count, len(self._frames), self._rule.needed)
        if count < self._rule.needed or label not in self._frames[-1][1] or self._cooling(label, now):
            return None
        self._standing.add(label)
        self._raised_at[label] = now
        return Change(label, True, count, len(self._frames), self._rule.needed)

    def _cooling(self, label: str, now: float) -> bool:
        return now - self._raised_at.get(label, -math.inf) < self._rule.cooldown


@dataclass(frozen=True)
class CameraRule:
    """How one camera decides: the bundle's rule with this camera's thresholds, and its votes."""

    decision: DecisionRule
    votes: VoteRule


def camera_rule(bundle: DecisionRule, votes: VoteRule, thresholds: Mapping[str, float]) -> CameraRule:
    """Return the bundle's rule with `thresholds` (label -> 0..1) in the place of its own, together with `votes`.

    InputError for a label that has no threshold to override, or a threshold that is none.
    """
    if strange := [label for label in thresholds if label not in bundle.fault_labels]:
        raise InputError(
            f"there is a threshold for {strange[0]!r}, which is no fault of this bundle; "
            f"its faults are {', '.join(bundle.fault_labels)}"
        )
    return CameraRule(replace(bundle, thresholds={**bundle.thresholds, **thresholds}), votes)
