"""Time and memory of `edge-classify` on one image: `python -m benchmarks.edge --bundle DIR IMAGE`.

Claim: the whole process takes at most 1.5 s and 300 MB. Best and median of several runs; memory is the largest seen.
"""

import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import click


@click.command()
@click.option("--bundle", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--runs", type=click.IntRange(min=1), default=7, show_default=True)
@click.argument("image", type=click.Path(path_type=Path, exists=True))
def main(bundle: Path, runs: int, image: Path) -> None:
    """Run the command several times and print what it took."""
    command = [sys.executable, "-m", "edge_runtime.classify", "--bundle", str(bundle), "--format", "jsonl", str(image)]
    seconds = []
    for _ in range(runs):
        started = time.perf_counter()
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - started)
    megabytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    click.echo(f"best {min(seconds):.2f} s, median {statistics.median(seconds):.2f} s, peak {megabytes:.0f} MB")


if __name__ == "__main__":
    main()
