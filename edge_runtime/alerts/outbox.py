"""The outbox: an event is on disk before it is sent, and stays until every sink has it.

Pictures are files, written and flushed first; then one transaction commits the event with one delivery for each sink.
So a committed event always has its pictures, and a crash in between leaves files that `sweep` removes. Files, and not
blobs in the database, because on a full disk a file can still be deleted and a row cannot.
"""

import contextlib
import json
import logging
import sqlite3
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..bundle.errors import UnavailableError
from ..bundle.files import replace_file, sha256_bytes
from ..durable_sqlite import DAMAGED, DamagedError, disk, is_full, open_database, set_aside, transaction
from .events import ALARM, FEEDBACK, HEARTBEAT, SAMPLE, UPDATE, Record

DATABASE = "outbox.sqlite3"
FOLDERS = {ALARM: "evidence", UPDATE: "evidence", HEARTBEAT: "evidence", SAMPLE: "samples", FEEDBACK: "feedback"}
SUFFIXES = {FEEDBACK: "zip"}  # of the files of a kind; of all others jpg
# Smaller is sent first. Heartbeats and samples have the ranks of 0.1.0, whose outboxes are read, and which reads ours.
RANKS = {ALARM: -1, UPDATE: 0, HEARTBEAT: 1, SAMPLE: 2, FEEDBACK: 3}
VERSION = 1  # of the tables
PRUNED_AT_ONCE = 50  # events
ROOM_TO_OPEN = 8 << 20  # bytes that SQLite is given on a disk too full to open the outbox

COLUMNS = "seq, id, kind, camera, document, pictures"  # of an event, as `entry_of` takes them
PENDING, DELIVERED, PARKED = "pending", "delivered", "parked"

_TABLES = """
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    rank INTEGER NOT NULL,      -- of the kind: smaller is sent first
    camera TEXT NOT NULL,
    document TEXT NOT NULL,
    pictures TEXT NOT NULL,     -- {name: {file, bytes, sha256}}, files relative to the state folder
    bytes INTEGER NOT NULL      -- of the pictures that are still kept
);
CREATE TABLE deliveries (
    seq INTEGER NOT NULL REFERENCES events ON DELETE CASCADE,
    sink TEXT NOT NULL,
    state TEXT NOT NULL,
    rank INTEGER NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (sink, seq)
) WITHOUT ROWID;
CREATE INDEX waiting ON deliveries (sink, rank, seq) WHERE state = 'pending';
CREATE INDEX parked ON deliveries (sink, seq) WHERE state = 'parked';
CREATE INDEX by_event ON deliveries (seq);
CREATE INDEX by_kind ON events (kind, seq);
CREATE INDEX kept ON events (rank DESC, seq, bytes) WHERE bytes > 0;
"""


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """A committed event, as a sink gets it. `pictures` are files that may be gone by now."""

    seq: int
    id: str
    kind: str
    camera: str
    document: Mapping[str, Any]
    pictures: Mapping[str, Path]


@dataclass(frozen=True)
class Budget:
    """The bytes of pictures to keep: those of `samples` alone, and in `total`."""

    total: int = 4 << 30
    samples: int = 1 << 30


