"""The commands of `rarefault` that tell what updates do: `diff`, `enrol`, `fleet`, `lineage`."""

from pathlib import Path

import click

from edge_runtime.bundle.manifest import PRECISIONS
from edge_runtime.cli_errors import Command
from edge_runtime.text_files import printable
from edge_runtime.updates.repository.floor_time import utc_now

folder = click.Path(path_type=Path, file_okay=False, exists=True)
fleet_option = click.option(
    "--fleet", "fleet", type=click.Path(path_type=Path, file_okay=False), required=True, help="Where stations are kept."
)


@click.command(cls=Command)
@click.argument("old", type=folder)
@click.argument("new", type=folder)
@click.option("--run", "run", type=folder, required=True, help="The run whose test pictures both are shown.")
@click.option("--precision", type=click.Choice(PRECISIONS), default="fp32", show_default=True)
@click.option("--all", "whole", is_flag=True, help="List every picture whose verdict changed.")
@click.pass_context
def diff(context: click.Context, old: Path, new: Path, run: Path, precision: str, whole: bool) -> None:
    """Compare the bundles OLD and NEW on the test pictures of a run.

    Exit codes: 0 NEW is not worse, as far as these pictures can tell; 20 it is worse.
    """
    from augment.updates.compare_bundles import compare_bundles
    from edge_runtime.bundle.store import open_bundle

    found = compare_bundles(open_bundle(old), open_bundle(new), run, precision)
    click.echo(found.to_text(whole))
    context.exit(found.exit_code)


@click.command(cls=Command)
@click.argument("key", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@fleet_option
@click.option("--group", required=True, help="The step of the canary that the station belongs to: one, three, all.")
@click.option("--station", default="", help="The station's name, where KEY is a key alone.")
@click.option("--new-key", is_flag=True, help="The station has lost its key, and this is its new one.")
def enrol(key: Path, fleet: Path, group: str, station: str, new_key: bool) -> None:
    """Enrol a station by KEY: its signed report (reports/NAME.json of a stick) or its station_key.pub.json.

    Compare the printed key with what `edge-station report` prints at the station before you rely on it. Once more with
    another --group: the station moves there.
    """
    from augment.updates.fleet import Fleet
    from edge_runtime.updates.identity.reports import read_document

    enrolled = Fleet(fleet).enrol(read_document(key), group, station, new_key)
    click.echo(f"{enrolled.name} is enrolled in the group {group} with the key {enrolled.key['keyid'][:16]}")


@click.command(cls=Command)
@fleet_option
@click.option("--mqtt", metavar="URL", help="Listen to heartbeats: mqtt[s]://[USER@]HOST[:PORT].")
@click.option("--wait", type=click.FloatRange(min=1), default=70.0, show_default=True, help="Seconds to listen.")
@click.option("--stick", "sticks", type=folder, multiple=True, help="A stick that came back; repeat for several.")
@click.pass_context
def fleet(context: click.Context, fleet: Path, mqtt: str | None, wait: float, sticks: tuple[Path, ...]) -> None:
    """Show model, slot, heartbeat, blind time and newest update of every station.

    Every report is held against the enrolled key. Exit codes: 0 all reports were good; 1 one was not.
    """
    from augment.updates.fleet import Fleet, reports_of_stick
    from augment.updates.fleet_mqtt import listen

    known = Fleet(fleet)
    problems: list[str] = []
    for stick in sticks:
        documents, unread = reports_of_stick(stick)
        problems += [*unread, *known.take(documents, utc_now())]
    if mqtt:
        names = [station.name for station in known.stations()]
        heard = list(listen(mqtt, wait, names))
        problems += known.take(heard, utc_now())
        if silent := sorted(set(names) - {str(report.get("station")) for report in heard}):
            click.echo(f"not heard within {wait:g} s: {', '.join(silent)}", err=True)
    click.echo(known.table(utc_now()))
    if not known.stations():
        click.echo(f"no station is enrolled in {fleet}; see `rarefault enrol`", err=True)
    for problem in dict.fromkeys(problems):
        click.echo(printable(problem), err=True)  # an unknown sender chose the name in it
    context.exit(1 if problems else 0)


@click.command(cls=Command)
@click.argument("event", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--repository", "--bundle", "places", type=folder, multiple=True, help="Where its bundle may lie.")
@click.option("--run", "run", type=folder, help="Also hold this run's data set against the bundle's.")
@click.pass_context
def lineage(context: click.Context, event: Path, places: tuple[Path, ...], run: Path | None) -> None:
    """Say in a line which bundle, run, data set and commit an event goes back to.

    Exit codes: 0 all of it is known; 1 a part is not, or does not fit.
    """
    from augment.updates.lineage import trace

    found = trace(event, places, run)
    click.echo(found.to_text())
    context.exit(1 if found.problems else 0)


COMMANDS = (diff, enrol, fleet, lineage)
