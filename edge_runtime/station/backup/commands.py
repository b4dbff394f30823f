"""`edge-station backup` and `restore`."""

from pathlib import Path

import click

from ...cli_errors import Command, config_option
from ..settings import load_station_settings
from ..state_lock import lock_state_folder
from .archive import back_up, restore

archive = click.Path(dir_okay=False, path_type=Path)


@click.command("backup", cls=Command)
@config_option
@click.argument("file", type=archive)
@click.option("--no-pictures", is_flag=True, help="Leave out pictures, archives of feedback and stored scores.")
def backup_command(config: Path, file: Path, no_pictures: bool) -> None:
    """Write the state folder into FILE; the service may be running.

    FILE holds the station's private key: keep it as you keep passwords. station.toml and what it names are not in it.
    """
    station = load_station_settings(config).station
    size = back_up(station.state_dir, file, station.name, not no_pictures)
    click.echo(f"{file} written, {size >> 10} KiB; it holds the station's private key")


@click.command("restore", cls=Command)
@config_option
@click.argument("file", type=archive)
def restore_command(config: Path, file: Path) -> None:
    """Put what `backup` wrote into the state folder of the settings, which must be empty, and its service stopped.

    The box that the backup came from must not run any more: both would tell the same events.
    """
    station = load_station_settings(config).station
    with lock_state_folder(station.state_dir):
        name = restore(file, station.state_dir)
    click.echo(f"the state of {name} lies in {station.state_dir}; start the service")
    if name != station.name:
        click.echo(f"the settings call this station {station.name}, the backup is of {name}", err=True)
