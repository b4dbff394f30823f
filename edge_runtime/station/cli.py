"""`edge-station`: the station device's own command."""

import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import click

from ..alerts.events import ALARM
from ..alerts.outbox import DELIVERED, Outbox
from ..bundle.errors import InputError, UnavailableError
from ..bundle.store import open_bundle
from ..cli_errors import Group, config_option
from ..web.commands import hash_password_command
from .backup.commands import backup_command, restore_command
from .check import check_bundle, check_station
from .event_list import events
from .feedback.commands import feedback
from .open_outbox import open_outbox
from .page.commands import page
from .self_test import FAULT, FRAME, Outcome, ask, read_answer
from .settings import StationSettings, load_station_settings
from .state_lock import is_running
from .status import status
from .updating.commands import import_update, rollback, trust, update
from .updating.signed_reports import report

POLL_SECONDS = 0.1


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Watch a station's cameras."""


main.add_command(events)
main.add_command(feedback)
main.add_command(status)
main.add_command(page)
for command in (update, import_update, rollback, trust, report, backup_command, restore_command, hash_password_command):
    main.add_command(command)


@main.command()
@config_option
def run(config: Path) -> None:
    """Watch until told to stop (SIGTERM, SIGHUP or Ctrl-C). New settings are read at the next start.

    Exit code 1: a restart, or a look at the message, is needed.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, lambda *_: stop.set())
    try:
        from .assemble import serve  # needs the extra `station`, which the other commands do not
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"the service needs the package {error.name}; install rarefault with the extra station"
        ) from error
    serve(load_station_settings(config), stop, config.absolute())


@main.command()
@config_option
@click.option("--bundle", type=click.Path(path_type=Path), help="Check this bundle alone, without any settings.")
@click.pass_context
def check(context: click.Context, config: Path, bundle: Path | None) -> None:
    """Try everything: settings, disk, bundle on every engine, each camera, broker, webhook. Says what to mend.

    May run beside the service. Exit codes: 0 all is well; 1 something is not.
    """
    _show(context, check_bundle(open_bundle(bundle)) if bundle else check_station(load_station_settings(config)))


@main.command("test-alarm")
@config_option
@click.option("--camera", help="Which camera is tested. Default: the first one.")
@click.option("--wait", type=click.IntRange(min=1), default=60, show_default=True, help="Seconds to wait in all.")
@click.pass_context
def test_alarm(context: click.Context, config: Path, camera: str | None, wait: int) -> None:
    """Ask the running service for the two tests of a camera, and follow the alarm to every sink.

    The first test proves the way of a frame: a marked copy of the camera's next frame has to come whole through its
    reader and the shared memory. The second one proves the way of an alarm: a known fault of the bundle is shown to the
    model behind the camera, and the alarm, marked as a test, has to pass votes and outbox and reach every sink. Neither
    passes the checks of the picture, which withhold a foreign scene by design, and neither counts as an event.

    Exit codes: 0 both passed; 1 one failed, or the camera does not run.
    """
    settings = load_station_settings(config)
    state_dir, names = settings.station.state_dir, [entry.name for entry in settings.camera]
    camera = camera or next(iter(names), "")
    if camera not in names:
        raise InputError(f"no camera is named {camera!r}; known are {', '.join(names) or 'none'}")
    if not is_running(state_dir):
        raise UnavailableError(f"no service works on {state_dir}; start it with `edge-station run`")
    _show(context, _test(settings, camera, time.monotonic() + wait))


def _show(context: click.Context, outcomes: Iterable[Outcome]) -> None:
    """Print each outcome as soon as it is known, and exit with 1 where one is bad."""
    good = True
    for outcome in outcomes:
        click.echo(f"{'ok  ' if outcome.passed else 'FAIL'}  {outcome.message}")
        good &= outcome.passed
    context.exit(0 if good else 1)


def _test(settings: StationSettings, camera: str, deadline: float) -> Iterator[Outcome]:
    """Ask for the tests and wait for their outcomes until `deadline` (monotonic seconds)."""
    with closing(open_outbox(settings)) as outbox:
        before = max((entry.seq for entry in outbox.recent(ALARM, 1)), default=0)
        began = time.monotonic()
        outcomes = _outcomes(ask(settings.station.state_dir, camera), deadline)
        late = "had no outcome in time; see the service's log, or give it longer with --wait"
        yield outcomes.get(FRAME, Outcome(False, f"the marked frame of {camera} {late}"))
        raised = outcomes.get(FAULT, Outcome(False, f"the test alarm of {camera} {late}"))
        yield _delivery(outbox, camera, before, began, deadline) if raised.passed else raised


def _outcomes(answer: Path, deadline: float) -> dict[str, Outcome]:
    """Wait for both outcomes and return those that are known at `deadline`; UnavailableError where none is."""
    try:
        while len(outcomes := read_answer(answer)) < len((FRAME, FAULT)) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
    finally:
        answer.unlink(missing_ok=True)
    if not outcomes:
        raise UnavailableError("the service has not answered in time; see its log, or give it longer with --wait")
    return outcomes


def _delivery(outbox: Outbox, camera: str, before: int, began: float, deadline: float) -> Outcome:
    """Follow the test alarm of `camera` that came after entry `before` to its last sink."""
    reached = "it was raised, but the disk has not taken it; see the service's log"
    while True:
        for entry in outbox.recent(ALARM):
            if entry.seq <= before or not entry.document["test"] or entry.camera != camera:
                continue
            states = outbox.states(entry.seq)
            if all(state == DELIVERED for state, _ in states.values()):
                sinks = ", ".join(states) or "nobody: there is no sink"
                seconds = time.monotonic() - began
                return Outcome(True, f"test alarm {entry.id} of {camera} told to {sinks} in {seconds:.1f} s")
            waits = [f"{sink} has not taken it ({why or state})" for sink, (state, why) in states.items()]
            reached = f"it was raised, but {', '.join(waits)}"
        if time.monotonic() >= deadline:
            return Outcome(False, f"the test alarm of {camera} has not reached every sink: {reached}")
        time.sleep(POLL_SECONDS)
