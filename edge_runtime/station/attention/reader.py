"""What the service knows of the attention list, which the page writes: read again when it has changed, not written."""

import contextlib
import logging
import sqlite3
from pathlib import Path

from ...clock import Instant, boot_id
from ...durable_sqlite import open_read_only
from .attention import DATABASE, NOTHING, VERSION, Current, Entry, holding, newest_entries

WAIT_SECONDS = 0.2  # for the page to finish what it writes; the service has frames to judge

log = logging.getLogger(__name__)


class AttentionReader:
    """Knows what holds of the list of `state_dir`. One thread calls `tick`; any may read `current`.

    A list that cannot be read is said once in the log, and what was known of it holds on until it ends.
    """

    def __init__(self, state_dir: Path) -> None:
        self._path, self._boot = state_dir / DATABASE, boot_id()
        self._database: sqlite3.Connection | None = None
        self._seen: tuple[int, int] = (0, 0)  # the file, and SQLite's number of what stands in it
        self._entries: list[Entry] = []
        self._trouble = ""
        self.current: Current = NOTHING

    def tick(self, now: Instant) -> Current:
        """Return what holds `now`. Call it about once a second; it costs nothing where the list has not changed."""
        try:
            self._read()
        except (OSError, sqlite3.Error) as error:
            self._seen = (0, 0)
            if str(error) != self._trouble:
                log.error("%s cannot be read (%s); snoozes and maintenance stay as they were", self._path, error)
            self._trouble = str(error)
        else:
            self._trouble = ""
        self.current = holding(self._entries, now, self._boot)
        return self.current

    def marks(self, camera: str, label: str) -> dict[str, dict[str, str]]:
        """Return what an alarm for `label` of `camera` has to bear, as its document holds it; nothing as a rule."""
        found = {"maintenance": self.current.maintenance.get(camera), "snoozed": self.current.snoozed(camera, label)}
        return {name: mark.to_json() for name, mark in found.items() if mark is not None}

    def maintained(self, camera: str) -> bool:
        """Whether the camera is under maintenance."""
        return camera in self.current.maintenance

    def close(self) -> None:
        """Let go of the list."""
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.close()
            self._database = None

    def _read(self) -> None:
        try:
            file = self._path.stat().st_ino
        except FileNotFoundError:
            self.close()
            self._entries, self._seen = [], (0, 0)
            return
        if file != self._seen[0] or self._database is None:  # the page has set a damaged one aside
            self.close()
            self._database = open_read_only(self._path, WAIT_SECONDS)
        (changes,) = self._database.execute("PRAGMA data_version").fetchone()
        if (file, changes) == self._seen:
            return
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if version == VERSION:  # 0: the page is just making it; a later one is not ours to read
            self._entries = newest_entries(self._database)
        elif version > VERSION:
            raise sqlite3.DatabaseError(f"version {version}, this rarefault reads {VERSION}")
        self._seen = file, changes
