"""Opens the outbox and makes the sinks that a station's settings name."""

from ..alerts.events import SAMPLE
from ..alerts.outbox import Budget, Outbox
from ..alerts.sink import Sink
from ..alerts.webhook_sink import WebhookSink
from ..bundle.errors import UnavailableError
from .settings import StationSettings


def open_outbox(settings: StationSettings, repair: bool = False) -> Outbox:
    """Return the outbox as the settings want it. Only the service, which is alone in its folder, may `repair` it."""
    sections = {"mqtt": settings.mqtt, "webhook": settings.webhook}
    budget = Budget(total=settings.station.picture_bytes, samples=settings.samples.bytes)
    names = [name for name, section in sections.items() if section is not None]
    return Outbox(settings.station.state_dir, names, budget, () if settings.samples.send else (SAMPLE,), repair)


def make_sinks(settings: StationSettings) -> list[Sink]:
    """Return a sink for each section that the settings have. UnavailableError where a package is missing."""
    sinks: list[Sink] = []
    if settings.mqtt is not None:
        try:
            from ..alerts.mqtt_sink import MqttSink
        except ModuleNotFoundError as error:
            raise UnavailableError(
                f"MQTT needs the package {error.name}, which is not installed; install rarefault with the extra station"
            ) from error
        sinks.append(MqttSink(settings.station.name, settings.mqtt, [camera.name for camera in settings.camera]))
    if settings.webhook is not None:
        sinks.append(WebhookSink(settings.webhook))
    return sinks
