"""`edge-station events`: the station's events, and what became of their deliveries."""

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from ..alerts.events import KINDS
from ..alerts.outbox import DELIVERED, Entry
from ..cli_errors import Command, config_option
from .open_outbox import open_outbox
from .settings import load_station_settings

States = Mapping[str, tuple[str, str]]
"""State and reason of the deliveries, by sink."""


@click.command(cls=Command)
@config_option
@click.option("--kind", type=click.Choice(KINDS), default=KINDS[0], show_default=True)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="The newest so many.")
@click.option("--jsonl", is_flag=True, help="Whole documents with their deliveries, one JSON object a line.")
@click.option("--retry-parked", is_flag=True, help="Send once more what a sink has refused; mend the cause first.")
def events(config: Path, kind: str, limit: int, jsonl: bool, retry_parked: bool) -> None:
    """List events, oldest first, each with the state of its deliveries. The service may be running."""
    with closing(open_outbox(load_station_settings(config))) as outbox:
        if retry_parked:
            click.echo(f"{outbox.retry_parked()} deliveries are sent once more", err=True)
        for entry in reversed(outbox.recent(kind, limit)):
            states = outbox.states(entry.seq)
            click.echo(json.dumps(_document(entry, states)) if jsonl else _line(entry.document, states))


def _document(entry: Entry, states: States) -> dict[str, Any]:
    deliveries = {sink: {"state": state, "reason": reason} for sink, (state, reason) in states.items()}
    kept = [name for name, path in entry.pictures.items() if path.exists()]
    return {**entry.document, "deliveries": deliveries, "pictures_kept": kept}


def _line(document: Mapping[str, Any], states: States) -> str:
    where = document.get("camera", "station")
    what = f"{document['label']} {document['probability']:.2f}" if "label" in document else document["kind"]
    test = "  TEST" if document.get("test") else ""
    deliveries = ", ".join(
        f"{sink} {state}" + (f" ({reason})" if reason else "") for sink, (state, reason) in states.items()
    )
    waits = "" if all(state == DELIVERED for state, _ in states.values()) else "  <-- not everybody has it"
    return f"{document['time']} ({document['clock']})  {where}  {what}{test}  {deliveries or 'kept here'}{waits}"
