"""A harm gate whose answers the test writes."""

from dataclasses import dataclass, field


@dataclass
class ScriptedGate:
    """A gate that finds these (losers, takers) in turn, and a gain or none; it notes what it was asked."""

    answers: list[tuple[frozenset[str], frozenset[str]]]
    gain: bool = True
    asked: list[str] = field(default_factory=list)

    def losses(self, arm):
        self.asked.append(arm)
        return self.answers.pop(0) if self.answers else (frozenset(), frozenset())

    def gains(self, arm):
        return self.gain
