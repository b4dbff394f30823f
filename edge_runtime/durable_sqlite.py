"""SQLite databases that survive a power cut: flushed at each commit, checked when opened, set aside when damaged."""

import contextlib
import logging
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from .bundle.errors import InputError, UnavailableError

DAMAGED = ".damaged-"  # and a number: a database that was set aside
LEAST_FILES = 16  # that a disk must still be able to take
LOG_BYTES = 4 << 20  # to which SQLite cuts its log
BUSY_SECONDS, RETRY_SECONDS = 10.0, 0.02  # for which another process is waited for, and between two tries

log = logging.getLogger(__name__)


class DamagedError(UnavailableError):
    """The database is no longer one."""


def open_database(path: Path, tables: str, version: int, repair: bool) -> sqlite3.Connection:
    """Open or make the database; `tables` is the SQL that makes `version` of it.

    `repair`: set one that is damaged aside and begin a new one. InputError where a later version has written it;
    errors of SQLite and the disk come as they are, see `disk`.
    """
    try:
        return _prepared(path, tables, version)
    except sqlite3.DatabaseError as error:
        if not repair or not _is_damage(error):
            raise
        log.error("%s: %s; it is set aside, and the night goes on with a new one", path, error)
    set_aside(path)
    return _prepared(path, tables, version)


def open_read_only(path: Path, seconds: float = 5.0) -> sqlite3.Connection:
    """Open a database that another process writes, waiting at most `seconds` for it; errors come as they are.

    Any thread may use and close it, one at a time.
    """
    return sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=seconds, check_same_thread=False)


def _is_damage(error: Exception) -> bool:
    """Whether the database is damaged: SQLite raises the bare class for a file that is malformed or no database."""
    return type(error) is sqlite3.DatabaseError


def _prepared(path: Path, tables: str, version: int) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        (seen,) = database.execute("PRAGMA user_version").fetchone()
        if seen > version:
            raise InputError(f"{path} has version {seen}, this rarefault reads {version}; install the later rarefault")
        _write_ahead(database)
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA foreign_keys = ON")
        database.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        if seen < version:
            _make(database, tables, version)
        (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(f"quick_check says {verdict}")
    except BaseException:
        database.close()
        raise
    return database


def _write_ahead(database: sqlite3.Connection) -> None:
    """Use a write-ahead log. SQLite itself does not wait here for another process that does the same to a new file."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            database.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(RETRY_SECONDS)


def _make(database: sqlite3.Connection, tables: str, version: int) -> None:
    """Make the tables, unless another process that opened the new file in the same moment has made them."""
    try:
        database.executescript(f"BEGIN IMMEDIATE; {tables} PRAGMA user_version = {version}; COMMIT;")
    except sqlite3.OperationalError:
        with contextlib.suppress(sqlite3.Error):
            database.execute("ROLLBACK")
        if database.execute("PRAGMA user_version").fetchone() != (version,):
            raise


def set_aside(path: Path) -> None:
    """Rename the closed database, so that a new one can take its place and this one can be examined."""
    aside = f"{path.name}{DAMAGED}{time.time_ns()}"
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.replace(path.with_name(aside + suffix))


@contextlib.contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Put all of the block on disk, or nothing of it."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield database
        database.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back by itself
            database.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def disk(what: str) -> Iterator[None]:
    """Turn what the disk and SQLite raise about `what` into UnavailableError, or DamagedError."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        kind = DamagedError if _is_damage(error) else UnavailableError
        raise kind(f"{what} cannot be kept or read ({error}); free or check the disk") from error


def is_full(folder: Path, wanted: int) -> bool:
    """Whether the disk lacks `wanted` bytes, or names for files."""
    if not hasattr(os, "statvfs"):  # Windows
        return shutil.disk_usage(folder).free < wanted
    try:
        room = os.statvfs(folder)
    except OSError:
        return False
    return room.f_bavail * room.f_frsize < wanted or (room.f_files > 0 and room.f_favail < LEAST_FILES)