class Outbox:
    """`state_dir/outbox.sqlite3` and the pictures beside it. May be used by several threads."""

    def __init__(
        self,
        state_dir: Path,
        sinks: Sequence[str],
        budget: Budget | None = None,
        unsent: Collection[str] = (),
        repair: bool = True,
    ) -> None:
        """Open, or make, the outbox for these sinks; kinds that are `unsent` are kept, and offered to none.

        `repair`: set a damaged database aside and begin a new one; only for the process that commits. UnavailableError
        where the disk does not let us, InputError where a later rarefault has written it.
        """
        self._state_dir, self.sinks, self._budget = state_dir, tuple(sinks), budget or Budget()
        self._unsent = frozenset(unsent)
        self._lock = threading.RLock()
        try:
            self._database = _opened(state_dir, repair)
        except UnavailableError:
            if not repair or not is_full(state_dir, ROOM_TO_OPEN):
                raise
            _delete_oldest(state_dir / FOLDERS[SAMPLE], ROOM_TO_OPEN)
            self._database = _opened(state_dir, repair)

    def commit(self, record: Record) -> None:
        """Keep `record`; when this returns, it survives a power cut. A record that is already there is left alone.

        UnavailableError where the disk is full or fails; nothing is kept then.
        """
        with self._lock:
            try:
                self._keep(record)
            except DamagedError as error:
                log.error("%s; it is set aside, and the night goes on with a new one", error)
                self._begin_anew()
                self._keep(record)
        self.prune()

    def _keep(self, record: Record) -> None:
        with disk(f"the event {record.id}"):
            if self._one("SELECT 1 FROM events WHERE id = ?", record.id):
                for name in record.pictures:  # they are gone where a commit was reported as failed and was not
                    if not (self._state_dir / _file(record, name)).exists():
                        self._write(record, name, record.pictures[name])
                return
            try:
                pictures = {name: self._write(record, name, data) for name, data in record.pictures.items()}
                self._insert(record, pictures)
            except BaseException:
                self._remove(_file(record, name) for name in record.pictures)
                raise

    def _begin_anew(self) -> None:
        self.close()
        set_aside(self._state_dir / DATABASE)
        self._database = _opened(self._state_dir, repair=True)

    def next(self, sink: str, without_cameras: Collection[str] = (), without: Collection[int] = ()) -> Entry | None:
        """Return what `sink` should be sent next, by RANKS, each kind in the order of commits.

        `without_cameras` and `without` (numbers of entries) are passed over.
        """
        marks = (",".join("?" * len(without_cameras)), ",".join("?" * len(without)))
        query = (
            f"SELECT {COLUMNS} FROM deliveries JOIN events USING (seq) "
            f"WHERE sink = ? AND state = 'pending' AND camera NOT IN ({marks[0]}) AND seq NOT IN ({marks[1]}) "
            "ORDER BY deliveries.rank, seq LIMIT 1"
        )
        with self._lock, disk("the outbox"):
            row = self._one(query, sink, *without_cameras, *without)
        return entry_of(self._state_dir, row) if row else None

    def delivered(self, sink: str, seq: int) -> None:
        """Note that `sink` has acknowledged entry `seq`. UnavailableError where the disk does not take the note."""
        self._mark(sink, seq, DELIVERED, "")
        self.prune()

    def park(self, sink: str, seq: int, reason: str) -> None:
        """Note that `sink` will never take entry `seq`, because of `reason`: it is kept, and sent no more."""
        self._mark(sink, seq, PARKED, reason)

    def retry_parked(self) -> int:
        """Send what was parked once more, after its cause was mended; return how many deliveries that are."""
        query = "UPDATE deliveries SET state = 'pending', reason = '' WHERE state = 'parked'"
        with self._lock, disk("the outbox"), transaction(self._database) as database:
            return database.execute(query).rowcount

    def pending(self, sink: str) -> int:
        """Count the deliveries that `sink` still has to take."""
        return self._count(sink, PENDING)

    def waits(self, kind: str) -> bool:
        """Whether any sink still has to take an entry of `kind`."""
        query = "SELECT 1 FROM deliveries WHERE state = 'pending' AND rank = ? AND sink = ? LIMIT 1"
        with self._lock, disk("the outbox"):
            return any(self._one(query, RANKS[kind], sink) for sink in self.sinks)

    def parked(self, sink: str) -> int:
        """Count the deliveries that `sink` has refused for good."""
        return self._count(sink, PARKED)

    def states(self, seq: int) -> dict[str, tuple[str, str]]:
        """Return by sink the state of entry `seq`, and the reason where that is parked."""
        with self._lock, disk("the outbox"):
            query = "SELECT sink, state, reason FROM deliveries WHERE seq = ? ORDER BY sink"
            return {sink: (state, reason) for sink, state, reason in self._database.execute(query, (seq,))}

    def recent(self, kind: str, limit: int = 100) -> list[Entry]:
        """Return the newest entries of `kind`, newest first."""
        query = f"SELECT {COLUMNS} FROM events WHERE kind = ? ORDER BY seq DESC LIMIT ?"
        with self._lock, disk("the outbox"):
            return [entry_of(self._state_dir, row) for row in self._database.execute(query, (kind, limit)).fetchall()]

    def oldest(self, kind: str, after: int = 0, limit: int = 100) -> list[Entry]:
        """Return entries of `kind` behind number `after`, oldest first."""
        query = f"SELECT {COLUMNS} FROM events WHERE kind = ? AND seq > ? "
        with self._lock, disk("the outbox"):
            rows = self._database.execute(query + "ORDER BY seq LIMIT ?", (kind, after, limit)).fetchall()
        return [entry_of(self._state_dir, row) for row in rows]

    def find(self, identity: str) -> Entry | None:
        """Return the entry with this id, if it is known."""
        query = f"SELECT {COLUMNS} FROM events WHERE id = ?"
        with self._lock, disk("the outbox"):
            row = self._one(query, identity)
        return entry_of(self._state_dir, row) if row else None

    def kept_bytes(self, kind: str | None = None) -> int:
        """Return the bytes of pictures on disk, of one kind or of all."""
        rank = None if kind is None else RANKS[kind]
        with self._lock, disk("the outbox"):
            query = "SELECT coalesce(sum(bytes), 0) FROM events WHERE bytes > 0 AND rank = coalesce(?, rank)"
            return int(self._one(query, rank)[0])

    def prune(self) -> None:
        """Keep the budget: the oldest samples go first, then pictures of the oldest alarms that every sink has.

        Archives of feedback go as soon as every sink has them.

        At most PRUNED_AT_ONCE events at once, so that no caller waits for long; the next commit goes on.
        """
        with self._lock, contextlib.suppress(UnavailableError), disk("the pictures"):
            for _ in range(PRUNED_AT_ONCE):
                if self._drop([FEEDBACK]):  # all of it lies in receivers, and its pictures in other events
                    continue
                if self.kept_bytes(SAMPLE) > self._budget.samples:
                    dropped = self._drop([SAMPLE])
                elif self.kept_bytes() > self._budget.total:
                    dropped = self._drop([SAMPLE, ALARM])
                else:
                    return
                if not dropped:
                    return

    def make_room(self, wanted: int) -> bool:
        """Drop as `prune` does on a full disk until `wanted` bytes are free; return whether any could be freed.

        A disk that fails without being full is left alone. Files go first, since that needs no room; rows that cannot
        follow yet are noted by a later call.
        """
        freed, gone = 0, []
        if not is_full(self._state_dir, wanted):
            return False
        with self._lock, contextlib.suppress(UnavailableError), disk("the pictures"):
            for seq, kind, pictures in self._droppable([FEEDBACK, SAMPLE, ALARM]):
                if freed >= wanted:
                    break
                freed += self._remove(_files(pictures))
                gone.append((seq, kind))
            self._note_dropped(gone)
        return freed > 0

    def picture_times(self) -> dict[str, tuple[str, str]]:
        """Return by id when each event that has pictures was recorded (ISO 8601), and how far its clock was trusted."""
        fields = "json_extract(document, '$.recorded'), json_extract(document, '$.clock')"
        with self._lock, disk("the outbox"):
            rows = self._database.execute(f"SELECT id, {fields} FROM events WHERE bytes > 0").fetchall()
        return {identity: (recorded or "", clock or "") for identity, recorded, clock in rows}

    def forget_pictures(self, files: Iterable[str]) -> None:
        """Note that pictures, as paths below the state folder, are deleted because of their age, delivered or not.

        An event that waits leaves without them; a sample is nothing without its picture, and goes.
        """
        with self._lock, disk("the outbox"), transaction(self._database) as database:
            for identity in {event_of(file) for file in files}:
                database.execute("DELETE FROM events WHERE id = ? AND kind = ?", (identity, SAMPLE))
                database.execute("UPDATE events SET bytes = 0 WHERE id = ?", (identity,))

    def sweep(self) -> None:
        """Remove pictures that no event mentions, left by a crash. Only for the process that commits, at its start.

        Where a damaged database was set aside, its pictures are what is left of its events: then nothing is removed.
        """
        if any(self._state_dir.glob(f"{DATABASE}{DAMAGED}*")):
            return
        with self._lock, disk("the outbox"):
            known = {
                picture["file"]
                for (pictures,) in self._database.execute("SELECT pictures FROM events WHERE bytes > 0")
                for picture in json.loads(pictures).values()
            }
            for folder in sorted({*FOLDERS.values()}):
                files = [
                    path
                    for ending in ("*.jpg", "*.zip", ".spare-*")
                    for path in (self._state_dir / folder).glob(ending)
                ]
                for path in files:
                    if f"{folder}/{path.name}" not in known:
                        path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the database. Nothing is lost where a crash keeps it from being called."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            self._database.close()

    def _write(self, record: Record, name: str, data: bytes) -> dict[str, Any]:
        file = _file(record, name)
        replace_file(self._state_dir / file, data)
        return {"file": file, "bytes": len(data), "sha256": sha256_bytes(data)}

    def _insert(self, record: Record, pictures: Mapping[str, Mapping[str, Any]]) -> None:
        rank = RANKS[record.kind]
        document = {**record.document, **({"pictures": pictures} if pictures else {})}
        row = (record.id, record.kind, rank, record.camera, json.dumps(document), json.dumps(pictures))
        with transaction(self._database) as database:
            if record.kind == HEARTBEAT:  # a new one says all that an old one did
                database.execute("DELETE FROM events WHERE kind = ?", (HEARTBEAT,))
            seq = database.execute(
                "INSERT INTO events (id, kind, rank, camera, document, pictures, bytes) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*row, sum(picture["bytes"] for picture in pictures.values())),
            ).lastrowid
            database.executemany(
                "INSERT INTO deliveries (seq, sink, state, rank) VALUES (?, ?, 'pending', ?)",
                [(seq, sink, rank) for sink in self.sinks if record.kind not in self._unsent],
            )

    def _mark(self, sink: str, seq: int, state: str, reason: str) -> None:
        query = "UPDATE deliveries SET state = ?, reason = ? WHERE sink = ? AND seq = ?"
        with self._lock, disk("a delivery"), transaction(self._database) as database:
            database.execute(query, (state, reason, sink, seq))

    def _drop(self, kinds: Sequence[str]) -> bool:
        """Drop the first that may go; return whether there was one."""
        row = self._droppable(kinds).fetchone()
        if row is None:
            return False
        seq, kind, pictures = row
        self._remove(_files(pictures))
        self._note_dropped([(seq, kind)])
        return True

    def _droppable(self, kinds: Sequence[str]) -> sqlite3.Cursor:
        """Select (seq, kind, pictures) of what may go: what every sink has, and samples in any case, which go first."""
        marks, sinks = ",".join("?" * len(kinds)), ",".join("?" * len(self.sinks))
        return self._database.execute(
            f"SELECT seq, kind, pictures FROM events WHERE bytes > 0 AND kind IN ({marks}) AND (kind = '{SAMPLE}' OR "
            "NOT EXISTS (SELECT 1 FROM deliveries WHERE deliveries.seq = events.seq AND state != 'delivered' "
            f"AND sink IN ({sinks}))) ORDER BY rank DESC, seq",
            (*kinds, *self.sinks),
        )

    def _note_dropped(self, gone: Sequence[tuple[int, str]]) -> None:
        """Delete the rows of samples, which are nothing without their pictures; the row of an alarm stays."""
        with transaction(self._database) as database:
            for seq, kind in gone:
                query = "DELETE FROM events" if kind == SAMPLE else "UPDATE events SET bytes = 0"
                database.execute(f"{query} WHERE seq = ?", (seq,))

    def _remove(self, files: Iterable[str]) -> int:
        """Delete pictures; return the bytes freed."""
        return sum(_deleted(self._state_dir / file) for file in files)

    def _count(self, sink: str, state: str) -> int:
        # The state stands in the query's text, where SQLite sees that a partial index has all the rows.
        with self._lock, disk("the outbox"):
            row = self._one(f"SELECT count(*) FROM deliveries WHERE sink = ? AND state = '{state}'", sink)
        return int(row[0])

    def _one(self, query: str, *values: object) -> Any:
        return self._database.execute(query, values).fetchone()


