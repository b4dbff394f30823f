"""Plays stored scores through the votes again: which alarms there would have been at other thresholds.

The votes are those of the running service (`alerts.votes.Votes`), so at the thresholds in force the alarms are exactly
those that were raised.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ...alerts.votes import VoteRule, Votes
from .score_store import Codes, ScoreBlock, limit


@dataclass(frozen=True)
class ReplayedAlarm:
    """An alarm of a replay: `raised` and `ended` in wall seconds since 1970; `ended` None where it never did."""

    camera: str
    region: str
    label: str
    kind: str
    raised: float
    ended: float | None


@dataclass(frozen=True)
class JudgedAlarm:
    """A real alarm that a person has judged: its `time` in wall seconds since 1970, and whether it was `right`."""

    camera: str
    region: str
    label: str
    time: float
    right: bool


@dataclass(frozen=True)
class AtThreshold:
    """How many `alarms` of a label there would have been at `threshold`.

    `right` and `wrong` count the judged alarms among the real ones for which an alarm would still have been raised.
    """

    threshold: float
    alarms: int
    right: int
    wrong: int


def replay(blocks: Sequence[ScoreBlock], thresholds: Mapping[str, float] | None = None) -> list[ReplayedAlarm]:
    """Return the alarms at `thresholds` (label -> 0..1), in the order of their time; other labels keep their own."""
    raise NotImplementedError


def alarms_at(
    blocks: Sequence[ScoreBlock],
    label: str,
    thresholds: Sequence[float],
    camera: str | None = None,
    since: float = float("-inf"),
    judged: Sequence[JudgedAlarm] = (),
) -> list[AtThreshold]:
    """Return how many alarms of `label` there would have been from `since` on, for each of the `thresholds`.

    `camera` None means all. Read the blocks from an hour before `since`, so that what stood then is known.
    """
    raise NotImplementedError
