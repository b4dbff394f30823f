"""`rarefault feedback`: what persons at stations judged becomes pictures to learn from."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_runtime.cli_errors import Command
from edge_runtime.text_files import printable

if TYPE_CHECKING:
    from augment.feedback.take import Taken

MOST_NAMED = 20  # of what is left out; records.json names all


@click.command(cls=Command)
@click.argument("run", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.argument("archives", type=click.Path(path_type=Path, exists=True), nargs=-1, required=True)
@click.option(
    "--fleet", type=click.Path(path_type=Path, file_okay=False, exists=True), required=True, help="Where keys are kept."
)
@click.pass_context
def feedback(context: click.Context, run: Path, archives: tuple[Path, ...], fleet: Path) -> None:
    """Take archives of `edge-station feedback` into RUN; `rarefault run` goes on from there.

    ARCHIVES are .zip files, folders of them such as a stick, or the events (.json) that carried them.

    Only archives that an enrolled station has signed count. A picture goes to the training side, and to none where it
    or its burst looks like a held-out picture. Exit codes: 0 all archives were good; 1 one was not.
    """
    from augment.feedback.take import take_feedback

    taken = take_feedback(run, archives, fleet)
    for line in _told(taken):
        click.echo(printable(line))
    for problem in taken.problems:
        click.echo(printable(problem), err=True)
    context.exit(1 if taken.problems else 0)


def _told(taken: "Taken") -> list[str]:
    summary = taken.document.summary
    labels = ", ".join(f"{count} {label}" for label, count in summary.labels.items()) or "none"
    lines = [
        f"{taken.entries} judgements and {taken.examples} pictures are new",
        f"{len(taken.document.records)} of {summary.judged} judged pictures are to learn from: {labels}",
    ]
    lines += [f"left out {left.path}: {left.reason}" for left in summary.left_out[:MOST_NAMED]]
    if (more := len(summary.left_out) - MOST_NAMED) > 0:
        lines.append(f"and {more} more, see records.json")
    for label, instead in summary.corrected.items():
        lines.append(f"alarms for {label} showed {', '.join(f'{count} {true}' for true, count in instead.items())}")
    for one in summary.disagreements:
        said = ", ".join(f"{who} says {what}" for who, what in one.said.items())
        lines.append(f"judges disagree on {one.event} of {one.station}: {said}")
    lines += [
        f"{row.station} {row.camera} {row.label} {row.week}: {row.right} of {row.right + row.wrong} alarms right "
        f"({100 * row.value:.0f} %, {100 * row.low:.0f} to {100 * row.high:.0f} %)"
        for row in summary.precision
    ]
    if summary.unlabelled:
        lines.append(
            f"{summary.unlabelled} hard examples wait for labels in feedback/unlabelled; see `rarefault label`"
        )
    return lines


COMMANDS = (feedback,)
