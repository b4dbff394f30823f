"""Deletes pictures, scores and archives of feedback that are older than `retention_days`, delivered or not.

Every file in their folders is noted in `retention.sqlite3` with the reading of the age clock at which it was first
seen, at most an hour after it was made; it goes at most an hour after its time. A thread of its own does it.
"""

import contextlib
import json
import logging
import os
import sqlite3
import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

from ...alerts.outbox import FOLDERS, Outbox, event_of
from ...bundle.errors import UnavailableError
from ...bundle.zip_errors import ZIP_ERRORS
from ...clock import SYNCED, Clock, Instant, boot_id, from_iso, instant
from ...durable_sqlite import disk, open_database, transaction
from ...judgements.archive import CONTENT
from ..scores.score_store import FOLDER as SCORES
from ..scores.score_store import SUFFIX as SCORE_SUFFIX
from .age_clock import AgeClock

DATABASE = "retention.sqlite3"
DAY = 86400.0  # seconds
SWEEP_SECONDS, CLOCK_SECONDS = 3600.0, 60.0  # between two sweeps, and two looks at the clock
STOP_SECONDS = 5.0
AT_ONCE = 200  # files; alarms have to wait for the outbox no longer than that takes
KEPT_IN = tuple(sorted({*FOLDERS.values(), SCORES}))  # folders of the state folder

VERSION = 1
_TABLES = """
CREATE TABLE files (path TEXT PRIMARY KEY, seen REAL NOT NULL) WITHOUT ROWID;  -- reading of the age clock
CREATE TABLE clock (
    seconds REAL NOT NULL, monotonic REAL NOT NULL, boot TEXT NOT NULL,
    anchor_seconds REAL NOT NULL, anchor_wall REAL NOT NULL, anchor_boot TEXT NOT NULL);
"""

log = logging.getLogger(__name__)


class Retention:
    """Keeps the files of `state_dir` for `days`. One thread uses it.

    UnavailableError where the disk does not let us; a damaged database is begun anew, and all files count from then.
    """

    def __init__(
        self,
        state_dir: Path,
        days: float,
        outbox: Outbox,
        now: Callable[[], Instant] = instant,
        synced: Callable[[], bool] | None = None,
        boot: str | None = None,
    ) -> None:
        clock = Clock()
        self._synced = synced or (lambda: clock.read().clock == SYNCED)
        self._state_dir, self._days, self._outbox = state_dir, days, outbox
        self._now, self._boot = now, boot or boot_id()
        with disk(str(state_dir / DATABASE)):
            self._database = open_database(state_dir / DATABASE, _TABLES, VERSION, repair=True)
            row = self._database.execute("SELECT * FROM clock").fetchone()
        self._clock = AgeClock(*row) if row else AgeClock(0.0, now().monotonic, self._boot)
        self._first = row is None

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def read_clock(self) -> None:
        """Read the clocks. Call it every minute: a jump of the wall clock is known by that."""
        self._clock = self._clock.read(self._now(), self._boot, self._synced())

    def sweep(self) -> int:
        """Note new files, and delete those whose time has come; return how many."""
        self.read_clock()
        found = dict.fromkeys(files_below(self._state_dir))
        with disk(str(self._state_dir / DATABASE)):
            known = dict(self._database.execute("SELECT path, seen FROM files").fetchall())
            new = [path for path in found if path not in known]
            known |= self._first_seen(new, known)
            self._write([(path, known[path]) for path in new], [path for path in known if path not in found])
        old = [path for path in found if self._clock.seconds - known[path] >= self._days * DAY]
        for start in range(0, len(old), AT_ONCE):
            part = old[start : start + AT_ONCE]
            self._outbox.forget_pictures(part)  # first: what is noted and still there is deleted at the next sweep
            for path in part:
                with contextlib.suppress(FileNotFoundError):
                    (self._state_dir / path).unlink()
        if old:
            log.info("%d files are older than retention_days = %g and were deleted", len(old), self._days)
        return len(old)

    def _write(self, new: Iterable[tuple[str, float]], gone: Iterable[str]) -> None:
        with transaction(self._database) as database:
            database.executemany("DELETE FROM files WHERE path = ?", ((path,) for path in gone))
            database.executemany("INSERT INTO files VALUES (?, ?)", new)
            clock = self._clock
            values = (clock.seconds, clock.monotonic, clock.boot)
            anchor = (clock.anchor_seconds, clock.anchor_wall, clock.anchor_boot)
            database.execute("DELETE FROM clock")
            database.execute("INSERT INTO clock VALUES (?, ?, ?, ?, ?, ?)", (*values, *anchor))

    def _first_seen(self, new: Iterable[str], known: dict[str, float]) -> dict[str, float]:
        """Return the reading from which each of the `new` files counts.

        That is now, with two exceptions. An archive is as old as the oldest picture in it. And at the very first sweep
        events tell their time, where the clock could be trusted when they were recorded and can be now.
        """
        now = self._clock.seconds
        seen = dict.fromkeys(new, now)
        if self._first and self._synced():
            wall = self._now().wall
            recorded = self._outbox.picture_times()
            for path in seen:
                moment, clock = recorded.get(event_of(path), ("", ""))
                if clock == SYNCED and moment:
                    age = wall - from_iso(moment).timestamp()
                    seen[path] = now - max(0.0, age)
        self._first = False
        ages: dict[str, float] = {}  # by event
        for path, reading in (known | seen).items():
            ages[event_of(path)] = min(reading, ages.get(event_of(path), reading))
        for path in seen:
            if path.endswith(".zip"):
                seen[path] = min([seen[path], *(ages[e] for e in events_in(self._state_dir / path) if e in ages)])
        return seen


