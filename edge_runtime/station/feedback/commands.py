"""`edge-station feedback`: judgements and pictures to learn from leave for central, in files or over the sinks."""

from pathlib import Path

import click

from ...bundle.errors import InputError
from ...cli_errors import Command, config_option
from ..settings import load_station_settings
from .archives import hand_over, write_archives


@click.command(cls=Command)
@config_option
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Write all that waits below this folder.")
@click.option("--send", is_flag=True, help="Hand one archive to MQTT and webhook, behind all other events.")
def feedback(config: Path, out: Path | None, send: bool) -> None:
    """Bring judgements, judged frames and hard examples to central, as archives that the station's key signs.

    What has left once does not leave again. Central takes them by `rarefault feedback`. The service may be running.
    """
    settings = load_station_settings(config)
    if send == (out is not None):
        raise InputError("say where to: either --out FOLDER, such as a stick, or --send for the station's sinks")
    if out is not None:
        written = write_archives(settings, out)
        click.echo("\n".join(str(path) for path in written) or "nothing waits to leave")
        return
    archive = hand_over(settings)
    if archive is None:
        click.echo("nothing is handed over: nothing waits to leave, or an archive is still on its way")
        return
    click.echo(f"{archive.name}: {archive.entries} judgements, {archive.pictures} pictures; {archive.left} wait")
