"""Reads a ledger: the runs of the service on one time axis, and what was not watched in the last hours.

Between two runs of one boot the monotonic clock tells the gap; across a boot only the wall clock can, and the result
says so (`estimated`).
"""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from ..bundle.errors import UnavailableError
from ..causes import Cause
from ..clock import Instant, boot_id
from ..durable_sqlite import open_read_only

SHORT_SECONDS = 0.5  # an interval below is not worth a line


def ledger_path(state_dir: Path) -> Path:
    """Return where the ledger of a station lies."""
    return state_dir / "ledger" / "ledger.sqlite3"


@dataclass(frozen=True)
class Interval:
    """A camera was not watched because of `cause`, from `began` to `ended` on the ledger's own time axis in seconds.

    `wall` labels its beginning. `estimated`: its length comes from the wall clock, across a reboot.
    """

    camera: str
    cause: Cause
    began: float
    ended: float
    wall: float
    estimated: bool = False

    @property
    def seconds(self) -> float:
        """The length of the interval."""
        return self.ended - self.began


@dataclass(frozen=True)
class Night:
    """The last `seconds` up to `until`: when each camera should have been watched, and when it was not.

    `spans` are (began, ended) on the ledger's own time axis in seconds, by camera. `maintenance` stands apart from what
    was blind: nobody expected the camera to be watched then.
    """

    seconds: float
    until: Instant
    spans: dict[str, tuple[tuple[float, float], ...]]
    blind: tuple[Interval, ...]
    maintenance: tuple[Interval, ...] = ()

    @property
    def due(self) -> dict[str, float]:
        """Seconds for which each camera should have been watched: all but its maintenance."""
        due = {camera: sum(ended - began for began, ended in spans) for camera, spans in self.spans.items()}
        for interval in self.maintenance:
            due[interval.camera] = max(0.0, due[interval.camera] - interval.seconds)
        return due


def read_night_of(path: Path, seconds: float, now: Instant, at_work: bool) -> Night:
    """Return the last `seconds` from a ledger that another process may be writing; `at_work`: one is."""
    try:
        with closing(open_read_only(path)) as base:
            return read_night(base, seconds, now if at_work else _now_of_last_run(base, now), at_work)
    except sqlite3.Error as error:
        raise UnavailableError(f"the ledger {path} cannot be read ({error}); has the service run here?") from error


def _now_of_last_run(base: sqlite3.Connection, now: Instant) -> Instant:
    """Return `now` on the monotonic clock of the last run, which may belong to an earlier boot."""
    row = base.execute("SELECT boot, beat, beat_wall FROM run ORDER BY id DESC LIMIT 1").fetchone()
    if row is None or row[0] == boot_id():
        return now
    return Instant(row[1] + max(now.wall - row[2], 0.0), now.wall)


@dataclass(frozen=True)
class _Run:
    """A run on the common axis, which is the newest run's monotonic clock; `shift` takes its own times there."""

    id: int
    began: float
    ended: float
    shift: float
    wall_offset: float  # wall time of a moment on the common axis, minus that moment
    gap_estimated: bool  # whether the time before it comes from the wall clock


def read_night(base: sqlite3.Connection, seconds: float, now: Instant, at_work: bool = True) -> Night:
    """Return what the ledger holds of the last `seconds` before `now`; `at_work`: the last run has not ended."""
    runs = _runs(base)
    start = now.monotonic - seconds
    spans: dict[str, list[tuple[float, float]]] = {}
    blind: list[Interval] = []
    for run, successor in zip_longest(runs, runs[1:]):
        until = successor.began if successor else now.monotonic
        end = max(run.ended, until) if at_work and not successor else run.ended
        for camera, began in base.execute("SELECT camera, began FROM watch WHERE run = ?", (run.id,)).fetchall():
            span = max(began + run.shift, start), min(until, now.monotonic)
            if span[1] > span[0]:
                spans.setdefault(camera, []).append(span)
            blind += _blind(base, run, camera, began + run.shift, end)
            if until > end:
                guess = successor.gap_estimated if successor else False
                blind.append(Interval(camera, Cause.NOT_RUNNING, end, until, end + run.wall_offset, guess))
    cut = [_cut(interval, start, now.monotonic) for interval in blind]
    kept = sorted((i for i in cut if i.seconds >= SHORT_SECONDS), key=lambda i: (i.camera, i.began))
    blind_, apart = ([i for i in kept if (i.cause is Cause.MAINTENANCE) is wanted] for wanted in (False, True))
    return Night(seconds, now, {name: tuple(spans[name]) for name in sorted(spans)}, tuple(blind_), tuple(apart))


def _blind(base: sqlite3.Connection, run: _Run, camera: str, start: float, end: float) -> list[Interval]:
    """Return a run's intervals from `start` to `end`, without overlaps: no second counts twice, nor one not due.

    A cause may begin before the last one ended, if found later. What was noted behind the last sign of life of a run
    that was killed belongs to the time in which it did not run.
    """
    query = "SELECT cause, began, ended FROM blind WHERE run = ? AND camera = ? ORDER BY began, id"
    found: list[Interval] = []
    for cause, began, ended in base.execute(query, (run.id, camera)).fetchall():
        begins = max(began + run.shift, found[-1].ended if found else start)
        ends = end if ended is None else min(ended + run.shift, end)
        if ends > begins:
            found.append(Interval(camera, Cause(cause), begins, ends, begins + run.wall_offset))
    return found


def _runs(base: sqlite3.Connection) -> list[_Run]:
    rows = base.execute("SELECT id, boot, began, began_wall, beat, beat_wall FROM run ORDER BY id").fetchall()
    runs: list[_Run] = []
    shift = 0.0
    for index in reversed(range(len(rows))):
        id_, boot, began, began_wall, beat, beat_wall = rows[index]
        if index + 1 < len(rows) and boot != rows[index + 1][1]:
            gap = max(rows[index + 1][3] - beat_wall, 0.0)  # a clock that went backwards hides the gap
            shift = runs[-1].began - gap - beat
        estimated = index > 0 and rows[index - 1][1] != boot
        runs.append(_Run(id_, began + shift, beat + shift, shift, began_wall - began - shift, estimated))
    return runs[::-1]


def _cut(interval: Interval, start: float, end: float) -> Interval:
    began, ended = max(interval.began, start), min(interval.ended, end)
    wall = interval.wall + began - interval.began
    return Interval(interval.camera, interval.cause, began, max(began, ended), wall, interval.estimated)
