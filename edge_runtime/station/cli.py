"""`edge-station`: the station device's own command."""

import signal
import threading
import time
from pathlib import Path

import click

from ..alerts.events import ALARM
from ..alerts.notifier import is_running, open_outbox
from ..alerts.outbox import DELIVERED, Outbox
from ..bundle.errors import InputError, RarefaultError, UnavailableError
from ..bundle.store import open_bundle
from .check import Finding, check_bundle, check_station
from .event_list import events
from .self_test import ask
from .settings import load_station_settings
from .status import status

CONFIG = click.option(
    "--config", type=click.Path(path_type=Path), default="station.toml", show_default=True, help="The settings."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Watch a station's cameras."""


main.add_command(events)
main.add_command(status)


@main.command()
@CONFIG
def run(config: Path) -> None:
    """Watch until told to stop (SIGTERM or Ctrl-C). Exit code 1: a restart, or a look at the message, is needed."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        from .service import serve  # needs the extra `station`, which the other commands do not

        serve(load_station_settings(config), stop)
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"the service needs the package {error.name}; install rarefault with the extra station"
        ) from error
    except RarefaultError as error:
        raise click.ClickException(str(error)) from error


@main.command()
@CONFIG
@click.option("--bundle", type=click.Path(path_type=Path), help="Check this bundle alone, without any settings.")
@click.pass_context
def check(context: click.Context, config: Path, bundle: Path | None) -> None:
    """Try everything: settings, disk, bundle on every engine, each camera, broker, webhook. Says what to mend.

    May run beside the service. Exit codes: 0 all is well; 1 something is not.
    """
    try:
        findings = check_bundle(open_bundle(bundle)) if bundle else check_station(load_station_settings(config))
        good = [_show(finding) for finding in findings]
    except RarefaultError as error:
        raise click.ClickException(str(error)) from error
    context.exit(0 if all(good) else 1)


def _show(finding: Finding) -> bool:
    click.echo(f"{'ok  ' if finding.good else 'FAIL'}  {finding.what}")
    return finding.good


@main.command("test-alarm")
@CONFIG
@click.option("--camera", help="Whose path is tested. Default: the first one's.")
@click.option("--wait", type=click.IntRange(min=1), default=60, show_default=True, help="Seconds to wait for delivery.")
def test_alarm(config: Path, camera: str | None, wait: int) -> None:
    """Show the running service a known fault, and see that the alarm, marked as a test, reaches every sink."""
    try:
        settings = load_station_settings(config)
        names = [entry.name for entry in settings.camera]
        camera = camera or next(iter(names), "")
        if camera not in names:
            raise InputError(f"no camera is named {camera!r}; known are {', '.join(names) or 'none'}")
        if not is_running(settings.station.state_dir):
            raise UnavailableError(
                f"no service works on {settings.station.state_dir}; start it with `edge-station run`"
            )
        outbox = open_outbox(settings, repair=False)
        try:
            click.echo(_try_alarm(outbox, settings.station.state_dir, camera, wait))
        finally:
            outbox.close()
    except RarefaultError as error:
        raise click.ClickException(str(error)) from error


def _try_alarm(outbox: Outbox, state_dir: Path, camera: str, wait: int) -> str:
    """Ask, then follow the alarm to its last sink; UnavailableError says how far it came."""
    before = max((entry.seq for entry in outbox.recent(ALARM, 1)), default=0)
    started = time.monotonic()
    ask(state_dir, camera)
    reached = "the service has raised none; see its log"
    while time.monotonic() - started < wait:
        time.sleep(0.1)
        for entry in outbox.recent(ALARM):
            if entry.seq <= before or not entry.document["test"] or entry.camera != camera:
                continue
            states = outbox.states(entry.seq)
            if all(state == DELIVERED for state, _ in states.values()):
                told = ", ".join(states) or "nobody: there is no sink"
                return f"test alarm {entry.id} of {camera} told to {told} in {time.monotonic() - started:.1f} s"
            waits = [f"{sink} has not taken it ({why or state})" for sink, (state, why) in states.items()]
            reached = f"it was raised, but {', '.join(waits)}"
    raise UnavailableError(f"no test alarm of {camera} within {wait} s: {reached}")
