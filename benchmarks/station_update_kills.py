"""kill -9 of a whole station in the middle of updates: `python -m benchmarks.station_update_kills OUT [--kills 200]`.

Claim: after every kill the next start has one valid model at work within 30 s: a camera's frames are judged by a bundle
that was signed, whole and verified, never by none. A real service fetches one signed release after another from the
central team's repository by its own schedule, shows it frames, lets it serve and keeps it; service and update process
are killed together at moments drawn from the seed, every fifth time while the service starts. Needs mosquitto.
"""

import contextlib
import os
import random
import signal
import statistics
import subprocess
import time
from collections import Counter
from pathlib import Path

import click
import psutil

from augment.updates.repository import Repository
from edge_runtime.bundle.store import open_bundle
from edge_runtime.updates.slots import Slots
from edge_runtime.updates.state import load
from tests.support import live_models
from tests.support.central_repository import make_repository
from tests.support.running_station import Station
from tests.support.sample_events import wait_until

WITHIN = 30.0  # seconds
UPDATES = """
[updates]
url = "{repository}"
root = "{root}"
interval_hours = 0.001
probation_minutes = 0.03
shadow_share = 1.0
shadow_frames = 5
most_latency = 100
"""
LONGEST = 9.0  # seconds from the first judged frame to the kill: about one update
STARTING = 1.5  # seconds, of a kill while the service starts


def judged(station: Station) -> float:
    """How many frames the running service has judged; 0 where it does not answer."""
    try:
        lines = station.page("metrics").splitlines()
    except OSError:
        return 0.0
    return sum(float(line.split()[-1]) for line in lines if line.startswith("rarefault_frames_evaluated_total{"))


def kill(station: Station) -> None:
    """End the service and all that it started, at once."""
    assert station.process is not None
    processes = [station.process.pid]
    with contextlib.suppress(psutil.NoSuchProcess):
        processes += [child.pid for child in psutil.Process(station.process.pid).children(recursive=True)]
    for number in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    station.process.wait(20)


def offer_next(repository: Repository, bundles: dict[str, Path], slots: Slots, forced: int) -> None:
    """Release another bundle where the newest release has ended, so that an update is nearly always under way."""
    state = load(slots.state_dir)
    newest = repository.releases().get("all")
    if newest is None or (state.release is not None and state.release.number == newest.number and state.reason) or (
        state.stage.value == "committed" and state.release is not None and state.release.number == newest.number
    ):  # fmt: skip
        digests = sorted(bundles)
        repository.release(digests[forced % len(digests)], "all")
        repository.commit()


@click.command()
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--kills", default=200, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(out: Path, kills: int, seed: int) -> None:
    """Kill, start again, and look at what serves."""
    out.mkdir(parents=True)
    factory = live_models.make_version(out / "factory", "0")
    repository = make_repository(out / "repository")
    made = [live_models.make_version(out / f"bundle-{n}", str(n)) for n in range(1, 4)]
    bundles = {repository.add_bundle(bundle.folder): bundle.folder for bundle in made}
    allowed, chance = {*bundles, factory.digest}, random.Random(seed)
    (out / "station").mkdir()
    station = Station(out / "station", factory.folder.absolute())
    root = (out / "repository" / "metadata" / "1.root.json").absolute()
    urls = UPDATES.format(repository=(out / "repository").absolute(), root=root)
    station.config.write_text(station.config.read_text() + urls)
    slots, stages, seconds, wrong = Slots(station.state, factory.folder), Counter(), [], []
    try:
        for number in range(kills):
            offer_next(repository, bundles, slots, number)
            began = time.monotonic()
            station.run()
            if number % 5 == 4:
                time.sleep(chance.random() * STARTING)
            else:
                with contextlib.suppress(AssertionError, TimeoutError, subprocess.TimeoutExpired):
                    wait_until(lambda: judged(station) > 0, WITHIN)
                seconds.append(time.monotonic() - began)
                if judged(station) <= 0:
                    wrong.append(f"kill {number}: nothing judged within {WITHIN:.0f} s")
                time.sleep(chance.random() * LONGEST)
            kill(station)
            stages[load(station.state).stage.value] += 1
            serving = slots.current()
            if open_bundle(serving).digest not in allowed:
                wrong.append(f"kill {number}: {serving} serves")
            if number % 20 == 19:
                click.echo(f"{number + 1} kills, {dict(stages)}, {len(wrong)} violations")
    finally:
        station.close()
    last = load(station.state)
    click.echo(f"killed at {dict(stages)}; last release {last.release.number if last.release else None}")
    middle, worst = statistics.median(seconds), max(seconds)
    click.echo(f"from the start to the first judged frame: median {middle:.1f} s, worst {worst:.1f} s")
    click.echo(f"violations: {wrong or 'none'}")
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
