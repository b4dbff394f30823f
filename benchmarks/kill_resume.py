"""kill -9 at ten random moments: `python -m benchmarks.kill_resume [--kills N] [--seed N]`.

Claim: a run killed at any moment finishes when it is started again, and its documents, images, weights and ONNX files
equal those of a run that was not killed (dates aside). Ten runs of a small pipeline, one kill each, spread over its
duration; the moments are drawn from the seed and printed.
"""

import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

import click

from augment.records import STAGES
from tests.support import rendered_run


@click.command()
@click.option("--kills", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
def main(kills: int, seed: int) -> None:
    """Run, kill, run again, compare."""
    root = Path(tempfile.mkdtemp(prefix="kill-resume-"))
    try:
        _measure(root, kills, seed)
    finally:
        shutil.rmtree(root)


def _measure(root: Path, kills: int, seed: int) -> None:
    started = time.monotonic()
    rendered_run.finish(rendered_run.prepare(root / "whole", root / "images"))
    duration = time.monotonic() - started
    expected = rendered_run.results(root / "whole")
    click.echo(f"uninterrupted: {duration:.1f} s, {len(expected)} documents and files")
    moments = random.Random(seed)
    killed = failures = 0
    while killed < kills:
        seconds = moments.uniform(0.1, 0.9) * duration
        folder = root / "killed"
        pipeline = rendered_run.prepare(folder, root / "images")
        if rendered_run.run_and_kill(pipeline, seconds):  # a run that was done before its moment shows nothing
            killed += 1
            stages = [s.document for s in STAGES if (folder / s.document / "v0001.json").exists()]
            rendered_run.finish(pipeline)
            seen = rendered_run.results(folder)
            different = [name for name in expected.keys() | seen.keys() if seen.get(name) != expected.get(name)]
            failures += bool(different)
            done = stages[-1] if stages else "nothing"
            click.echo(f"killed after {seconds:5.1f} s, {done} done: {len(different)} differences")
        shutil.rmtree(folder)
    click.echo(f"{kills - failures} of {kills} runs ended like the uninterrupted one")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
