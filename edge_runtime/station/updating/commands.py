"""The commands of `edge-station` that bring a new model, judge it on this device, and go back to the one before."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path

import click

from ...alerts.events import ALARM
from ...bundle.errors import InputError, UnavailableError, os_errors_as
from ...bundle.files import sha256_bytes
from ...cli_errors import Command, config_option
from ...logs import log_to_stderr
from ...updates.errors import Reason
from ...updates.rate_limit import RateLimit
from ...updates.slots import Slots
from ...updates.sources import FolderSource, Source, open_source
from ...updates.state import HANDED_OVER, STARTED, TRUST, UPDATES, Stage, UpdateState, load, update_lock
from ...updates.trusted_repository import ROOT, TrustedRepository, trust_root
from ...updates.update_process import Trial, fail, roll_back_by_hand, run_update
from ..open_outbox import open_outbox
from ..settings import StationSettings, load_station_settings
from ..state_lock import is_running
from .signed_reports import leave_report

NICE = 10  # how far the update process stands back behind the service
METADATA = "metadata"  # of every repository

again_option = click.option("--again", is_flag=True, help="Also try a release that has failed here.")


@click.command(cls=Command)
@config_option
@again_option
def update(config: Path, again: bool) -> None:
    """Fetch what the repository offers this station, try it here, and leave it to the service.

    An attempt that was cut off goes on where it was. The service then shows the new model frames, lets it serve on
    probation, and keeps it or goes back. Exit codes: 0 there is nothing more to do; 1 it failed, or waits.
    """
    settings = load_station_settings(config)
    section = settings.updates
    if not section.url:
        raise InputError(
            "[updates] has no url; set it, or take the models from a stick with edge-station import-update"
        )
    source = open_source(section.url, section.ca_file, section.bytes_per_second)
    with closing(open_outbox(settings)) as outbox:
        limiter = RateLimit(
            section.bytes_per_second,
            quiet=lambda: section.is_quiet(datetime.now().time()),
            hold=lambda: outbox.waits(ALARM),
        )
        _bring(settings, source, limiter, again)


@click.command("import-update", cls=Command)
@config_option
@again_option
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def import_update(config: Path, again: bool, folder: Path) -> None:
    """Do as `update` does, from a repository in FOLDER: a USB stick that `rarefault stick` has filled.

    The station leaves its signed report on the stick, for central.
    """
    settings = load_station_settings(config)
    if not (folder / METADATA).is_dir():
        raise InputError(f"{folder} has no folder {METADATA}; give the folder that `rarefault stick` has filled")
    try:
        _bring(settings, FolderSource(folder.absolute()), RateLimit(), again)
    finally:
        click.echo(leave_report(settings, folder), err=True)


@click.command(cls=Command)
@config_option
def rollback(config: Path) -> None:
    """Let the model before serve again; a running service changes to it within seconds.

    A candidate that does not serve yet is given up. The same release is not tried again by itself.
    """
    settings = load_station_settings(config)
    slots = settings.station.slots
    state = load(slots.state_dir)
    if state.stage in (Stage.GOLDEN_OK, Stage.SHADOW):
        fail(slots, Reason.ROLLED_BACK, "a person gave the candidate up")
        done = f"{_named(state)} is given up"
    else:
        roll_back_by_hand(slots)
        done = "the model before is back"
    click.echo(f"{done}: {_serving(slots)}")


@click.command(cls=Command)
@config_option
@click.argument("root", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def trust(config: Path, root: Path) -> None:
    """Trust the repository whose first root file is ROOT, which came by a way that you trust, not from the repository.

    No update replaces it: a repository changes its keys by signing the change with the old ones.
    """
    settings = load_station_settings(config)
    folder, state_dir = _trust_folder(settings), settings.station.state_dir
    what = f"{root} or {folder} cannot be used"
    with _extra(), os_errors_as(InputError, what, "check the path, and who may read and write it"):
        data = root.read_bytes()
        with update_lock(state_dir):
            known = (folder / ROOT).read_bytes() if (folder / ROOT).exists() else data
            trust_root(folder, data)
            state = load(state_dir)
            if data != known and state.stage in (Stage.IDLE, *STARTED):  # it came from whom nobody trusts any more
                UpdateState(history=state.history).save(state_dir)
    click.echo(f"updates are trusted that begin with {root}, kept in {folder}")
    click.echo(f"its SHA-256, to compare with the central team's: {sha256_bytes(data)}")
    if data != known and state.stage in HANDED_OVER:
        click.echo(f"{_named(state)} came before that and is at {state.stage.value}; edge-station rollback gives it up")


def _serving(slots: Slots) -> str:
    """Return a sentence about what serves now."""
    try:
        serves = "serves" if is_running(slots.state_dir) else "serves from the next start of the service"
        return f"{slots.current()} {serves}"
    except InputError:
        return "no model serves yet"


def _trust_folder(settings: StationSettings) -> Path:
    return settings.station.state_dir / UPDATES / TRUST


def _bring(settings: StationSettings, source: Source, limiter: RateLimit, again: bool) -> None:
    """Bring what `source` offers up to the hand-over to the service, and say what came of it."""
    os.nice(NICE)
    log_to_stderr(())
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    slots, repository = settings.station.slots, partial(open_repository, settings, source, limiter, stop)
    with _extra():
        state = run_update(slots, settings.updates.group, repository, _trial(settings), limiter, stop, again)
    if state.stage is Stage.FAILED:
        raise InputError(f"{_named(state)} is {state.refusal()}")
    click.echo(_sentence(state, is_running(slots.state_dir)))


def open_repository(
    settings: StationSettings, source: Source, limiter: RateLimit, stop: threading.Event
) -> TrustedRepository:
    """Return the repository in `source` as this station trusts it; InputError where `root` in [updates] is unusable."""
    trusted = _trust_folder(settings)
    if settings.updates.root and not (trusted / ROOT).exists():
        with os_errors_as(InputError, f"{settings.updates.root} cannot be read", "check root in [updates]"):
            trust_root(trusted, settings.updates.root.read_bytes())
    return TrustedRepository(trusted, source, limiter=limiter, stop=stop)


def offered(settings: StationSettings) -> str:
    """Ask the repository of the settings what it offers this station; return that in words, or raise RarefaultError."""
    section = settings.updates
    source, stop = open_source(section.url, section.ca_file), threading.Event()
    with _extra(), update_lock(settings.station.state_dir):
        repository = open_repository(settings, source, RateLimit(), stop)
        repository.refresh()
        release = repository.release(section.group)
    return f"{source.name} offers release {release.number} ({release.name} {release.version}) to {section.group}"


@contextmanager
def _extra() -> Iterator[None]:
    """Say which package is missing, where one of the extra is."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"updates need the package {error.name}; install rarefault with the extra station"
        ) from error


def _trial(settings: StationSettings) -> Trial:
    """Return what a bundle has to pass with these settings on this device."""
    from ...updates.content_check import check_content  # needs onnx, which only updates need
    from ...updates.policy import check_policy
    from ...updates.proof import prove

    station, section = settings.station, settings.updates
    cameras = [camera.name for camera in settings.camera]
    return Trial(
        content=check_content,
        fits=lambda bundle, serving: check_policy(bundle, serving, section, settings.decision, cameras),
        prove=lambda bundle, serving: prove(
            bundle, serving, station.engine, station.precision, station.cores, section.most_latency
        ),
    )


def _named(state: UpdateState) -> str:
    if state.release is None:
        return "the update"
    return f"release {state.release.number} ({state.release.name} {state.release.version})"


def _sentence(state: UpdateState, at_work: bool) -> str:
    if state.stage in HANDED_OVER:
        whose = "the running service tries it" if at_work else "the service tries it at its next start"
        notes = f"; {state.detail}" if state.detail else ""
        return f"{_named(state)} is at {state.stage.value}: {whose}{notes}"
    return f"{_named(state)} serves: there is nothing to do"
