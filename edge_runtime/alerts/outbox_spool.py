"""A spool before the outbox: while the disk takes nothing, alarms wait in memory and the cameras go on."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from ..bundle.errors import UnavailableError
from .events import ALARM, Record
from .outbox import Outbox

MEMORY_BYTES = 64 << 20  # of pictures in memory; beyond it the oldest waiting alarms lose theirs, never themselves

log = logging.getLogger(__name__)


class OutboxSpool:
    """Commits records. An alarm that cannot be committed waits in memory for the disk; anything else is let go."""

    def __init__(
        self, outbox: Outbox, on_commit: Callable[[], None] = lambda: None, memory_bytes: int = MEMORY_BYTES
    ) -> None:
        self._outbox, self._on_commit, self._memory_bytes = outbox, on_commit, memory_bytes
        self._waiting: deque[Record] = deque()
        self._lock = threading.Lock()
        self.trouble = ""  # why the disk takes no events
        self.let_go = 0  # heartbeats and samples that found no room

    @property
    def waiting(self) -> int:
        """The number of alarms in memory that are not on disk yet."""
        return len(self._waiting)

    def record(self, record: Record) -> bool:
        """Commit `record` behind those that wait; return whether it is on disk. A disk that fails is logged."""
        with self._lock:
            if record.kind == ALARM:
                self._waiting.append(record)
                return self._flush()
            kept = self._flush() and self._committed(record)
            self.let_go += not kept
            return kept

    def flush(self) -> bool:
        """Commit what waits, oldest first; return whether nothing waits any more. Call it about once a second."""
        with self._lock:
            return self._flush()

    def _flush(self) -> bool:
        while self._waiting:
            if not self._committed(self._waiting[0]):
                self._drop_pictures()
                return False
            self._waiting.popleft()
        return True

    def _committed(self, record: Record) -> bool:
        try:
            self._outbox.commit(record)
        except UnavailableError as error:
            if record.kind != ALARM or not self._committed_after_making_room(record):
                if not self.trouble:
                    log.error("%s", error)
                self.trouble = str(error)
                return False
        if self.trouble:
            log.warning("the disk takes events again")
        self.trouble = ""
        self._on_commit()
        return True

    def _committed_after_making_room(self, record: Record) -> bool:
        wanted = 2 * sum(map(len, record.pictures.values())) + (1 << 20)  # SQLite writes to its log and to its pages
        if not self._outbox.make_room(wanted):
            return False
        try:
            self._outbox.commit(record)
        except UnavailableError:
            return False
        return True

    def _drop_pictures(self) -> None:
        """Take the pictures from waiting alarms, oldest first, until the rest fits into memory."""
        held = sum(len(data) for record in self._waiting for data in record.pictures.values())
        for place, record in enumerate(self._waiting):
            if held <= self._memory_bytes:
                return
            held -= sum(map(len, record.pictures.values()))
            self._waiting[place] = replace(record, pictures={})
