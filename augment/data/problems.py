"""What a check of the data found to be wrong, as sentences with their places, so that all is told at once.

A check gives problems; `refusal` says whether they stop a run: one that is fatal does, and so do more of the others
than a stated share. What does not stop a run is left out and told.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MOST_TOLD = 20  # problems of one kind in one message
CONTRADICTION = "one picture as "  # how the reason for a picture under two labels begins


def contradiction(labels: Iterable[str], paths: Iterable[str]) -> str:
    """Return the reason why pictures that are one, under several labels, are all left out."""
    return f"{CONTRADICTION}{' and as '.join(sorted(set(labels)))}: {', '.join(paths)}"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with the data.

    `where` names the file and, where there is one, the line; `sentence` says what was seen, what was expected and what
    to do. A `fatal` problem stops a run by itself; others stop it where they are more than a stated share.
    """

    where: str
    sentence: str
    fatal: bool = False

    def __str__(self) -> str:
        return f"{self.where}: {self.sentence}" if self.where else self.sentence


@dataclass(frozen=True)
class Check:
    """What one check found among `of` files or boxes, whichever `what` names; `advice` is what may explain it all."""

    what: str
    of: int
    problems: Sequence[Problem] = ()
    advice: str = ""

    def stops(self, most: float) -> bool:
        """Whether a run cannot go on: for a fatal problem, or for more of them than the share `most`."""
        return any(problem.fatal for problem in self.problems) or len(self.problems) > most * self.of

    def headline(self, most: float) -> str:
        """Return how many problems there are beside the share that may be left out; "" where one alone is fatal."""
        if any(problem.fatal for problem in self.problems):
            return ""
        return (
            f"{len(self.problems)} of {self.of} {self.what} have a problem, more than the share of {most:g} that may "
            "be left out (data.most_problems)"
        )


def refusal(checks: Sequence[Check], most: float) -> str:
    """Return why a run cannot go on, all of it; "" where it can. `most` is the share that may have a problem."""
    told: list[str] = []
    for check in (check for check in checks if check.stops(most)):
        headline, rest = check.headline(most), len(check.problems) - MOST_TOLD
        told += [f"{headline}:"] if headline else []
        told += [check.advice] if check.advice else []
        told += map(str, check.problems[:MOST_TOLD])
        told += [f"... and {rest} more; `rarefault doctor --all` lists them"] if rest > 0 else []
    return "\n".join(dict.fromkeys(told))
