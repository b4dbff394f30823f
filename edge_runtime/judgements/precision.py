"""How many of the judged alarms were right, by camera, label and week, with Wilson's interval."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from .records import Judgement, Verdict, week_of

Z = 1.959964  # of the normal distribution, for an interval of 95 %


@dataclass(frozen=True)
class Precision:
    """The share `value` of right ones among `right + wrong` judged alarms, and its interval of 95 %.

    `camera`, `label` or `week` (ISO, `2026-W48`) is empty where all of them are counted together.
    """

    camera: str
    label: str
    week: str
    right: int
    wrong: int

    @property
    def value(self) -> float:
        """Share of right ones, 0 to 1; at least one alarm is judged."""
        return self.right / (self.right + self.wrong)

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's interval of 95 % of the share."""
        return wilson(self.right, self.right + self.wrong)


def precisions(judgements: Iterable[Judgement], by_week: bool = True) -> list[Precision]:
    """Count one judgement for each event by camera, label and, where wanted, the week of the frame.

    WRONG and OTHER both count as wrong: the alarm's label was not there. UNSURE counts for nothing.
    """
    right, wrong = Counter[tuple[str, str, str]](), Counter[tuple[str, str, str]]()
    for judgement in judgements:
        key = (judgement.camera, judgement.label, week_of(judgement.captured) if by_week else "")
        if judgement.verdict is not Verdict.UNSURE:
            (right if judgement.verdict is Verdict.RIGHT else wrong)[key] += 1
    return [Precision(*key, right[key], wrong[key]) for key in sorted({*right, *wrong})]


def wilson(hits: int, of: int) -> tuple[float, float]:
    """Return Wilson's score interval of 95 % for `hits` of `of` trials; (0, 1) without a trial.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    """
    if not of:
        return 0.0, 1.0
    share, shrink = hits / of, 1 + Z * Z / of
    middle = (share + Z * Z / (2 * of)) / shrink
    half = Z * math.sqrt(share * (1 - share) / of + Z * Z / (4 * of * of)) / shrink
    return max(0.0, middle - half), min(1.0, middle + half)
