"""The command `rarefault station-demo`."""

import importlib.util
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import click

from augment.station_demo.files import BUNDLE, write_station, write_users
from augment.station_demo.operator import Operator
from edge_runtime.bundle.errors import InputError, UnavailableError
from edge_runtime.bundle.files import lock_file
from edge_runtime.bundle.store import MANIFEST
from edge_runtime.child_process import end_child, module_command, start_child

NEEDED = ("argon2", "jinja2", "prometheus_client", "starlette", "uvicorn")  # of the extra `station`
START_SECONDS, STOP_SECONDS, POLL_SECONDS = 120.0, 20.0, 0.1
STATUS_PORT = 9464
MAINTENANCE_HOURS = 1
LOCK = "demo.lock"  # held while a demo writes and runs in its folder
LOG_LINES = 12  # of a station that did not start
EARLIER = Path("demo/bundle")  # where `rarefault demo` leaves one


@click.command("station-demo")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default=Path("station-demo"), show_default=True
)
@click.option(
    "--bundle",
    type=click.Path(path_type=Path, file_okay=False),
    help="What to run; else demo/bundle where `rarefault demo` left one, else the bundle in the package.",
)
@click.option("--port", type=click.IntRange(1, 65535), default=9465, show_default=True, help="Of the page.")
@click.option("--browser/--no-browser", default=True, help="Whether the page is opened in a browser.")
def station_demo(out: Path, bundle: Path | None, port: int, browser: bool) -> None:
    """Run a station on rendered cameras whose faults come and go, and open its page; Ctrl-C ends it."""
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise UnavailableError(
            f"the demo's station needs {', '.join(missing)}; install rarefault with the extra station"
        )
    from augment.station_demo.cameras import DemoCameras
    from edge_runtime.web.accounts import hash_password
    from edge_runtime.web.local_access import open_browser

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    folder = out.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as running:
        _lock(running.enter_context((folder / LOCK).open("ab")), folder)
        cameras = DemoCameras()
        running.callback(cameras.close)
        page, passwords = _free(port), write_users(folder, hash_password)
        places = [(name, cameras.url(name)) for name in cameras.programmes]
        config = write_station(folder, _bundle(bundle), places, page, _free(STATUS_PORT))
        station = _start(config, folder / "station.log")
        running.callback(_end, station)
        address = f"http://127.0.0.1:{page}/"
        if _wait_for(address, station, stop, folder / "station.log"):
            _maintain(address, passwords["operator"], folder / "station.log")
            if page != port:
                click.echo(f"Port {port} is taken, so the page has another one.")
            _tell(address, passwords, folder)
            if browser and not open_browser(address):
                click.echo("No display was found: open the address in a browser of this machine.")
        while not stop.wait(POLL_SECONDS):
            if station.poll() is not None:
                raise UnavailableError(_ended(station, folder / "station.log"))
        click.echo("the station ends")


def _lock(file: IO[bytes], folder: Path) -> None:
    """Lock the file in the demo's folder; InputError where another demo, whose accounts lie there, holds it."""
    try:
        lock_file(file)
    except OSError:
        raise InputError(f"another demo runs in {folder}; end it, or give another folder with --out") from None


def _bundle(given: Path | None) -> Path:
    """Return the bundle to run; InputError where the one that was asked for is none."""
    if given is None:
        return (EARLIER if (EARLIER / MANIFEST).is_file() else BUNDLE).absolute()
    if not (given / MANIFEST).is_file():
        raise InputError(f"{given} holds no {MANIFEST}; give a bundle's folder, such as {EARLIER}")
    return given.absolute()


def _free(port: int) -> int:
    """Return `port` where nobody listens on it, else one that is free now."""
    for wanted in (port, 0):
        try:
            with socket.create_server(("127.0.0.1", wanted)) as listener:
                return int(listener.getsockname()[1])
        except OSError:
            continue
    raise UnavailableError("no port of this machine is free on 127.0.0.1; end a program that listens")


def _start(config: Path, log: Path) -> "subprocess.Popen[bytes]":
    """Start the service, in a session of its own: Ctrl-C is for this command, which then ends the service in order."""
    with log.open("wb") as file:
        command = module_command("edge_runtime.station", "run", "--config", str(config))
        return start_child(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True)


def _end(station: "subprocess.Popen[bytes]") -> None:
    """Ask the service to stop, and kill it where it does not in time."""
    station.terminate()
    try:
        station.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        end_child(station)


def _wait_for(address: str, station: "subprocess.Popen[bytes]", stop: threading.Event, log: Path) -> bool:
    """Wait until the page answers and return True; False where the user stopped it before."""
    deadline = time.monotonic() + START_SECONDS
    while not stop.wait(POLL_SECONDS):
        if station.poll() is not None:
            raise UnavailableError(_ended(station, log))
        try:
            with urllib.request.urlopen(address, timeout=5):
                return True
        except urllib.error.HTTPError:
            return True  # it answers
        except OSError:
            if time.monotonic() > deadline:
                raise UnavailableError(f"the page did not answer within {START_SECONDS:g} s; see {log}") from None
    return False


def _ended(station: "subprocess.Popen[bytes]", log: Path) -> str:
    last = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_LINES:])
    return f"the station ended by itself with exit code {station.returncode}; the end of {log}:\n{last}"


def _maintain(address: str, password: str, log: Path) -> None:
    """Put one camera under maintenance, as the operator; UnavailableError where the page refuses it."""
    from augment.station_demo.cameras import IN_MAINTENANCE

    try:
        operator = Operator(address, "operator", password)
        operator.send("/cameras", f"/cameras/{IN_MAINTENANCE}/maintenance", hours=str(MAINTENANCE_HOURS))
    except OSError as error:
        raise UnavailableError(f"the page refused a maintenance of {IN_MAINTENANCE} ({error}); see {log}") from None


def _tell(address: str, passwords: dict[str, str], folder: Path) -> None:
    click.echo(f"The station's page: {address}")
    for name, password in passwords.items():
        click.echo(f"  {name:9} password {password}")
    click.echo(f"The first fault is seen within a minute. Its files are in {folder}; Ctrl-C ends the station.")
