"""What persons told the station: alarms that somebody has seen, labels that are snoozed, cameras under maintenance.

The page writes `attention.sqlite3`, the service reads it. Nothing is changed or deleted in it but what is oldest: an
end and an undo are entries too, and of the entries about one camera and label the newest that was not undone holds.
How long an entry holds is counted by the monotonic clock; across a reboot, which ends that, by the wall clock.
"""

import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ...bundle.errors import InputError
from ...clock import Instant, boot_id, instant, iso
from ...durable_sqlite import disk, open_database, transaction

DATABASE = "attention.sqlite3"
ACKNOWLEDGE, SNOOZE, MAINTENANCE, UNDO = "acknowledge", "snooze", "maintenance", "undo"
ALL_LABELS = ""
HOUR, DAY = 3600.0, 86400.0  # seconds
LONGEST = {SNOOZE: DAY, MAINTENANCE: 7 * DAY}  # seconds
KEPT = 100_000  # entries; the oldest go
MAX_TEXT = 200  # characters of a name, a label or an event's id
SAME_SECONDS = 2.0  # by which two readings of one moment may differ before the clock counts as set in between

VERSION = 1
_TABLES = """
CREATE TABLE entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,         -- acknowledge, snooze, maintenance, undo
    camera TEXT NOT NULL,
    label TEXT NOT NULL,        -- of a snooze; empty: all labels
    event TEXT NOT NULL,        -- id of the acknowledged event
    by TEXT NOT NULL,           -- who
    wall REAL NOT NULL,         -- when, in seconds since 1970,
    monotonic REAL NOT NULL,    -- and on the clock of
    boot TEXT NOT NULL,         -- this boot
    seconds REAL NOT NULL,      -- for which it holds; 0: it ends what was before
    undone INTEGER              -- the entry that an undo takes back
);
CREATE INDEX by_event ON entries (event) WHERE kind = 'acknowledge';
CREATE INDEX by_camera ON entries (camera, kind, label, id) WHERE kind IN ('snooze', 'maintenance');
CREATE INDEX by_undone ON entries (undone) WHERE undone IS NOT NULL;
CREATE INDEX by_person ON entries (by, id);
"""
_COLUMNS = "id, kind, camera, label, event, by, wall, monotonic, boot, seconds"
_NOT_UNDONE = "NOT EXISTS (SELECT 1 FROM entries AS undo WHERE undo.undone = entries.id)"
_NEWEST = (
    f"SELECT {_COLUMNS} FROM entries WHERE id IN (SELECT max(id) FROM entries "
    f"WHERE kind IN ('snooze', 'maintenance') AND {_NOT_UNDONE} GROUP BY camera, kind, label) ORDER BY id"
)


@dataclass(frozen=True)
class Entry:
    """One thing that a person told: `kind` and what it is about, `by` whom, and when.

    `wall` (seconds since 1970) and `monotonic` (seconds of `boot`) are one moment. It holds for `seconds` from then on;
    0 ends what the entries before it began.
    """

    id: int
    kind: str
    camera: str
    label: str
    event: str
    by: str
    wall: float
    monotonic: float
    boot: str
    seconds: float

    def left(self, now: Instant, boot: str) -> float:
        """Return the seconds for which it still holds `now`, in the present `boot`; 0 where it has ended.

        After a reboot the wall clock tells. One that stands before the entry was made tells nothing, so the entry has
        ended; and no entry outlasts its own length within one boot, wherever the wall clock is set to.
        """
        if boot == self.boot:
            return max(0.0, self.monotonic + self.seconds - now.monotonic)
        if now.wall < self.wall:
            return 0.0
        return max(0.0, min(self.wall + self.seconds - now.wall, self.seconds - now.monotonic))

    def until(self, now: Instant, boot: str) -> float:
        """Return when it ends, by the wall clock as that stands `now` (seconds since 1970).

        To the minute where that clock was set since, so that two calls say the same.
        """
        asked, shown = self.wall + self.seconds, now.wall + self.left(now, boot)
        return asked if abs(asked - shown) < SAME_SECONDS else 60 * round(shown / 60)


@dataclass(frozen=True)
class Mark:
    """What holds now: the `entry` (its id, for an end), `until` when (seconds since 1970), and `by` whom."""

    entry: int
    until: float
    by: str

    def to_json(self) -> dict[str, str]:
        """Return it as events and the status of cameras hold it; `until` is UTC."""
        return {"until": iso(self.until), "by": self.by}


@dataclass(frozen=True)
class Current:
    """What holds at one moment: `maintenance` by camera, and `snoozes` by camera and label ("" is all labels)."""

    maintenance: Mapping[str, Mark]
    snoozes: Mapping[tuple[str, str], Mark]

    def snoozed(self, camera: str, label: str) -> Mark | None:
        """Return the snooze that holds for `label` of `camera`; of two the one that ends later."""
        found = [mark for key in (label, ALL_LABELS) if (mark := self.snoozes.get((camera, key)))]
        return max(found, key=lambda mark: mark.until, default=None)


NOTHING = Current({}, {})


@dataclass(frozen=True)
class Acknowledgement:
    """Who has seen an alarm, and when (seconds since 1970)."""

    by: str
    wall: float


