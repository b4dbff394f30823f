"""The station's memory and voice, put together from its settings: outbox, recorder, and a sender for each sink."""

import fcntl
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from ..bundle.errors import UnavailableError
from ..clock import Clock
from ..station.settings import StationSettings
from .events import SAMPLE, Reporter
from .outbox import Budget, Outbox
from .outbox_spool import OutboxSpool
from .sender import Sender
from .sink import Sink
from .webhook_sink import WebhookSink

STOP_SECONDS = 4.0

log = logging.getLogger(__name__)


class StateFolderInUseError(UnavailableError):
    """The state folder is in use."""


class Notifier:
    """What the service records through `recorder` reaches every sink of the settings, sooner or later."""

    def __init__(self, settings: StationSettings) -> None:
        """Open the outbox of `state_dir`. UnavailableError where the disk, or a package of the extra, is missing.

        Pictures that a crash left behind are removed, hence only one Notifier at a time may work on a `state_dir`.
        """
        sinks = make_sinks(settings)
        self._alone = lock_state_folder(settings.station.state_dir)
        try:
            self.outbox = open_outbox(settings)
        except BaseException:
            self._alone.close()
            raise
        self.outbox.sweep()
        self._senders = {sink.name: Sender(self.outbox, sink) for sink in sinks}
        self.recorder = OutboxSpool(self.outbox, on_commit=self._wake)
        self._sinks = sinks
        self._heartbeat_seconds = settings.station.heartbeat_seconds
        self._heartbeat_at: float | None = None  # monotonic seconds of the next one

    @property
    def troubles(self) -> Mapping[str, Callable[[], str]]:
        """By sink: why nothing, or not everything, reaches it now; empty where all is well."""
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
        """Within five seconds; what was not acknowledged stays in the outbox."""
        deadline = time.monotonic() + STOP_SECONDS
        for sender in self._senders.values():
            sender.begin_stop()
        for sender in self._senders.values():
            sender.join(max(0.0, deadline - time.monotonic()))
        if not self.recorder.flush():
            log.error("%d alarms are lost: the disk has not taken them before the stop", self.recorder.waiting)
        self.outbox.close()
        self._alone.close()

    def set_camera(self, camera: str, status: str, cause: str = "") -> None:
        """`status` is online, offline or not_evaluated; told at once, and again where a connection returns."""
        for sink in self._sinks:
            sink.set_camera(camera, status, cause)

    def tick(self, now: float, reporter: Reporter, clock: Clock, state: Callable[[], Mapping[str, Any]]) -> None:
        """Call it about once a second with monotonic `now`: writes what waits in memory, and heartbeats when due."""
        self.recorder.flush()
        if self._heartbeat_at is None or now >= self._heartbeat_at:
            self._heartbeat_at = now + self._heartbeat_seconds
            self.recorder.record(reporter.heartbeat(state(), clock.read()))

    def _wake(self) -> None:
        for sender in self._senders.values():
            sender.wake()


def open_outbox(settings: StationSettings, repair: bool = True) -> Outbox:
    """The outbox as the settings want it. Commands beside the running service must not `repair` it."""
    sections = {"mqtt": settings.mqtt, "webhook": settings.webhook}
    budget = Budget(total=settings.station.picture_bytes, samples=settings.samples.bytes)
    names = [name for name, section in sections.items() if section is not None]
    return Outbox(settings.station.state_dir, names, budget, () if settings.samples.send else (SAMPLE,), repair)


def lock_state_folder(state_dir: Path) -> IO[bytes]:
    """A locked file that shows others that somebody works here; the lock ends with the process.

    UnavailableError where the folder cannot be written; StateFolderInUseError where somebody else holds the lock.
    """
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        file = (state_dir / "lock").open("ab")
    except OSError as error:
        raise UnavailableError(f"{state_dir} cannot be written ({error.strerror}); check its permissions") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise StateFolderInUseError(
            f"another edge-station works on {state_dir}; stop it, or choose another state_dir"
        ) from error
    return file


def is_running(state_dir: Path) -> bool:
    """Whether a service works on `state_dir`."""
    try:
        lock_state_folder(state_dir).close()
    except StateFolderInUseError:
        return True
    return False


def make_sinks(settings: StationSettings) -> list[Sink]:
    """A sink for each section that the settings have. UnavailableError where a package of the extra is missing."""
    sinks: list[Sink] = []
    if settings.mqtt is not None:
        try:
            from .mqtt_sink import MqttSink
        except ModuleNotFoundError as error:
            raise UnavailableError(
                f"MQTT needs the package {error.name}, which is not installed; install rarefault with the extra station"
            ) from error
        sinks.append(MqttSink(settings.station.name, settings.mqtt))
    if settings.webhook is not None:
        sinks.append(WebhookSink(settings.webhook))
    return sinks
