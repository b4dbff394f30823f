"""`edge-station status`: whether the service works, which cameras are watched, what waits, what was not watched.

The running service is asked how its cameras are, since a disk that is full holds an old answer.
"""

import http.client
import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from ..alerts.events import HEARTBEAT, camera_status
from ..alerts.outbox import Outbox
from ..causes import Cause
from ..cli_errors import Command, config_option
from ..clock import instant
from ..text_files import printable
from ..updates.errors import advice_on
from ..watchlog.ledger_query import Night, ledger_path, read_night_of
from ..watchlog.report import log_line, to_html, to_json
from .open_outbox import open_outbox
from .scores.drift import LEFT, read_drift
from .settings import StationSettings, load_station_settings
from .state_lock import is_running
from .updating.signed_reports import on_disk

HOUR = 3600.0  # seconds
ANSWER_SECONDS = 3.0  # for the service to say how it does
MAX_ANSWER = 1 << 20  # bytes


@click.command(cls=Command)
@config_option
@click.option("--hours", type=click.FloatRange(min=0, min_open=True), default=24.0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path), help="Also write the page of what was watched."
)
def status(config: Path, hours: float, as_json: bool, html: Path | None) -> None:
    """Say how the station does. The service may be running or not."""
    settings = load_station_settings(config)
    at_work = is_running(settings.station.state_dir)
    told = ask_service(settings) if at_work else {}
    ledger = ledger_path(settings.station.state_dir)
    night = Night(hours * HOUR, instant(), {}, ())
    if ledger.exists():
        night = read_night_of(ledger, hours * HOUR, instant(), at_work)
    with closing(open_outbox(settings)) as outbox:
        document = {**_document(settings, night, outbox, at_work, told), "ever_ran": at_work or ledger.exists()}
    if html is not None:
        html.write_text(to_html(night, settings.station.name), encoding="utf-8")
    click.echo(json.dumps(document, indent=1) if as_json else _text(document, night))


def ask_service(settings: StationSettings, seconds: float = ANSWER_SECONDS) -> Mapping[str, Any]:
    """Return what the service says at /status; empty where it does not answer in time, or another one does."""
    try:
        host, port = settings.http.place()[1]
        local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # it runs on this machine
        with closing(http.client.HTTPConnection(local, port, timeout=seconds)) as connection:
            connection.request("GET", "/status")
            document = json.loads(connection.getresponse().read(MAX_ANSWER))
        return document if document["station"] == settings.station.name else {}
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return {}


def _document(
    settings: StationSettings, night: Night, outbox: Outbox, at_work: bool, told: Mapping[str, Any]
) -> dict[str, Any]:
    unwatched = (*night.blind, *night.maintenance)
    causes = {i.camera: i.cause for i in unwatched if i.ended >= night.until.monotonic}
    problems, otherwise = _problems(outbox), None if at_work else Cause.NOT_RUNNING
    # A service that answers knows both; to learn them from the disk means to read and verify the whole model.
    model, update = (told.get("model"), told["update"]) if told.get("update") else on_disk(settings)
    return {
        "station": settings.station.name,
        "at_work": at_work,
        "cameras": {
            camera.name: told.get("cameras", {}).get(camera.name)
            or _status(causes.get(camera.name, otherwise), problems.get(camera.name, ""))
            for camera in settings.camera
        },
        "drift": [state.to_json() for state in read_drift(settings.station.state_dir) if state.state == LEFT],
        "sinks": {name: {"pending": outbox.pending(name), "parked": outbox.parked(name)} for name in outbox.sinks},
        "night": to_json(night),
        "model": model if model and model["digest"] else None,
        "update": update,
        **({"disk": told["disk"]} if told.get("disk") else {}),
    }


def _problems(outbox: Outbox) -> dict[str, str]:
    """Return by camera what the newest heartbeat says is wrong: this command may not be allowed to read the secrets."""
    states = [entry.document["state"].get("cameras", {}) for entry in outbox.recent(HEARTBEAT, 1)]
    return {name: status.get("problem", "") for state in states for name, status in state.items()}


def _status(cause: Cause | None, problem: str) -> dict[str, str]:
    return camera_status(cause, problem if cause is Cause.MISCONFIGURED else "")


def _text(document: Mapping[str, Any], night: Night) -> str:
    at_rest = "is NOT running" if document["ever_ran"] else "is NOT running, and has never run here"
    lines = [f"{document['station']}: the service {'is at work' if document['at_work'] else at_rest}"]
    for name, camera in document["cameras"].items():
        why = camera.get("problem") or (f"until {camera['until']}, by {camera['by']}" if "until" in camera else "")
        cause = f" ({camera['cause']})" if camera["cause"] not in ("", camera["status"]) else ""
        lines.append(f"  {name}: {camera['status']}{cause}" + (f": {why}" if why else ""))
    for view in document["drift"]:
        lines.append(f"  {' '.join(filter(None, (view['camera'], view['region'])))}: {view['sentence']}")
    for name, counts in document["sinks"].items():
        lines.append(f"  {name}: {counts['pending']} events wait, {counts['parked']} were refused")
    lines += _model_lines(document)
    if "disk" in document:
        lines.append(f"  disk: {document['disk']}; the line below is from before")
    return "\n".join(map(printable, [*lines, log_line(night)]))


def _model_lines(document: Mapping[str, Any]) -> list[str]:
    """Return which model serves and how far the newest update is; of the update nothing where there never was one."""
    model, update = document["model"], document["update"]
    slot = update["slot"][:12] or "none"
    named = f"{model['name']} {model['version']} ({model['digest'][:12]})" if model else "none can serve"
    lines = [f"  model: {named}, slot {slot}"]
    if update["since"]:
        release = "" if update["release"] is None else f" to release {update['release']}"
        why = ": ".join(filter(None, (update["reason"], update["detail"])))
        why += f"; {advice}" if (advice := advice_on(update["reason"])) else ""
        lines.append(f"  update{release}: {update['stage']} since {update['since']}" + (f" ({why})" if why else ""))
    return lines
