"""The blind-time ledger: for each camera, when it was not watched and why. It survives a power cut.

Durations are monotonic; wall time is a label. A run of the service is one stretch of the monotonic clock. Between two
runs of one boot that clock tells the gap, across a boot only the wall clock can, and the report says so.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..bundle.errors import UnavailableError
from ..causes import Cause
from ..durable_sqlite import disk, open_database, transaction

BEAT_SECONDS = 10.0  # at most this much of a run is unknown after a power cut
SHORT_SECONDS = 0.5  # an interval below is not worth a line
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

VERSION = 1
SCHEMA = """
CREATE TABLE run (
    id INTEGER PRIMARY KEY, boot TEXT NOT NULL, began REAL NOT NULL, began_wall REAL NOT NULL,
    beat REAL NOT NULL, beat_wall REAL NOT NULL);
CREATE TABLE watch (
    run INTEGER NOT NULL REFERENCES run(id), camera TEXT NOT NULL, began REAL NOT NULL, PRIMARY KEY (run, camera));
CREATE TABLE blind (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES run(id), camera TEXT NOT NULL, cause TEXT NOT NULL,
    began REAL NOT NULL, ended REAL);
CREATE INDEX blind_by_run ON blind (run, camera);
"""


@dataclass(frozen=True)
class Instant:
    """One moment by both clocks, in seconds: `monotonic` for durations, `wall` since 1970 as a label."""

    monotonic: float
    wall: float


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
        """Its length."""
        return self.ended - self.began


@dataclass(frozen=True)
class Night:
    """The last `seconds` up to `until`: when each camera should have been watched, and when it was not.

    `spans` are (began, ended) on the ledger's own time axis in seconds, by camera.
    """

    seconds: float
    until: Instant
    spans: dict[str, tuple[tuple[float, float], ...]]
    blind: tuple[Interval, ...]

    @property
    def due(self) -> dict[str, float]:
        """Seconds of watch that each camera should have had."""
        return {camera: sum(ended - began for began, ended in spans) for camera, spans in self.spans.items()}


class Ledger:
    """Open one for each run of the service; it keeps `path` (SQLite, WAL, every commit synced).

    A ledger that is damaged is set aside and begun anew.
    """

    def __init__(self, path: Path, now: Instant, boot: str | None = None) -> None:
        self._boot = boot_id() if boot is None else boot
        self._open: dict[str, tuple[int, Cause | None]] = {}
        with disk(f"the ledger {path}"):
            self._base = open_database(path, SCHEMA, VERSION, repair=True)
        with self._commit():
            self._run = (
                self._base.execute(
                    "INSERT INTO run (boot, began, began_wall, beat, beat_wall) VALUES (?, ?, ?, ?, ?)",
                    (self._boot, now.monotonic, now.wall, now.monotonic, now.wall),
                ).lastrowid
                or 0
            )
        self._beat = now.monotonic

    @contextmanager
    def _commit(self) -> Iterator[None]:
        """All of it on disk, or UnavailableError and nothing; what was noted is then noted again by the next call."""
        with disk("the ledger"), transaction(self._base):
            yield

    def close(self, now: Instant) -> None:
        """The run ends here."""
        self._write_beat(now)
        self._base.close()

    def watch(self, cameras: Iterable[str], now: Instant) -> None:
        """From now on these cameras should be watched."""
        rows = [(self._run, camera, now.monotonic) for camera in cameras]
        with self._commit():
            self._base.executemany("INSERT OR IGNORE INTO watch VALUES (?, ?, ?)", rows)

    def note(self, camera: str, cause: Cause | None, since: float, now: Instant) -> None:
        """The camera's state; written where it changed. `since` (monotonic) is when it began, at most `now`."""
        self.note_all({camera: (cause, since)}, now)

    def note_all(self, states: Mapping[str, tuple[Cause | None, float]], now: Instant) -> None:
        """The same for many cameras, (cause, since) by name, in one commit: a flush of the disk may take long."""
        changed = {name: state for name, state in states.items() if self._open.get(name, (0, None))[1] is not state[0]}
        if not changed:
            return
        with self._commit():
            opened = {name: (self._change(name, *state, now), state[0]) for name, state in changed.items()}
        self._open |= opened

    def _change(self, camera: str, cause: Cause | None, since: float, now: Instant) -> int:
        """End what was open and begin what is new; the new row, 0 where there is none."""
        row, known = self._open.get(camera, (0, None))
        since = min(since, now.monotonic)
        if known is not None:
            self._base.execute("UPDATE blind SET ended = max(began, ?) WHERE id = ?", (since, row))
        if cause is None:
            return 0
        values = (self._run, camera, cause.value, since)
        return (
            self._base.execute("INSERT INTO blind (run, camera, cause, began) VALUES (?, ?, ?, ?)", values).lastrowid
            or 0
        )

    def beat(self, now: Instant) -> None:
        """Call often; writes now and then that the service is alive."""
        if now.monotonic - self._beat >= BEAT_SECONDS:
            self._write_beat(now)

    def _write_beat(self, now: Instant) -> None:
        self._beat = now.monotonic
        with self._commit():
            values = (now.monotonic, now.wall, self._run)
            self._base.execute("UPDATE run SET beat = ?, beat_wall = ? WHERE id = ?", values)

    def night(self, seconds: float, now: Instant) -> Night:
        """What was not watched in the last `seconds`."""
        self._write_beat(now)
        return read_night(self._base, seconds, now)

    def forget(self, intervals: int, runs: int) -> None:
        """Keep the newest so many. Not by age: a clock that jumps by years would take the whole ledger with it."""
        with self._commit():
            old = "id <= (SELECT max(id) FROM blind) - ?"
            lasts = "ended IS NULL AND run = ?"  # a camera that has been off for years still is
            self._base.execute(f"DELETE FROM blind WHERE {old} AND NOT ({lasts})", (intervals, self._run))
            for table, column in (("blind", "run"), ("watch", "run"), ("run", "id")):
                self._base.execute(f"DELETE FROM {table} WHERE {column} <= ?", (self._run - runs,))