def files_below(state_dir: Path) -> Iterator[str]:
    """Yield the files that have an age, as paths below the state folder; what is being written is left out."""
    for name in KEPT_IN:
        for folder, _, files in os.walk(state_dir / name):
            for file in files:
                if not file.startswith(".") and (name != SCORES or file.endswith(SCORE_SUFFIX)):
                    yield (Path(folder) / file).relative_to(state_dir).as_posix()


def events_in(archive: Path) -> list[str]:
    """Return the ids of the events whose pictures are in an archive of feedback; none where it is damaged."""
    try:
        with zipfile.ZipFile(archive) as members:
            return [str(example["event"]) for example in json.loads(members.read(CONTENT))["examples"]]
    except (*ZIP_ERRORS, KeyError, TypeError) as error:
        log.warning("%s is no archive of feedback (%s)", archive, error)
        return []


@contextlib.contextmanager
def retained(state_dir: Path, days: float, outbox: Outbox) -> Iterator[None]:
    """Sweep at once and every hour, in a thread, until the end of the block; never where `days` is 0."""
    stop = threading.Event()
    thread = threading.Thread(target=_run, args=(state_dir, days, outbox, stop), name="retention", daemon=True)
    if days:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        if days:
            thread.join(STOP_SECONDS)


def _run(state_dir: Path, days: float, outbox: Outbox, stop: threading.Event) -> None:
    trouble, first = "", True
    while first or not stop.wait(SWEEP_SECONDS):
        first = False
        try:
            with closing(Retention(state_dir, days, outbox)) as retention:
                _sweep_on(retention, stop)
            trouble = ""
        except (UnavailableError, OSError, sqlite3.Error) as error:
            if str(error) != trouble:
                log.error("what is older than retention_days cannot be deleted: %s", error)
            trouble = str(error)


def _sweep_on(retention: Retention, stop: threading.Event) -> None:
    """Sweep until `stop`."""
    while True:
        retention.sweep()
        for _ in range(round(SWEEP_SECONDS / CLOCK_SECONDS)):
            if stop.wait(CLOCK_SECONDS):
                return
            retention.read_clock()
