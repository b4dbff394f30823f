"""Plays stored scores through the votes again: which alarms there would have been at other thresholds.

The votes are those of the running service (`alerts.votes.Votes`), so at the thresholds in force the alarms are exactly
those that were raised.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from ...alerts.votes import Change, VoteRule, Votes
from .score_store import Codes, ScoreBlock, limit

SAME_SECONDS = 2.0  # by which the wall time of a stored score may differ from that of its event


@dataclass(frozen=True)
class ReplayedAlarm:
    """An alarm of a replay: `raised` and `ended` in wall seconds since 1970.

    One that still stood with the last frame of a run of the service ends with that.
    """

    camera: str
    region: str
    label: str
    kind: str
    raised: float
    ended: float


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
    return sorted(_all(_streams(blocks), thresholds or {}), key=lambda alarm: alarm.raised)


def alarms_at(
    blocks: Sequence[ScoreBlock],
    label: str,
    thresholds: Sequence[float],
    camera: str | None = None,
    since: float = -math.inf,
    judged: Sequence[JudgedAlarm] = (),
) -> list[AtThreshold]:
    """Return how many alarms of `label` there would have been from `since` on, for each of the `thresholds`.

    `camera` None means all. Read the blocks from an hour before `since`, so that what stood then is known.
    """
    streams = list(_streams(blocks, camera, label))
    real = [(alarm, verdict) for alarm in _all(streams, {}) for verdict in judged if _is_of(verdict, alarm)]
    counts = []
    for threshold in thresholds:
        alarms = [alarm for alarm in _all(streams, {label: threshold}) if alarm.label == label]
        kept = [verdict.right for alarm, verdict in real if any(_overlap(alarm, other) for other in alarms)]
        later = sum(alarm.raised >= since for alarm in alarms)
        counts.append(AtThreshold(threshold, later, sum(kept), len(kept) - sum(kept)))
    return counts


@dataclass(frozen=True)
class _Faults:
    """Fault labels and their kinds, as votes want them."""

    kinds: Mapping[str, str]  # by label

    @property
    def fault_labels(self) -> tuple[str, ...]:
        """The labels."""
        return tuple(self.kinds)

    def kind(self, label: str) -> str:
        """Return the kind of a label."""
        return self.kinds[label]


@dataclass(frozen=True)
class _Part:
    """What one file holds of one view: N frames of F labels."""

    faults: _Faults
    votes: VoteRule
    thresholds: Mapping[str, float]  # in force
    times: npt.NDArray[np.float64]  # (N,) wall seconds
    captured: npt.NDArray[np.float64]  # (N,) monotonic seconds
    codes: Codes  # (N, F)


@dataclass(frozen=True)
class _Stream:
    """All frames of one view in one run of the service, whose votes go on from part to part."""

    camera: str
    region: str
    parts: list[_Part] = field(default_factory=list)


def _streams(blocks: Sequence[ScoreBlock], camera: str | None = None, label: str | None = None) -> Iterable[_Stream]:
    """Return the streams of `camera`, of those labels alone that are of one kind with `label`; None means all.

    A model that does not know the kind, and one that judged nothing of a view, are parts too: by them the votes of the
    running service forgot what they do not know.
    """
    asked = {
        kind for block in blocks for name, kind in zip(block.labels, block.header.kinds, strict=True) if name == label
    }
    streams: dict[tuple[str, str, str], _Stream] = {}
    for block in sorted(blocks, key=lambda block: (block.header.run, block.header.part)):
        header = block.header
        kind_of = dict(zip(header.labels, header.kinds, strict=True))
        kinds = {name: kind for name, kind in kind_of.items() if label is None or kind in asked}
        columns = [header.labels.index(name) for name in kinds]
        order = np.argsort(block.view_index, kind="stable")
        bounds = np.searchsorted(block.view_index[order], np.arange(len(header.views) + 1))
        for place, (name, region) in enumerate(header.views):
            rows = order[bounds[place] : bounds[place + 1]]
            if camera not in (None, name):
                continue
            stream = streams.setdefault((header.run, name, region), _Stream(name, region))
            votes, thresholds, codes = header.votes[name], header.thresholds[name], block.codes[rows][:, columns]
            stream.parts.append(
                _Part(_Faults(kinds), votes, thresholds, block.times[rows], block.captured[rows], codes)
            )
    return streams.values()


def _all(streams: Iterable[_Stream], thresholds: Mapping[str, float]) -> list[ReplayedAlarm]:
    return [alarm for stream in streams for alarm in _play(stream, thresholds)]


def _play(stream: _Stream, thresholds: Mapping[str, float]) -> list[ReplayedAlarm]:
    """Return the alarms of one view at `thresholds`, and at those in force for other labels."""
    alarms: list[ReplayedAlarm] = []
    standing: dict[str, int] = {}  # by label the place in `alarms`
    votes: Votes | None = None
    last = max((float(part.times[-1]) for part in stream.parts if len(part.times)), default=0.0)
    for part in stream.parts:
        votes = Votes(part.votes, part.faults) if votes is None else votes.taken_over(part.votes, part.faults)
        for time, change in _changes(votes, part, thresholds) if len(part.times) else ():
            if change.raised:
                standing[change.label] = len(alarms)
                kind = part.faults.kind(change.label)
                alarms.append(ReplayedAlarm(stream.camera, stream.region, change.label, kind, time, last))
            elif change.label in standing:
                place = standing.pop(change.label)
                alarms[place] = replace(alarms[place], ended=time)
    return alarms


def _changes(votes: Votes, part: _Part, thresholds: Mapping[str, float]) -> Iterator[tuple[float, Change]]:
    """Yield what begins or ends in a part, with its wall time.

    Most frames change nothing, and only those are counted that may: in a row of frames that all flag the same, those
    until the votes hold nothing else and every alarm that is due stands, and the last ones, which the next row needs.
    A rule that ends alarms while votes are left (`release`) needs every frame of a row that flags something.
    """
    labels, rule = part.faults.fault_labels, part.votes
    bars = np.array([limit(thresholds.get(label, part.thresholds[label])) for label in labels])
    flagged = part.codes >= bars
    starts = np.flatnonzero(np.r_[True, (flagged[1:] != flagged[:-1]).any(axis=1)]).tolist()
    for start, end in zip(starts, [*starts[1:], len(flagged)], strict=True):
        names = [label for label, flag in zip(labels, flagged[start].tolist(), strict=True) if flag]
        kinds = {part.faults.kind(name) for name in names}
        place = start
        while place < end:
            for change in votes.count(names, float(part.captured[place])):
                yield float(part.times[place]), change
            place += 1
            if place - start >= rule.window and kinds <= votes.standing and not (kinds and rule.release):
                place = max(place, end - rule.window)


def _is_of(verdict: JudgedAlarm, alarm: ReplayedAlarm) -> bool:
    """Whether the judged alarm is the one that was replayed at the thresholds in force."""
    same = (verdict.camera, verdict.region, verdict.label) == (alarm.camera, alarm.region, alarm.label)
    return same and abs(verdict.time - alarm.raised) <= SAME_SECONDS


def _overlap(one: ReplayedAlarm, other: ReplayedAlarm) -> bool:
    same = (one.camera, one.region, one.kind) == (other.camera, other.region, other.kind)
    return same and one.raised <= other.ended and other.raised <= one.ended