def entry_of(state_dir: Path, row: Sequence[Any]) -> Entry:
    """Return the entry in a row of COLUMNS from the outbox of `state_dir`."""
    seq, identity, kind, camera, document, pictures = row
    files = {name: state_dir / picture["file"] for name, picture in json.loads(pictures).items()}
    return Entry(seq, identity, kind, camera, json.loads(document), files)


def _opened(state_dir: Path, repair: bool) -> sqlite3.Connection:
    with disk(f"the outbox in {state_dir}"):
        for folder in sorted({*FOLDERS.values()}):
            (state_dir / folder).mkdir(parents=True, exist_ok=True)
        return open_database(state_dir / DATABASE, _TABLES, VERSION, repair)


def _file(record: Record, name: str) -> str:
    """Return the path of a picture relative to the state folder."""
    return f"{FOLDERS[record.kind]}/{record.id}.{name}.{SUFFIXES.get(record.kind, 'jpg')}"


def event_of(path: str) -> str:
    """Return the id of the event that a file, as a path below the state folder, belongs to."""
    return path.rpartition("/")[2].partition(".")[0]


def _files(pictures: str) -> list[str]:
    return [picture["file"] for picture in json.loads(pictures).values()]


def _deleted(path: Path) -> int:
    """Delete the file; return the bytes freed, 0 where it was not there."""
    try:
        size = path.stat().st_size
        path.unlink()
    except OSError:
        return 0
    return size


def _delete_oldest(folder: Path, wanted: int) -> None:
    """Delete the oldest pictures in `folder` until `wanted` bytes are free."""
    freed = 0
    with contextlib.suppress(OSError):
        for path in sorted(folder.glob("*.jpg"), key=lambda path: path.stat().st_mtime_ns):
            if freed >= wanted:
                break
            freed += _deleted(path)
