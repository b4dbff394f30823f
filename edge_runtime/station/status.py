"""`edge-station status`: is the service at work, who is watched, what waits, and what was not seen of late."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ..alerts.notifier import is_running, open_outbox
from ..alerts.outbox import Outbox
from ..bundle.errors import RarefaultError
from ..watchlog.ledger import Instant, Night, read_night_of
from ..watchlog.ledger_writer import ledger_path
from ..watchlog.report import log_line, to_html, to_json
from .settings import StationSettings, load_station_settings

HOUR = 3600.0  # seconds


@click.command()
@click.option("--config", type=click.Path(path_type=Path), default="station.toml", show_default=True)
@click.option("--hours", type=click.FloatRange(min=0, min_open=True), default=24.0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path), help="Also write the page of what was watched."
)
def status(config: Path, hours: float, as_json: bool, html: Path | None) -> None:
    """Say how the station does. The service may be running or not."""
    try:
        settings = load_station_settings(config)
        state_dir = settings.station.state_dir
        at_work = is_running(state_dir)
        now = Instant(time.monotonic(), time.time())
        night = read_night_of(ledger_path(state_dir), hours * HOUR, now, at_work)
        outbox = open_outbox(settings, repair=False)
        try:
            document = _document(settings, night, outbox, at_work)
        finally:
            outbox.close()
    except RarefaultError as error:
        raise click.ClickException(str(error)) from error
    if html is not None:
        html.write_text(to_html(night, settings.station.name), encoding="utf-8")
    click.echo(json.dumps(document, indent=1) if as_json else _text(document, night))


def _document(settings: StationSettings, night: Night, outbox: Outbox, at_work: bool) -> dict[str, Any]:
    sinks = {name: {"pending": outbox.pending(name), "parked": outbox.parked(name)} for name in outbox.sinks}
    blind = {i.camera: i.cause for i in night.blind if i.ended >= night.until.monotonic}
    return {
        "station": settings.station.name,
        "at_work": at_work,
        "cameras": {
            camera.name: {
                "status": blind[camera.name].status if camera.name in blind else "online",
                "cause": blind[camera.name].value if camera.name in blind else "",
            }
            for camera in settings.camera
        },
        "sinks": sinks,
        "night": to_json(night),
    }


def _text(document: Mapping[str, Any], night: Night) -> str:
    lines = [f"{document['station']}: the service {'is at work' if document['at_work'] else 'is NOT running'}"]
    for name, camera in document["cameras"].items():
        lines.append(f"  {name}: {camera['status']}" + (f" ({camera['cause']})" if camera["cause"] else ""))
    for name, counts in document["sinks"].items():
        lines.append(f"  {name}: {counts['pending']} events wait, {counts['parked']} were refused")
    return "\n".join([*lines, log_line(night)])
