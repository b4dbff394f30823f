"""kill -9 of a station's updates at random moments: `python -m benchmarks.update_kills [--kills 200] [--seed 0]`.

Claim: whatever is killed when, the disk holds exactly one model that is active, and it is whole and was verified; the
next start needs less than 30 seconds to serve it. A process starts, recovers, brings the next release, takes it on
probation, and commits it or, every third time, gives it up; releases follow one another without end. It is killed at a
random moment after its start, drawn from the seed; half of the processes refuse links.
"""

import collections
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from edge_runtime.updates.slots import Slots
from edge_runtime.updates.state import load
from edge_runtime.updates.update_process import recover, usable_slot
from tests.support.colour_bundle import make_bundle
from tests.support.update_rehearsal import PlainRepository, first_life, wrong_with

MOST_SECONDS = 30.0  # from a start to a model that serves


@click.command()
@click.option("--kills", type=click.IntRange(min=1), default=200, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
def main(kills: int, seed: int) -> None:
    """Kill, look at the disk, start again."""
    with tempfile.TemporaryDirectory(prefix="update-kills-") as folder:
        good = _measure(Path(folder), kills, random.Random(seed))
    sys.exit(0 if good else 1)


def _measure(place: Path, kills: int, chance: random.Random) -> bool:
    (place / "repository").mkdir()
    bundles = [make_bundle(place / "one", ("fp32",)), make_bundle(place / "other", ("fp16",))]
    first_life(place / "state", bundles[0])
    repository, number, killed, problems, slowest = PlainRepository(place / "repository"), 0, 0, [], 0.0
    stages: collections.Counter[str] = collections.Counter()
    longest = 0.0  # seconds that the first process took, which nobody kills; later ones are killed within this time
    lives = 0
    while killed < kills:
        slots = Slots(place / "state")
        before = slots.current().name
        number += 1
        offered = repository.offer(number, bundles[number % 2])
        lives += 1
        while True:
            seconds, ended = _run(place, number, chance.uniform(0, longest) if longest else MOST_SECONDS)
            if problem := wrong_with(slots, before, offered):
                problems.append(problem)
            if ended:
                longest = longest or seconds
                break
            killed += 1
            stages[load(place / "state").stage.value] += 1
            began = time.monotonic()
            recover(slots)
            problems += usable_slot(slots)[1]
            slowest = max(slowest, time.monotonic() - began)
    click.echo(f"{killed} kills in {lives} updates, at the stages {dict(stages)}")
    click.echo(f"{len(problems)} times no whole and verified model was active {problems[:3]}")
    click.echo(f"recovery took {slowest:.2f} s at most")
    return not problems and slowest < MOST_SECONDS


def _run(place: Path, number: int, seconds: float) -> tuple[float, bool]:
    """Start the station, kill it `seconds` after it is ready; how long it took, and whether it ended before."""
    verdict, links = "bad" if number % 3 == 0 else "good", "files" if number % 4 > 1 else "links"
    rehearsal = [sys.executable, "-m", "tests.support.update_rehearsal", "life"]
    command = [*rehearsal, str(place / "state"), str(place / "repository"), verdict, links]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        began = time.monotonic()
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            return seconds, False
        if code:
            raise click.ClickException(f"the station ended with exit code {code}")
        return time.monotonic() - began, True


if __name__ == "__main__":
    main()
