"""`edge-station`: the station device's own command. For now it can prove a bundle; the service comes on top of this."""

from pathlib import Path

import click

from .bundle.errors import RarefaultError, UnavailableError
from .bundle.golden import GoldenSet, load_golden, worst_difference
from .bundle.store import Bundle, open_bundle
from .engines import available_engines, load_engine
from .event_list import events


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Run a station."""


main.add_command(events)


@main.command()
@click.option("--bundle", "folder", required=True, type=click.Path(path_type=Path), help="Folder of the bundle.")
@click.pass_context
def check(context: click.Context, folder: Path) -> None:
    """Verify a bundle's files, then its golden frames on every engine and precision of this device.

    Exit codes: 0 everything that can run here agrees; 1 something does not, or the bundle is damaged.
    """
    try:
        bundle = open_bundle(folder)
        golden = load_golden(bundle)
    except RarefaultError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{bundle.manifest.name} {bundle.manifest.version}: {len(bundle.manifest.files)} files whole")
    agreed = [_report(bundle, golden, name, precision) for name, precision in _combinations(bundle)]
    context.exit(0 if all(agreed) else 1)


def _combinations(bundle: Bundle) -> list[tuple[str, str]]:
    return [(name, precision) for name in available_engines() for precision in bundle.manifest.precisions]


def _report(bundle: Bundle, golden: GoldenSet, name: str, precision: str) -> bool:
    """One line for one engine and precision; whether it agrees with the bundle."""
    allowed = golden.tolerance.get(precision, 0.0)
    try:
        engine = load_engine(bundle, name, precision)
        worst = worst_difference(lambda frames: engine.run(frames)[0], golden)
    except UnavailableError as error:
        click.echo(f"{name} {precision}: {error}")
        return False
    verdict = "agrees" if worst <= allowed else "DIFFERS"
    click.echo(f"{name} {precision}: {verdict}, worst logit difference {worst:.3g}, allowed {allowed:.3g}")
    return worst <= allowed


if __name__ == "__main__":
    main()
