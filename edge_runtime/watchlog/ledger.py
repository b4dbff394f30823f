"""The blind-time ledger: for each camera, when it was not watched and why. It survives a power cut.

Durations are monotonic; wall time is a label. A run of the service is one stretch of the monotonic clock.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ..causes import Cause
from ..clock import Instant, boot_id
from ..durable_sqlite import disk, open_database, transaction
from .ledger_query import Night, read_night

BEAT_SECONDS = 10.0  # at most this much of a run is unknown after a power cut

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


class Ledger:
    """Open one for each run of the service; it keeps `path` (SQLite, WAL, every commit synced).

    A ledger that is damaged is set aside and begun anew.
    """

    def __init__(self, path: Path, now: Instant, boot: str | None = None) -> None:
        self._open: dict[str, tuple[int, Cause | None]] = {}
        with disk(f"the ledger {path}"):
            self._base = open_database(path, SCHEMA, VERSION, repair=True)
        with self._commit():
            query = "INSERT INTO run (boot, began, began_wall, beat, beat_wall) VALUES (?, ?, ?, ?, ?)"
            self._run = self._insert(query, boot or boot_id(), now.monotonic, now.wall, now.monotonic, now.wall)
        self._beat = now.monotonic

    @contextmanager
    def _commit(self) -> Iterator[None]:
        """Put all of it on disk, or raise UnavailableError and put nothing; the next call notes it again."""
        with disk("the ledger"), transaction(self._base):
            yield

    def close(self, now: Instant) -> None:
        """End the run."""
        self._write_beat(now)
        self._base.close()

    def watch(self, cameras: Iterable[str], now: Instant) -> None:
        """Note that these cameras should be watched from now on."""
        rows = [(self._run, camera, now.monotonic) for camera in cameras]
        with self._commit():
            self._base.executemany("INSERT OR IGNORE INTO watch VALUES (?, ?, ?)", rows)

    def note(self, states: Mapping[str, tuple[Cause | None, float]], now: Instant) -> bool:
        """Write the states that changed, (cause, since) by camera, in one commit: a flush of the disk may take long.

        Return whether there were any. `since` (monotonic seconds) is when the state began, at most `now`.
        """
        changed = {name: state for name, state in states.items() if self._open.get(name, (0, None))[1] is not state[0]}
        if not changed:
            return False
        with self._commit():
            opened = {name: (self._change(name, *state, now), state[0]) for name, state in changed.items()}
        self._open |= opened
        return True

    def _change(self, camera: str, cause: Cause | None, since: float, now: Instant) -> int:
        """End what was open and begin what is new; return the new row, 0 where there is none."""
        row, known = self._open.get(camera, (0, None))
        since = min(since, now.monotonic)
        if known is not None:
            self._base.execute("UPDATE blind SET ended = max(began, ?) WHERE id = ?", (since, row))
        if cause is None:
            return 0
        query = "INSERT INTO blind (run, camera, cause, began) VALUES (?, ?, ?, ?)"
        return self._insert(query, self._run, camera, cause.value, since)

    def _insert(self, query: str, *values: object) -> int:
        """Return the number of the new row."""
        return self._base.execute(query, values).lastrowid or 0

    def beat(self, now: Instant) -> bool:
        """Write now and then that the service is alive, and return whether it did. Call it often."""
        if now.monotonic - self._beat < BEAT_SECONDS:
            return False
        self._write_beat(now)
        return True

    def _write_beat(self, now: Instant) -> None:
        self._beat = now.monotonic
        with self._commit():
            values = (now.monotonic, now.wall, self._run)
            self._base.execute("UPDATE run SET beat = ?, beat_wall = ? WHERE id = ?", values)

    def night(self, seconds: float, now: Instant) -> Night:
        """Return what was not watched in the last `seconds`."""
        self._write_beat(now)
        return read_night(self._base, seconds, now)

    def forget(self, intervals: int, runs: int) -> None:
        """Keep the newest so many; not by age, as a clock that jumps by years would take the whole ledger with it."""
        with self._commit():
            old = "id <= (SELECT max(id) FROM blind) - ?"
            lasts = "ended IS NULL AND run = ?"  # a camera that has been off for years still is
            self._base.execute(f"DELETE FROM blind WHERE {old} AND NOT ({lasts})", (intervals, self._run))
            for table, column in (("blind", "run"), ("watch", "run"), ("run", "id")):
                self._base.execute(f"DELETE FROM {table} WHERE {column} <= ?", (self._run - runs,))
