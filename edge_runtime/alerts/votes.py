"""Votes turn verdicts on single frames into alarms: N of M, hysteresis and cool-down. Pure; time is passed in.

One `Votes` serves one camera. A frame that was not evaluated is never added: it neither supports an alarm nor ends
one, so a blind camera cannot clear a fault.
"""

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from ..bundle.decision import Decision, Rule
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
    """An alarm begins (`raised`) or ends: `votes` of the last `of` evaluated frames are for the label's kind of fault.

    The label is the name that most of these votes gave it.
    """

    label: str
    raised: bool
    votes: int
    of: int
    needed: int

    def to_json(self) -> dict[str, int]:
        """Return the `votes` of an event."""
        return {"votes": self.votes, "of": self.of, "needed": self.needed}


class Faults(Protocol):
    """The faults that votes are about; every `Rule` tells them."""

    @property
    def fault_labels(self) -> tuple[str, ...]:
        """The labels that count as faults."""

    def kind(self, label: str) -> str:
        """Return the kind of a fault label."""


class Votes:
    """The votes of one camera on every kind of fault.

    Labels of one kind are the same fault of other equipment. So votes count by kind: where the name of the equipment
    flickers from frame to frame, the fault is seen all the same. The alarm bears the label that most of its votes gave.
    """

    def __init__(self, rule: VoteRule, faults: Faults) -> None:
        self._rule, self._kind = rule, faults.kind
        self._kinds = tuple(dict.fromkeys(faults.kind(label) for label in faults.fault_labels))
        self._frames: deque[tuple[float, Mapping[str, str]]] = deque(maxlen=rule.window)  # by kind the label
        self._raised_at: dict[str, float] = {}  # by kind: monotonic seconds of the last time
        self._standing: dict[str, str] = {}  # by kind: the label of the alarm

    @property
    def standing(self) -> frozenset[str]:
        """Kinds whose alarm has been raised and has not ended."""
        return frozenset(self._standing)

    def add(self, decision: Decision, now: float) -> tuple[Change, ...]:
        """Count one frame at `now` (monotonic seconds); return what begins or ends, in the order of the fault labels.

        Two kinds that both reach their thresholds both get a vote.
        """
        return self.count(decision.flagged, now)

    def count(self, flagged: Iterable[str], now: float) -> tuple[Change, ...]:
        """Count one frame by the labels that it `flagged`; see `add`."""
        self._frames.append((now, {self._kind(label): label for label in flagged}))
        while now - self._frames[0][0] > self._rule.max_age:
            self._frames.popleft()
        changes = (self._change(kind, now) for kind in self._kinds)
        return tuple(change for change in changes if change is not None)

    def taken_over(self, rule: VoteRule, faults: Faults) -> "Votes":
        """Return these votes for another bundle, whose `faults` have other kinds or labels perhaps.

        Votes, standing alarms and cool-downs go on; those for what the other bundle does not know are forgotten.
        """
        heir = Votes(rule, faults)
        known = {label: faults.kind(label) for label in faults.fault_labels}
        for when, labels in self._frames:
            heir._frames.append((when, {known[label]: label for label in labels.values() if label in known}))
        heir._raised_at = {kind: when for kind, when in self._raised_at.items() if kind in heir._kinds}
        heir._standing = {kind: label for kind, label in self._standing.items() if kind in heir._kinds}
        return heir

    def _change(self, kind: str, now: float) -> Change | None:
        named = [labels[kind] for _, labels in self._frames if kind in labels]
        count, of = len(named), len(self._frames)
        if kind in self._standing:
            if count > self._rule.release:
                return None
            return Change(self._standing.pop(kind), False, count, of, self._rule.needed)
        if count < self._rule.needed or kind not in self._frames[-1][1] or self._cooling(kind, now):
            return None
        newest_first = Counter(reversed(named))  # of two that are equally frequent the newer one
        self._standing[kind] = newest_first.most_common(1)[0][0]
        self._raised_at[kind] = now
        return Change(self._standing[kind], True, count, of, self._rule.needed)

    def _cooling(self, kind: str, now: float) -> bool:
        return now - self._raised_at.get(kind, -math.inf) < self._rule.cooldown


@dataclass(frozen=True)
class CameraRule:
    """How one camera decides: the bundle's rule with this camera's thresholds, and its votes."""

    decision: Rule
    votes: VoteRule


def camera_rule(bundle: Rule, votes: VoteRule, thresholds: Mapping[str, float]) -> CameraRule:
    """Return the bundle's rule with `thresholds` (label -> 0..1) in the place of its own, together with `votes`.

    InputError for a label that has no threshold to override, or a threshold that is none.
    """
    if strange := [label for label in thresholds if label not in bundle.fault_labels]:
        raise InputError(
            f"there is a threshold for {strange[0]!r}, which is no fault of this bundle; "
            f"its faults are {', '.join(bundle.fault_labels)}"
        )
    return CameraRule(bundle.with_thresholds(thresholds), votes)
