"""The command `rarefault station-demo`."""

import importlib.util
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
import webbrowser
from pathlib import Path

import click

from augment.station_demo.cameras import DemoCameras
from augment.station_demo.files import write_station, write_users
from augment.station_demo.recipe import BUNDLE
from edge_runtime.bundle.errors import InputError, UnavailableError
from edge_runtime.bundle.store import MANIFEST
from edge_runtime.child_process import end_child, module_command, start_child

NEEDED = ("argon2", "jinja2", "prometheus_client", "starlette", "uvicorn")  # of the extra `station`
START_SECONDS, STOP_SECONDS, POLL_SECONDS = 60.0, 20.0, 0.2
EARLIER = Path("demo/bundle")  # where `rarefault demo` leaves one


@click.command("station-demo")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("station-demo"), show_default=True)
@click.option("--bundle", type=click.Path(path_type=Path, file_okay=False), help="Run this one, of the demo's classes.")
@click.option("--port", type=click.IntRange(0, 65535), default=9465, show_default=True, help="Of the page.")
@click.option("--browser/--no-browser", default=True, help="Whether the page is opened.")
def station_demo(out: Path, bundle: Path | None, port: int, browser: bool) -> None:
    """Run a station on rendered cameras whose faults come and go, and open its page; Ctrl-C ends it."""
