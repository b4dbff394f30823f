"""STATE/judgements.sqlite3: every judgement and undo, and an audit line of who did what. Nothing in it is changed."""

import contextlib
import json
import sqlite3
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..clock import iso
from ..durable_sqlite import disk, open_database, transaction
from .precision import Precision, precisions
from .records import Judgement, read_judgement

DATABASE = "judgements.sqlite3"
VERSION = 1  # of the tables
AT_ONCE = 500  # values in one query
MOST_WAITING = 20_000  # entries that are read for one archive
MOST_TRUE_LABELS = 50  # that are offered again

_TABLES = """
CREATE TABLE entries (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    event TEXT NOT NULL,
    judge TEXT NOT NULL,
    captured TEXT NOT NULL,     -- when the frame was taken
    undoes TEXT,                -- the id of the judgement that this entry takes back; NULL: it is a judgement
    document TEXT NOT NULL
);
CREATE INDEX by_event ON entries (event, seq);
CREATE INDEX by_time ON entries (captured);
CREATE INDEX by_judge ON entries (judge, seq);
CREATE UNIQUE INDEX undone ON entries (undoes) WHERE undoes IS NOT NULL;
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    time TEXT NOT NULL,
    who TEXT NOT NULL,
    address TEXT NOT NULL,
    what TEXT NOT NULL,
    subject TEXT NOT NULL
);
CREATE TABLE departed (        -- what has left in an archive: ids of entries, and `picture` with the id of an event
    subject TEXT PRIMARY KEY,
    archive TEXT NOT NULL,
    time TEXT NOT NULL
) WITHOUT ROWID;
CREATE TRIGGER entries_stay BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'entries are never changed'); END;
CREATE TRIGGER entries_last BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'entries are never deleted'); END;
CREATE TRIGGER audit_stays BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is never changed'); END;
CREATE TRIGGER audit_lasts BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is never deleted'); END;
"""

_VALID = "undoes IS NULL AND NOT EXISTS (SELECT 1 FROM entries AS later WHERE later.undoes = entries.id)"