def read_night_of(path: Path, seconds: float, now: Instant, at_work: bool) -> Night:
    """`Ledger.night` of a file that another process may be writing; `at_work`: one is."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as base:
            return read_night(base, seconds, now if at_work else _now_of_last_run(base, now), at_work)
    except sqlite3.Error as error:
        raise UnavailableError(f"the ledger {path} cannot be read ({error}); has the service run here?") from error


def _now_of_last_run(base: sqlite3.Connection, now: Instant) -> Instant:
    """`now` on the monotonic clock of the last run, which may belong to an earlier boot."""
    row = base.execute("SELECT boot, beat, beat_wall FROM run ORDER BY id DESC LIMIT 1").fetchone()
    if row is None or row[0] == boot_id():
        return now
    return Instant(row[1] + max(now.wall - row[2], 0.0), now.wall)


def boot_id() -> str:
    """The same until the device restarts; with it the monotonic clock."""
    return BOOT_ID.read_text().strip()


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
    """What the ledger holds of the last `seconds` before `now`; `at_work`: the last run has not ended."""
    runs = _runs(base)
    start = now.monotonic - seconds
    spans: dict[str, list[tuple[float, float]]] = {}
    blind: list[Interval] = []
    for run, successor in zip(runs, [*runs[1:], None], strict=True):
        until = successor.began if successor else now.monotonic
        end = max(run.ended, until) if at_work and not successor else run.ended
        for camera, began in base.execute("SELECT camera, began FROM watch WHERE run = ?", (run.id,)).fetchall():
            span = max(began + run.shift, start), min(until, now.monotonic)
            if span[1] > span[0]:
                spans.setdefault(camera, []).append(span)
            blind += _blind(base, run, camera, end)
            if until > end:
                guess = successor.gap_estimated if successor else False
                blind.append(Interval(camera, Cause.NOT_RUNNING, end, until, end + run.wall_offset, guess))
    cut = [_cut(interval, start, now.monotonic) for interval in blind]
    kept = sorted((i for i in cut if i.seconds >= SHORT_SECONDS), key=lambda i: (i.camera, i.began))
    return Night(seconds, now, {name: tuple(spans[name]) for name in sorted(spans)}, tuple(kept))


def _blind(base: sqlite3.Connection, run: _Run, camera: str, end: float) -> list[Interval]:
    """Without overlaps: a cause may begin before the last one ended, when it was found later."""
    rows = base.execute(
        "SELECT cause, began, ended FROM blind WHERE run = ? AND camera = ? ORDER BY began, id", (run.id, camera)
    )
    found: list[Interval] = []
    for cause, began, ended in rows.fetchall():
        begins = max(began + run.shift, found[-1].ended if found else -float("inf"))
        ends = end if ended is None else ended + run.shift
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
