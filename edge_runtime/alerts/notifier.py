"""The notifier: a spool before the outbox, and a sender for each sink, so that what is recorded reaches all of them."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence

from .events import Record
from .outbox import Outbox
from .outbox_spool import OutboxSpool
from .sender import Sender
from .sink import Sink

STOP_SECONDS = 4.0

log = logging.getLogger(__name__)


class Notifier:
    """Delivers what is recorded through `spool` to every sink, sooner or later, and sends heartbeats."""

    def __init__(self, outbox: Outbox, sinks: Sequence[Sink], heartbeat_seconds: float) -> None:
        self.outbox, self._sinks = outbox, sinks
        self._senders = {sink.name: Sender(outbox, sink) for sink in sinks}
        self.spool = OutboxSpool(outbox, on_commit=self._wake)
        self._heartbeat_seconds = heartbeat_seconds
        self._heartbeat_at: float | None = None  # monotonic seconds of the next one

    @property
    def troubles(self) -> Mapping[str, Callable[[], str]]:
        """Functions by sink that return why nothing, or not everything, reaches it now; empty where all is well."""
        return {name: lambda sender=sender: sender.trouble for name, sender in self._senders.items()}  # type: ignore[misc]

    @property
    def alive(self) -> bool:
        """Whether every sender runs; where not, only a restart of the service helps."""
        return all(sender.alive for sender in self._senders.values())

    def start(self) -> None:
        """Begin to send."""
        for sender in self._senders.values():
            sender.start()

    def stop(self) -> None:
        """End within five seconds; what was not acknowledged stays in the outbox, which stays open."""
        deadline = time.monotonic() + STOP_SECONDS
        for sender in self._senders.values():
            sender.begin_stop()
        for sender in self._senders.values():
            sender.join(max(0.0, deadline - time.monotonic()))
        if not self.spool.flush():
            log.error("%d alarms are lost: the disk has not taken them before the stop", self.spool.waiting)

    def set_camera(self, camera: str, status: Mapping[str, str]) -> None:
        """Send a status made by `events.camera_status` at once, and again where a connection returns."""
        for sink in self._sinks:
            sink.set_camera(camera, status)

    def tick(self, now: float, heartbeat: Callable[[], Record]) -> None:
        """Write what waits in memory, and a heartbeat when it is due. Call it about once a second (monotonic `now`)."""
        self.spool.flush()
        if self._heartbeat_at is None or now >= self._heartbeat_at:
            self._heartbeat_at = now + self._heartbeat_seconds
            self.spool.record(heartbeat())

    def _wake(self) -> None:
        for sender in self._senders.values():
            sender.wake()