class Attention:
    """`state_dir/attention.sqlite3` as the page writes it. May be used by several threads.

    A damaged database is set aside and begun anew. UnavailableError where the disk does not let us.
    """

    def __init__(self, state_dir: Path, now: Callable[[], Instant] = instant, boot: str | None = None) -> None:
        self._now, self._boot = now, boot or boot_id()
        self._lock = threading.RLock()
        with disk(f"{state_dir / DATABASE}"):
            state_dir.mkdir(parents=True, exist_ok=True)
            self._database = open_database(state_dir / DATABASE, _TABLES, VERSION, repair=True)

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._database.close()

    def acknowledge(self, event: str, by: str) -> Entry:
        """Note that `by` has seen the alarm with the id `event`."""
        return self._add(ACKNOWLEDGE, by, event=event)

    def snooze(self, camera: str, label: str, until: float, by: str) -> Entry:
        """Mark alarms for `label` of `camera`, ALL_LABELS for every one, as snoozed until then (seconds since 1970).

        InputError where that is past or more than a day ahead.
        """
        return self._add(SNOOZE, by, camera=camera, label=label, seconds=self._length(SNOOZE, until))

    def maintenance(self, camera: str, until: float, by: str) -> Entry:
        """Put `camera` under maintenance until then (seconds since 1970).

        InputError where that is past or more than seven days ahead.
        """
        return self._add(MAINTENANCE, by, camera=camera, seconds=self._length(MAINTENANCE, until))

    def end(self, entry: int, by: str) -> Entry:
        """End the snooze or the maintenance that the entry with this id began. InputError where it began none."""
        with self._lock:
            found = self._select(f"WHERE id = ? AND kind IN ('{SNOOZE}', '{MAINTENANCE}')", entry)
            if not found:
                raise InputError(f"entry {entry} is no snooze and no maintenance; load the page again")
            return self._add(found[0].kind, by, camera=found[0].camera, label=found[0].label)

    def undo(self, by: str, entry: int | None = None) -> Entry | None:
        """Take back the `entry` of this id, None: the newest, of this person that was not undone, and return it.

        None where there is none.
        """
        with self._lock:
            query = (
                f"WHERE by = ? AND coalesce(?, id) = id AND kind != '{UNDO}' AND {_NOT_UNDONE} ORDER BY id DESC LIMIT 1"
            )
            found = self._select(query, by, entry)
            if not found:
                return None
            last = found[0]
            self._add(UNDO, by, camera=last.camera, label=last.label, event=last.event, undone=last.id)
            return last

    def current(self, now: Instant | None = None) -> Current:
        """Return what holds `now`."""
        with self._lock, disk("the attention list"):
            return holding(newest_entries(self._database), now or self._now(), self._boot)

    def acknowledged(self, events: Collection[str]) -> dict[str, Acknowledgement]:
        """Return by id who acknowledged those of `events` that somebody has; of several the first."""
        marks = ",".join("?" * len(events))
        where = f"WHERE kind = '{ACKNOWLEDGE}' AND event IN ({marks}) AND {_NOT_UNDONE} ORDER BY id DESC"
        return {entry.event: Acknowledgement(entry.by, entry.wall) for entry in self._select(where, *events)}

    def history(self, limit: int = 100) -> list[Entry]:
        """Return the newest entries of every kind, newest first."""
        return self._select("ORDER BY id DESC LIMIT ?", limit)

    def _length(self, kind: str, until: float) -> float:
        seconds = until - self._now().wall
        longest = LONGEST[kind]
        if not 0 < seconds <= longest + SAME_SECONDS:
            raise InputError(
                f"a {kind} would end {seconds / HOUR:.1f} hours from now; give an end between now and "
                f"{longest / HOUR:.0f} hours ahead"
            )
        return seconds

    def _add(
        self,
        kind: str,
        by: str,
        camera: str = "",
        label: str = "",
        event: str = "",
        seconds: float = 0.0,
        undone: int | None = None,
    ) -> Entry:
        for text in (camera, label, event, by):
            if len(text) > MAX_TEXT:
                raise InputError(f"{text[:40]!r}... has {len(text)} characters, expected at most {MAX_TEXT}")
        if not by:
            raise InputError("nobody is named who does this; log in")
        now = self._now()
        row = (kind, camera, label, event, by, now.wall, now.monotonic, self._boot, seconds)
        with self._lock, disk("the attention list"), transaction(self._database) as database:
            columns = _COLUMNS.removeprefix("id, ")
            query = f"INSERT INTO entries ({columns}, undone) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            number = database.execute(query, (*row, undone)).lastrowid or 0
            database.execute("DELETE FROM entries WHERE id <= ?", (number - KEPT,))
        return Entry(number, *row)

    def _select(self, where: str, *values: object) -> list[Entry]:
        with self._lock, disk("the attention list"):
            return [Entry(*row) for row in self._database.execute(f"SELECT {_COLUMNS} FROM entries {where}", values)]


def newest_entries(database: sqlite3.Connection) -> list[Entry]:
    """Return of every camera, kind and label the newest snooze or maintenance that was not undone."""
    return [Entry(*row) for row in database.execute(_NEWEST)]


def holding(entries: Iterable[Entry], now: Instant, boot: str) -> Current:
    """Return those of `entries` that hold `now`."""
    maintenance, snoozes = {}, {}
    for entry in entries:
        if entry.left(now, boot) > 0:
            mark = Mark(entry.id, entry.until(now, boot), entry.by)
            if entry.kind == MAINTENANCE:
                maintenance[entry.camera] = mark
            else:
                snoozes[entry.camera, entry.label] = mark
    return Current(maintenance, snoozes)
