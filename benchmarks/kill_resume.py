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

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "augment"))  # the small run is the tests' own

import small_run  # noqa: E402


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
    small_run.finish(small_run.prepare(root / "whole", root / "images"))
    duration = time.monotonic() - started
    expected = small_run.results(root / "whole")
    click.echo(f"uninterrupted: {duration:.1f} s, {len(expected)} documents and files")
    moments = random.Random(seed)
    failures = 0
    for number in range(kills):
        seconds = moments.uniform(0.1, 1.0) * duration
        pipeline = small_run.prepare(root / f"killed-{number}", root / "images")
        killed = small_run.run_and_kill(pipeline, seconds)
        stages = [stage for stage in small_run.STAGES if (pipeline.parent / stage / "v0001.json").exists()]
        small_run.finish(pipeline)
        seen = small_run.results(pipeline.parent)
        different = [name for name in expected.keys() | seen.keys() if seen.get(name) != expected.get(name)]
        failures += bool(different)
        moment = f"killed after {seconds:5.1f} s" if killed else f"done before {seconds:5.1f} s"
        click.echo(f"{moment}, {stages[-1] if stages else 'nothing'} done: {len(different)} differences")
    click.echo(f"{kills - failures} of {kills} runs ended like the uninterrupted one")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
