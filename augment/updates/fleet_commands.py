"""The commands of `rarefault` that tell what updates do: `diff`, `enrol`, `fleet`, `lineage`."""

from pathlib import Path

import click

from edge_runtime.bundle.manifest import PRECISIONS
from edge_runtime.cli_errors import Command

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


COMMANDS = (diff,)
