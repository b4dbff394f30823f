"""A release in steps over six stations: `python -m benchmarks.canary OUT`.

Claims: a model that fails on live frames alone reaches the one station of the first group, which goes back by itself,
and nobody else; a good one reaches all six, and nowhere is a frame left without a verdict for more than 2 s. Every
station is a real service with a real camera stream; the repository is the central team's own, read from its folder, and
the reports come over a real broker. The models are the tests' colour bundles. Needs mosquitto.
"""

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np

from augment.updates.repository import Repository
from edge_runtime.updates.slots import Slots
from edge_runtime.updates.state import Stage, load
from tests.support import live_models
from tests.support.central_repository import make_repository
from tests.support.fake_mjpeg_camera import GREEN_FRAMES, FaultServer, free_port
from tests.support.mosquitto_broker import Broker

GROUPS = ("one", "three", "three", "three", "all", "all")
LONGEST_GAP = 2.0  # seconds
PATIENCE = 300.0  # seconds for one step on six stations
SETTINGS = """
[station]
name = "{name}"
state_dir = "{state}"
bundle = "{bundle}"
engine = "cpu"
precision = "fp32"
threads = 1
test_alarm_hours = 0
heartbeat_seconds = 5

[[camera]]
name = "yard"
url = "{camera}"
floor_rate = 5
top_rate = 5

[mqtt]
host = "127.0.0.1"
port = {broker}
tls = false
need_subscriber = false

[http]
port = {http}

[updates]
url = "{repository}"
group = "{group}"
root = "{root}"
interval_hours = 0.002
probation_minutes = 0.25
shadow_share = 1.0
shadow_frames = {shadow}
"""


@dataclass
class Station:
    """One service and what its camera's verdicts did."""

    name: str
    group: str
    folder: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None
    gaps: list[float] = field(default_factory=list)

    @property
    def slots(self) -> Slots:
        return Slots(self.folder / "state")

    def begin(self, settings: str) -> None:
        self.folder.mkdir()
        (self.folder / "station.toml").write_text(settings)
        command = [sys.executable, "-m", "edge_runtime.station", "run", "--config", str(self.folder / "station.toml")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"})

    def watch(self, stop: threading.Event) -> None:
        """Note how long the count of judged frames stood still, from the first frame on."""
        last, since = 0.0, None
        while not stop.wait(0.05):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
                    lines = answer.read().decode().splitlines()
            except OSError:
                continue
            seen = sum(
                float(line.split()[-1]) for line in lines if line.startswith("rarefault_frames_evaluated_total{")
            )
            now = time.monotonic()
            if seen != last:
                if since is not None:
                    self.gaps.append(now - since)
                last, since = seen, now

    def outcome(self) -> str:
        state = load(self.slots.state_dir)
        number = state.release.number if state.release else None
        return f"release {number} {state.stage.value}" + (f" ({state.reason}: {state.detail})" if state.reason else "")


def wait_for(what: str, stations: list[Station], number: int, stages: tuple[Stage, ...]) -> None:
    """Wait until each station has ended with release `number` at one of the stages."""

    def ended(station: Station) -> bool:
        state = load(station.slots.state_dir)
        return state.release is not None and state.release.number == number and state.stage in stages

    began = time.monotonic()
    while not all(ended(station) for station in stations):
        if time.monotonic() - began > PATIENCE:
            raise SystemExit(f"{what}: not in {PATIENCE:.0f} s; {[station.outcome() for station in stations]}")
        time.sleep(0.5)
    click.echo(f"{what}: {time.monotonic() - began:.0f} s; " + "; ".join(f"{s.name} {s.outcome()}" for s in stations))


def holds(station: Station, digest: str) -> bool:
    """Whether anything of a bundle ever came to the station and is there."""
    return any(digest in str(path) for path in (station.folder / "state").rglob("*"))


def bad_then_good(repository: Repository, stations: list[Station], out: Path) -> bool:
    """Publish the bad model, then the good one step by step; return whether everything went as claimed."""
    bad = live_models.make_version(out / "bad", "2", change=live_models.no_numbers_on_live_frames)
    repository.release(repository.add_bundle(bad.folder), "one")
    repository.commit()
    wait_for("the bad model", stations[:1], 1, (Stage.FAILED,))
    time.sleep(20)  # two looks of every other station at the repository
    reached = [station.name for station in stations[1:] if holds(station, bad.digest)]
    back = stations[0].slots.folder / bad.digest
    good_so_far = not reached and not Slots(stations[0].slots.state_dir).is_current(bad.digest)
    click.echo(
        f"the bad model reached beside the first station: {reached or 'nobody'}; its slot is left: {back.exists()}"
    )
    good = live_models.make_version(out / "good", "3")
    repository.release(repository.add_bundle(good.folder), "one")
    repository.commit()
    for number, group in enumerate(("one", "three", "all"), start=2):
        members = [station for station in stations if station.group == group]
        wait_for(f"the good model, group {group}", members, number, (Stage.COMMITTED,))
        if group != "all":
            repository.promote(group)
            repository.commit()
    return good_so_far and all(station.slots.is_current(good.digest) for station in stations)


@click.command()
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--shadow-frames", default=20, show_default=True, help="0: the bad model is met on probation.")
def main(out: Path, shadow_frames: int) -> None:
    """Run six stations, a bad release and a good one."""
    out.mkdir(parents=True)
    factory = live_models.make_version(out / "factory", "1")
    repository = make_repository(out / "repository")
    root = out / "repository" / "metadata" / "1.root.json"
    stop = threading.Event()
    broker = Broker(out / "broker").start()
    stations = [
        Station(f"station-{n}", group, (out / f"station-{n}").absolute(), free_port()) for n, group in enumerate(GROUPS)
    ]
    with FaultServer() as camera:
        camera.frames = GREEN_FRAMES
        try:
            for station in stations:
                values = {"bundle": factory.folder.absolute(), "camera": camera.url(), "broker": broker.port}
                values |= {
                    "shadow": shadow_frames,
                    "repository": (out / "repository").absolute(),
                    "root": root.absolute(),
                    "http": station.port,
                }
                station.begin(
                    SETTINGS.format(name=station.name, group=station.group, state=station.folder / "state", **values)
                )
                threading.Thread(target=station.watch, args=(stop,), daemon=True).start()
            right = bad_then_good(repository, stations, out)
        finally:
            stop.set()
            for station in stations:
                if station.process is not None:
                    station.process.terminate()
                    station.process.wait(30)
            broker.kill()
    worst = {station.name: round(float(np.max(station.gaps)), 2) for station in stations}
    click.echo(f"longest time without a verdict: {json.dumps(worst)} s, asked at most {LONGEST_GAP}")
    raise SystemExit(0 if right and max(worst.values()) <= LONGEST_GAP else 1)


if __name__ == "__main__":
    main()