@dataclass(frozen=True)
class Entry:
    """One line of the store: a judgement, or the undo of one, whose id is `undoes`."""

    id: str
    judgement: Judgement | None
    undoes: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the entry for an archive."""
        return self.judgement.to_json() if self.judgement else {"id": self.id, "undoes": self.undoes}


@dataclass(frozen=True)
class AuditLine:
    """Who did what, when, from which address, and to what."""

    time: str
    who: str
    address: str
    what: str
    subject: str


class Judgements:
    """The store of a station. May be used by several threads; its file by several processes."""

    def __init__(self, state_dir: Path, repair: bool = False) -> None:
        """Open, or make, the store below `state_dir`, which exists; `repair`: set a damaged file aside, begin anew.

        UnavailableError where the disk does not let us, InputError where a later rarefault has written it.
        """
        self._lock = threading.RLock()
        self._precision: tuple[object, list[Precision]] = (None, [])  # the last question, and its answer
        path = state_dir / DATABASE
        with disk(f"the judgements in {path}"):
            self._database = open_database(path, _TABLES, VERSION, repair)

    def add(self, judgement: Judgement) -> None:
        """Keep `judgement`; when this returns, it survives a power cut. One that is there already is left alone."""
        row = (judgement.id, judgement.event, judgement.judge, judgement.captured, json.dumps(judgement.to_json()))
        with self._lock, disk("a judgement"), transaction(self._database) as database:
            database.execute(
                "INSERT OR IGNORE INTO entries (id, event, judge, captured, document) VALUES (?, ?, ?, ?, ?)", row
            )

    def undo(self, judge: str, identity: str = "") -> Judgement | None:
        """Take back the valid judgement with the id `identity`, "": the newest, of this person and return it.

        None where there is none.
        """
        query = f"SELECT document FROM entries WHERE judge = ? AND ? IN ('', id) AND {_VALID} ORDER BY seq DESC LIMIT 1"
        with self._lock, disk("an undo"), transaction(self._database) as database:
            row = database.execute(query, (judge, identity)).fetchone()
            if row is None:
                return None
            judgement = read_judgement(json.loads(row[0]))
            document = json.dumps({"time": iso(time.time())})
            database.execute(
                "INSERT INTO entries (id, event, judge, captured, undoes, document) VALUES (?, ?, ?, ?, ?, ?)",
                (str(uuid.uuid4()), judgement.event, judge, judgement.captured, judgement.id, document),
            )
            return judgement

    def latest(self, events: Sequence[str]) -> dict[str, Judgement]:
        """Return the newest valid judgement of each of these events that has one."""
        found: dict[str, Judgement] = {}
        for start in range(0, len(events), AT_ONCE):
            part = events[start : start + AT_ONCE]
            marks = ",".join("?" * len(part))
            rows = self._rows(f"event IN ({marks}) AND {_VALID} ORDER BY seq", *part)
            found.update({judgement.event: judgement for judgement in rows})
        return found

    def of_event(self, event: str) -> list[Judgement]:
        """Return what each judge last said of an event, oldest first."""
        by_judge = {
            judgement.judge: judgement for judgement in self._rows(f"event = ? AND {_VALID} ORDER BY seq", event)
        }
        return sorted(by_judge.values(), key=lambda judgement: judgement.time)

    def true_labels(self) -> list[str]:
        """Return what persons have called alarms of another class, the newest first, each once."""
        query = "SELECT json_extract(document, '$.true_label') AS said, max(seq) FROM entries "
        query += f"WHERE said != '' AND {_VALID} GROUP BY said ORDER BY max(seq) DESC LIMIT ?"
        return [said for said, _ in self._select(query, MOST_TRUE_LABELS)]

    def judged_events(self, since: str = "") -> dict[str, Judgement]:
        """Return the newest valid judgement of every event whose frame was captured at `since` (ISO 8601) or later."""
        rows = self._rows(f"captured >= ? AND {_VALID} ORDER BY seq", since)
        return {judgement.event: judgement for judgement in rows}

    def precision(self, since: str = "", by_week: bool = True) -> list[Precision]:
        """Return the share of right alarms by camera, label and week, of frames captured at `since` or later.

        It is counted once for the same question, until somebody judges or undoes.
        """
        ((newest,),) = self._select("SELECT coalesce(max(seq), 0) FROM entries")
        question, (known, counted) = (since, by_week, newest), self._precision
        if question != known:
            counted = precisions(self.judged_events(since).values(), by_week)
            self._precision = question, counted
        return list(counted)

    def waiting(self) -> list[Entry]:
        """Return judgements and undos that have left in no archive yet, the oldest first and only so many."""
        query = "SELECT id, undoes, document FROM entries WHERE NOT EXISTS "
        query += "(SELECT 1 FROM departed WHERE subject = entries.id) ORDER BY seq LIMIT ?"
        return [_entry(row) for row in self._select(query, MOST_WAITING)]

    def departed(self, subjects: Sequence[str]) -> set[str]:
        """Return which of these have left in an archive: ids of entries, and `picture_subject` of events."""
        found: set[str] = set()
        for part in (subjects[start : start + AT_ONCE] for start in range(0, len(subjects), AT_ONCE)):
            marks = ",".join("?" * len(part))
            query = f"SELECT subject FROM departed WHERE subject IN ({marks})"
            found |= {subject for (subject,) in self._select(query, *part)}
        return found

    def waiting_pictures(self) -> list[str]:
        """Return the judged events, oldest judgement first, whose picture has left in no archive yet."""
        query = (
            "SELECT event FROM entries WHERE NOT EXISTS (SELECT 1 FROM departed WHERE subject = 'picture ' || event) "
        )
        return [event for (event,) in self._select(query + "GROUP BY event ORDER BY min(seq)")]

    def note_departed(self, archive: str, subjects: Sequence[str]) -> None:
        """Note that these have left in the archive of that name ("": are gone), so that no later one holds them."""
        rows = [(subject, archive, iso(time.time())) for subject in subjects]
        with self._lock, disk("what has left"), transaction(self._database) as database:
            database.executemany("INSERT OR IGNORE INTO departed (subject, archive, time) VALUES (?, ?, ?)", rows)

    def archives(self) -> int:
        """Count the archives that have left."""
        return int(self._select("SELECT count(DISTINCT archive) FROM departed WHERE archive != ''")[0][0])

    def audit(self, who: str, address: str, what: str, subject: str) -> None:
        """Add a line on who did what, from which address, and to what. It is never changed or removed."""
        row = (iso(time.time()), who, address, what, subject)
        with self._lock, disk("an audit line"), transaction(self._database) as database:
            database.execute("INSERT INTO audit (time, who, address, what, subject) VALUES (?, ?, ?, ?, ?)", row)

    def audit_lines(self, limit: int = 100) -> list[AuditLine]:
        """Return the newest audit lines, newest first."""
        query = "SELECT time, who, address, what, subject FROM audit ORDER BY seq DESC LIMIT ?"
        return [AuditLine(*row) for row in self._select(query, limit)]

    def close(self) -> None:
        """Close the database. Nothing is lost where a crash keeps it from being called."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            self._database.close()

    def _rows(self, where: str, *values: object) -> list[Judgement]:
        rows = self._select(f"SELECT document FROM entries WHERE {where}", *values)
        return [read_judgement(json.loads(document)) for (document,) in rows]

    def _select(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock, disk("the judgements"):
            return self._database.execute(query, values).fetchall()


def picture_subject(event: str) -> str:
    """Return how `departed` calls the picture of an event."""
    return f"picture {event}"


def _entry(row: Sequence[Any]) -> Entry:
    identity, undoes, document = row
    return Entry(identity, None if undoes else read_judgement(json.loads(document)), undoes or "")
