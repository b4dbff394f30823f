"""The command `edge-classify`: says of pictures whether they show a fault. It needs the base install only."""

import contextlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from ..bundle.errors import InputError, os_errors_as
from ..bundle.manifest import PRECISIONS
from ..cli_errors import Command
from ..inference.engines import ENGINES
from ..inference.evaluator import Evaluator
from ..media.file_kinds import Kind, file_kind
from .inputs import Inputs
from .opening import cores, open_evaluator, settle_process
from .path_lists import read_paths
from .results import Tally, make_writer
from .runner import BatchRunner

if TYPE_CHECKING:
    from .report import Report
    from .timing import Bench

REVIEW = "review"


class _Classify(Command):
    """The command, and in front of it the word `review`; a file of that name alone is written ./review."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Hand over to the other command where the first word asks for it."""
        if args[:1] == [REVIEW] and len(args) > 1:
            from .review import review  # needs more packages than the rest

            return review.make_context(f"{info_name} {REVIEW}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)

    def invoke(self, context: click.Context) -> Any:
        """Run the command that the context was made for."""
        return super().invoke(context) if context.command is self else context.command.invoke(context)


@click.command(cls=_Classify, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("paths", metavar="PATH...", nargs=-1)
@click.option("--bundle", type=click.Path(path_type=Path), envvar="RAREFAULT_BUNDLE", help="Folder of the bundle.")
@click.option(
    "--format", "style", type=click.Choice(["table", "jsonl", "csv"]), help="Table on a terminal, else jsonl."
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write results to this file.")
@click.option("--heatmap", type=click.Path(file_okay=False, path_type=Path), help="Write a picture of the cause here.")
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="Write one page to hand in: HTML.")
@click.option("--engine", type=click.Choice(["auto", *ENGINES]), default="auto", show_default=True)
@click.option("--precision", type=click.Choice(["auto", *PRECISIONS]), default="auto", show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="Inputs at once, each on a core. Default: one per core.")
@click.option("--bench", is_flag=True, help="Also print where the time goes.")
@click.option(
    "--update", is_flag=False, flag_value="", metavar="[URL|DIR]", help="First fetch the newest bundle from there."
)
@click.option("--trust", type=click.Path(dir_okay=False, path_type=Path), help="With the first --update: ROOT.json.")
@click.pass_context
def main(
    context: click.Context, paths: tuple[str, ...], bundle: Path | None, style: str | None, output: Path | None,
    heatmap: Path | None, report: Path | None, engine: str, precision: str, threads: int | None, bench: bool,
    update: str | None, trust: Path | None,
) -> None:  # fmt: skip
    """Classify images, folders (recursively) and video files; "-" reads paths from standard input.

    One result per input, in input order; of a video, one per second. The bundle is --bundle, else $RAREFAULT_BUNDLE,
    else the station's current one, else that of the last --update, which takes the signed repository of the central
    team, or a stick with it; without an address it takes that of the last time, and no PATH is needed.

    `edge-classify review FOLDER` shows the results in a browser, where they are judged for the central team.

    Exit codes: 0 nothing flagged; 10 a fault flagged; 11 no fault flagged, but something could not be evaluated;
    1 an error; 2 wrong usage.
    """
    settle_process()
    if _updated(update, trust) and not paths:
        return
    _check(paths, output, report)
    # A single picture has all cores to itself: its engine is ready and answers sooner.
    alone = threads is None and not bench and len(paths) == 1 and paths != ("-",) and _is_picture(Path(paths[0]))
    workers = 1 if alone else threads or cores()
    tally = Tally()
    evaluator = open_evaluator(bundle, engine, precision, workers, threads=cores() if alone else 1)
    inputs = Inputs(_paths(paths), output)
    timing = _timing(evaluator, workers) if bench else None
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(_open_output(output, style))
        page = stack.enter_context(_report(report, evaluator, inputs)) if report else None
        write = make_writer(style or ("table" if stream.isatty() else "jsonl"), stream, evaluator)
        for result in BatchRunner(evaluator, workers, heatmap, page is not None).run(inputs):
            if page:
                page.add(result)
            write(result)
            tally.add(result)
            if timing:
                timing.add(result)
        if page:
            page.whole = True
    click.echo(f"{tally}; left out: {inputs.summary()}" if inputs.left_out else str(tally), err=True)
    if timing:
        click.echo(timing.report(), err=True)
    context.exit(tally.exit_code)


def _report(path: Path, evaluator: Evaluator, inputs: Inputs) -> contextlib.AbstractContextManager["Report"]:
    from .report import open_report  # nothing that a run without a page needs

    return open_report(path, evaluator, inputs)


def _timing(evaluator: Evaluator, workers: int) -> "Bench":
    from .timing import start_bench

    return start_bench(evaluator, workers)


def _updated(source: str | None, root: Path | None) -> bool:
    """Bring the update that was asked for; return whether one was."""
    if source is None:
        if root is not None:
            raise click.UsageError("--trust goes with --update")
        return False
    from .update import bring_update

    click.echo(bring_update(source, root), err=True)
    return True


def _check(paths: tuple[str, ...], output: Path | None, report: Path | None) -> None:
    """Refuse what a shell makes of a variable that is not set, and of `--output *.jpg`."""
    if not paths:
        raise click.UsageError("Missing argument 'PATH...'.")
    if "" in paths:
        raise click.UsageError("a path is empty; the folder that the command is run in is written as a dot")
    if "-" in paths and sys.stdin is None:
        raise click.UsageError("standard input is closed, and no list can be read from it; give paths")
    if output is None and sys.stdout is None:
        raise click.UsageError("standard output is closed; give --output FILE")
    if output and report and output.resolve() == report.resolve():
        raise click.UsageError("--output and --report name the same file; choose another for one of them")
    for path, option in ((output, "--output"), (report, "--report")):
        if path is not None:
            with os_errors_as(InputError, f"{path} cannot be written", f"choose another {option}"):
                holds = path.exists() and file_kind(path).kind in (Kind.PICTURE, Kind.VIDEO, Kind.UNREAD_PICTURE)
            if holds:
                raise InputError(f"{path} may be evidence, and would be overwritten; choose another {option}")


def _is_picture(path: Path) -> bool:
    try:
        return path.is_file() and file_kind(path).kind is Kind.PICTURE
    except (OSError, ValueError):  # it is said where the file is read
        return False


def _paths(arguments: tuple[str, ...]) -> Iterator[Path]:
    for argument in arguments:
        if argument != "-":
            yield Path(argument)
            continue
        # A reader of its own: a thread may wait in it for ever, and Python aborts where that is sys.stdin itself.
        with open(sys.stdin.fileno(), "rb", closefd=False) as stream:
            yield from read_paths(stream)


@contextlib.contextmanager
def _open_output(path: Path | None, style: str | None) -> Iterator[IO[str]]:
    """Open the file, or standard output; names that are no text, or not in a console's encoding, come out escaped.

    A table keeps the console's own encoding, and data are UTF-8 wherever they go, CSV with the mark that Excel needs.
    """
    encoding = "utf-8-sig" if style == "csv" else "utf-8"
    if path is None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            table = style == "table" or (style is None and sys.stdout.isatty())
            sys.stdout.reconfigure(encoding=sys.stdout.encoding if table else encoding, errors="backslashreplace")
        yield sys.stdout
        return
    with os_errors_as(InputError, f"{path} cannot be written", "choose another --output"):
        stream = path.open("w", encoding=encoding, errors="backslashreplace")
    try:
        yield stream
    finally:
        with contextlib.suppress(OSError):  # each result was flushed, so what fails again here has been reported
            stream.close()
