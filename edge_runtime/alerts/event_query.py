"""Selects events of an outbox that another process writes: read-only, by kind, camera, label, time and what is judged.

Every call opens the database for itself, so that any thread may ask, and a database that was set aside is left at once.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..clock import iso
from ..durable_sqlite import disk, open_read_only
from .events import ALARM
from .outbox import COLUMNS, DATABASE, Entry, entry_of

BATCH = 500  # ids that are looked at at once where another database knows what is wanted


@dataclass(frozen=True)
class Selection:
    """Which events are wanted, newest first; what is empty or None does not narrow.

    `since` and `until` are seconds since 1970, of the capture. `before` is the number of an entry: only older ones.
    `keep` is given the ids of some entries and returns those that are wanted, for what another database knows.
    """

    kind: str = ALARM
    cameras: Collection[str] = ()
    labels: Collection[str] = ()
    since: float | None = None
    until: float | None = None
    before: int | None = None
    tests: bool = False  # whether test alarms are listed too
    keep: Callable[[Sequence[str]], Collection[str]] | None = None
    limit: int = 50


class EventQuery:
    """Reads the outbox of `state_dir`, empty where it is not there; UnavailableError where it is unreadable."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir, self._path = state_dir, state_dir / DATABASE
        self._labels: tuple[int, tuple[str, ...]] = (-1, ())  # the newest entry, and the labels up to it

    def select(self, wanted: Selection) -> list[Entry]:
        """Return at most `limit` entries, newest first."""
        where, values = _conditions(wanted)
        with self._opened() as base:
            if base is None:
                return []
            if wanted.keep is not None:
                numbers = _kept(base, wanted, where, values)
                where, values = f"seq IN ({','.join('?' * len(numbers))}) AND seq < ?", list[object](numbers)
            query = f"SELECT {COLUMNS} FROM events WHERE {where} ORDER BY seq DESC LIMIT ?"
            before = wanted.before or 1 << 62
            return [entry_of(self._state_dir, row) for row in base.execute(query, (*values, before, wanted.limit))]

    def alarm_labels(self, since: float, until: float | None = None) -> list[tuple[str, str]]:
        """Return (id, label) of every alarm captured from `since` until `until` (seconds since 1970), tests apart."""
        where, values = _conditions(Selection(since=since, until=until))
        query = f"SELECT id, json_extract(document, '$.label') FROM events WHERE {where} ORDER BY seq"
        with self._opened() as base:
            rows = [] if base is None else base.execute(query, (*values, 1 << 62)).fetchall()
        return [(identity, label or "") for identity, label in rows]

    def by_id(self, identity: str) -> Entry | None:
        """Return the entry of this id, None where there is none."""
        with self._opened() as base:
            if base is None:
                return None
            row = base.execute(f"SELECT {COLUMNS} FROM events WHERE id = ?", (identity,)).fetchone()
        return entry_of(self._state_dir, row) if row else None

    def deliveries(self, seq: int) -> dict[str, tuple[str, str]]:
        """Return by sink the state of entry `seq`, and the reason where that is parked."""
        query = "SELECT sink, state, reason FROM deliveries WHERE seq = ? ORDER BY sink"
        with self._opened() as base:
            return {} if base is None else {sink: (state, why) for sink, state, why in base.execute(query, (seq,))}

    def counts(self) -> dict[str, dict[str, int]]:
        """Return by sink how many deliveries are in which state, other than delivered."""
        query = "SELECT sink, state, count(*) FROM deliveries WHERE state != 'delivered' GROUP BY sink, state"
        found: dict[str, dict[str, int]] = {}
        with self._opened() as base:
            for sink, state, count in base.execute(query) if base is not None else ():
                found.setdefault(sink, {})[state] = count
        return found

    def newest(self) -> int:
        """Return the number of the newest alarm, 0 where there is none: it grows when something happens."""
        with self._opened() as base:
            return 0 if base is None else _newest(base)

    def labels(self) -> tuple[str, ...]:
        """Return every label that an alarm bears, in the order of the alphabet."""
        query = "SELECT DISTINCT json_extract(document, '$.label') FROM events WHERE kind = ? AND seq > ?"
        with self._opened() as base:
            if base is None:
                return ()
            newest, (seen, labels) = _newest(base), self._labels
            if newest != seen:
                fresh = {label for (label,) in base.execute(query, (ALARM, seen)) if label}
                labels = tuple(sorted({*labels, *fresh}))
                self._labels = newest, labels
        return labels

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection | None]:
        if not self._path.exists():
            yield None
            return
        with disk(f"the outbox in {self._state_dir}"), closing(open_read_only(self._path)) as base:
            yield base


def _kept(base: sqlite3.Connection, wanted: Selection, where: str, values: Sequence[object]) -> list[int]:
    """Return the numbers of the newest entries that `keep` wants too, at most `limit`; few documents are read so."""
    query = f"SELECT seq, id FROM events WHERE {where} ORDER BY seq DESC LIMIT {BATCH}"
    found: list[int] = []
    before = wanted.before or 1 << 62
    while wanted.keep is not None and len(found) < wanted.limit:
        rows = base.execute(query, (*values, before)).fetchall()
        kept = wanted.keep([identity for _, identity in rows])
        found += [seq for seq, identity in rows if identity in kept]
        if len(rows) < BATCH:
            break
        before = rows[-1][0]
    return found[: wanted.limit]


def _newest(base: sqlite3.Connection) -> int:
    return int(base.execute("SELECT coalesce(max(seq), 0) FROM events WHERE kind = ?", (ALARM,)).fetchone()[0])


def _conditions(wanted: Selection) -> tuple[str, list[object]]:
    """Return the text of WHERE, whose last condition is on the number of the entry, and the values of the others."""
    parts, values = ["kind = ?"], [wanted.kind]  # type: tuple[list[str], list[object]]
    if wanted.cameras:
        parts.append(f"camera IN ({','.join('?' * len(wanted.cameras))})")
        values += wanted.cameras
    if wanted.labels:
        parts.append(f"json_extract(document, '$.label') IN ({','.join('?' * len(wanted.labels))})")
        values += wanted.labels
    for moment, compared in ((wanted.since, ">="), (wanted.until, "<")):
        if moment is not None:
            parts.append(f"json_extract(document, '$.time') {compared} ?")
            values.append(iso(moment))
    if not wanted.tests:
        parts.append("coalesce(json_extract(document, '$.test'), 0) = 0")
    return " AND ".join([*parts, "seq < ?"]), values
