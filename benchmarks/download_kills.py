"""kill -9 of a station that fetches signed updates over HTTP: `python -m benchmarks.download_kills [--kills 200]`.

Claim: whatever is killed when, while the link is cut every half second, the disk holds one whole model that serves, no
file under its final name is another than the signed one, and every update arrives, or is given up since its process
was killed too often on trial. Each kill costs what was on its way, no more. Each update is a bundle of 300 kB at
300 kB/s. The moments are drawn from the seed.
"""

import collections
import sys
import tempfile
from pathlib import Path

import click

from edge_runtime.updates.errors import Reason
from edge_runtime.updates.slots import Slots, slot_problem
from edge_runtime.updates.state import UPDATES, load
from edge_runtime.updates.trusted_repository import trust_root
from tests.support.colour_bundle import make_bundle
from tests.support.file_server import file_server
from tests.support.killed_downloads import cutting, update_with_kills
from tests.support.signed_rehearsal import TRUST, padded_bundle
from tests.support.tuf_repository import TufRepository
from tests.support.update_rehearsal import GROUP, first_life

SIZE, RATE = 300_000, 300_000  # bytes of a bundle, and bytes a second
CUT_SECONDS, KILL_SECONDS = 0.5, 0.6  # between two cuts; the longest life

GIVEN_UP = (Reason.PROBATION_CRASH.value, Reason.ENGINE.value)


@click.command()
@click.option("--kills", type=click.IntRange(min=1), default=200, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
def main(kills: int, seed: int) -> None:
    """Kill, look at the disk, start again; a new release follows each that has arrived."""
    with tempfile.TemporaryDirectory(prefix="download-kills-") as folder:
        good = _measure(Path(folder), kills, seed)
    sys.exit(0 if good else 1)


def _measure(place: Path, kills: int, seed: int) -> bool:
    repository = TufRepository(place / "repository")
    trust_root(place / "state" / UPDATES / TRUST, repository.first_root)
    first_life(place / "state", make_bundle(place / "first"))
    slots, number, delayed, given_up = Slots(place / "state"), 0, 0, 0
    stages: collections.Counter[str] = collections.Counter()
    problems: list[str] = []
    with file_server(repository.folder) as server, cutting(server, CUT_SECONDS):
        while stages.total() < kills:
            number += 1
            new = padded_bundle(place / str(number), SIZE + 16 * number)
            digest = repository.put_folder(new)
            repository.put_release(GROUP, digest, number)
            repository.publish(("targets", f"group-{GROUP}"))
            done = update_with_kills(place / "state", server.url, new, seed + number, RATE, KILL_SECONDS)
            stages.update(done.stages)
            delayed += done.delayed
            problems += done.problems
            if load(place / "state").reason in GIVEN_UP:
                given_up += 1
            elif not slots.is_current(digest) or slot_problem(slots.current()):
                problems.append(f"update {number} has not arrived")
        sent = server.sent
    click.echo(f"{stages.total()} kills in {number} updates, at the stages {dict(stages)}")
    click.echo(f"{given_up} updates were killed too often on trial; {delayed} lives gave the link up")
    click.echo(f"{len(problems)} problems {problems[:3]}")
    click.echo(f"{sent / number / 1e3:.0f} kB were sent for an update whose model has {SIZE / 1e3:.0f} kB")
    return not problems


if __name__ == "__main__":
    main()
