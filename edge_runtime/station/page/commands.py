"""`edge-station page`: the station's page, beside the service, whose child it is where [page] names users."""

import signal
import threading
from pathlib import Path

import click

from ...bundle.errors import UnavailableError
from ...cli_errors import Command, config_option
from ...logs import log_to_stderr
from ..settings import load_station_settings


@click.command(cls=Command)
@config_option
@click.option(
    "--live-fd", type=click.IntRange(min=3), hidden=True, help="Shared memory of the service's live pictures."
)
def page(config: Path, live_fd: int | None) -> None:
    """Serve the station's page: live pictures, events to judge, the night.

    The service starts it by itself where users_file is set in [page]. By hand it shows all but live pictures, whether
    the service works or not. Exit code 1: a look at the message is needed.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, lambda *_: stop.set())
    log_to_stderr(())
    try:
        from .serving import serve_page  # needs the extra `station`
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"the page needs the package {error.name}; install rarefault with the extra station"
        ) from error
    settings = load_station_settings(config)
    serve_page(
        settings, live_fd, stop, lambda port: click.echo(f"the page is at {settings.page.address(port)}/", err=True)
    )
