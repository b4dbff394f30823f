"""The station's signed report to central: in every heartbeat, and by `edge-station report` on a stick."""

import contextlib
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ...alerts.events import NO_MODEL
from ...bundle.errors import InputError, RarefaultError, UnavailableError
from ...bundle.store import open_bundle
from ...cli_errors import Command, config_option
from ...clock import instant, iso
from ...updates.identity.reports import signed_report, write_report
from ...updates.identity.station_key import StationKey, open_station_key
from ...updates.state import UPDATES, load
from ...watchlog.ledger_query import ledger_path, read_night_of
from ..settings import StationSettings, load_station_settings
from ..state_lock import is_running

DAY = 86400.0  # seconds
MOST_DETAIL = 1000  # characters

log = logging.getLogger(__name__)


class SignedReports:
    """Makes and signs the reports of one station; the key is made where there is none yet."""

    def __init__(self, state_dir: Path, station: str) -> None:
        self._state_dir, self._station = state_dir, station
        self._key: StationKey | None = None
        self._trouble = ""

    def document(self, model: Mapping[str, str], update: Mapping[str, Any], at_work: bool = True) -> dict[str, Any]:
        """Return a signed report of the `model` that serves and the newest `update`, which names its slot.

        RarefaultError where the key cannot be made or read. A ledger that cannot be read counts as nothing watched.
        """
        self._key = self._key or open_station_key(self._state_dir / UPDATES)
        due, blind = self._watched(at_work)
        content = {
            **{"station": self._station, "time": iso(time.time()), **model},
            **{**update, "detail": str(update["detail"])[:MOST_DETAIL]},
            **{"due_seconds": due, "blind_seconds": blind},
        }
        return signed_report(content, self._key)

    def for_heartbeat(self, model: Mapping[str, str], update: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of a heartbeat: the report, or none where it cannot be signed, which is logged once."""
        try:
            return {"report": self.document(model, update)}
        except RarefaultError as error:
            if str(error) != self._trouble:
                log.warning("heartbeats carry no signed report: %s", error)
            self._trouble = str(error)
            return {}

    def _watched(self, at_work: bool) -> tuple[float, float]:
        try:
            night = read_night_of(ledger_path(self._state_dir), DAY, instant(), at_work)
        except UnavailableError:
            return 0.0, 0.0
        return round(sum(night.due.values())), round(sum(interval.seconds for interval in night.blind))


def report_of(settings: StationSettings) -> dict[str, Any]:
    """Return the signed report of a station whose service may be running or not, and which may have no model yet."""
    state_dir, (model, update) = settings.station.state_dir, on_disk(settings)
    return SignedReports(state_dir, settings.station.name).document(model, update, is_running(state_dir))


def on_disk(settings: StationSettings) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the model that serves from the next start on, NO_MODEL without a usable one, and update with its slot."""
    slots, slot, model = settings.station.slots, "", NO_MODEL
    with contextlib.suppress(InputError):  # none serves, or its files are damaged
        slot = slots.current().name
        model = open_bundle(slots.current()).identity()
    return model, {"slot": slot, **load(slots.state_dir).summary()}


def leave_report(settings: StationSettings, stick: Path) -> str:
    """Put the report on a stick that will go back to central, where it takes one; return a sentence about that."""
    try:
        return f"the station's report lies in {write_report(stick, report_of(settings))}"
    except (InputError, UnavailableError) as error:
        return f"the stick takes no report back: {error}"


@click.command(cls=Command)
@config_option
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def report(config: Path, folder: Path) -> None:
    """Write FOLDER/reports/<station>.json for central: model, slot, newest update, and what was not watched, signed.

    The first one also brings the station's key, which central enrols with `rarefault enrol`.
    """
    document = report_of(load_station_settings(config))
    click.echo(f"{write_report(folder, document)} written, signed by the key {document['signature']['keyid'][:16]}")
