"""One watch: films over RTSP, `edge-station run` on all of them, mosquitto, and a subscriber that hears it all."""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.watch import ROOT
from tests.support.mosquitto_broker import Broker, Subscriber, free_port
from tests.support.sample_events import wait_until

ENGINE, PRECISION = "cpu", "fp32"
START_SECONDS = 150.0  # for all cameras to begin, on a busy machine
LISTEN_SECONDS = 0.1  # between two looks at what the subscriber has heard
STATION = [sys.executable, "-m", "edge_runtime.station"]
EVALUATED = "rarefault_frames_evaluated_total"

# All that is not named here is as `edge-station` has it: rates, votes, cool-down, health checks, thresholds.
SETTINGS = """
[station]
name = "night-watch"
state_dir = "{place}/state"
bundle = "{bundle}"
engine = "{engine}"
precision = "{precision}"
test_alarm_hours = 0
{cameras}
[mqtt]
host = "127.0.0.1"
port = {broker}
tls = false

[http]
port = {http}
"""
CAMERA = """
[[camera]]
name = "{name}"
url = "rtsp://127.0.0.1:{port}/{name}"
"""


@dataclass
class Night:
    """What came of it. Times in seconds since 1970."""

    alarms: list[tuple[float, dict[str, Any]]] = field(default_factory=list)  # each once, and when it arrived
    began: dict[str, list[float]] = field(default_factory=dict)  # by camera: when its film began, and began again
    ended: float = 0.0
    status: dict[str, Any] = field(default_factory=dict)  # as `edge-station status --json` says it
    judged: int = 0  # frames that got a verdict


def watch(place: Path, bundle: Path, cameras: Sequence[str], seconds: float) -> Night:
    """Run a station on the films in `place`/films for `seconds` after the last one of them has begun."""
    broker = Broker(place / "broker").start()
    subscriber = Subscriber(broker.port)
    films, http = free_port(), free_port()
    config = place / "station.toml"
    config.write_text(_settings(place, bundle, cameras, films, broker.port, http))
    with (place / "films.log").open("w") as films_log, (place / "station.log").open("w") as station_log:
        serve = ["/usr/bin/python3", str(ROOT / "benchmarks" / "watch" / "rtsp_films.py"), str(films)]
        server = subprocess.Popen([*serve, str(place / "films")], stdout=films_log)
        wait_until(lambda: (place / "films.log").read_text().startswith("ready"))
        station = subprocess.Popen([*STATION, "run", "--config", str(config)], stderr=station_log, cwd=ROOT)
        try:
            night = _listen(subscriber, station, place, cameras, seconds)
            asked = [*STATION, "status", "--json", "--config", str(config)]
            night.status = json.loads(subprocess.run(asked, cwd=ROOT, check=True, capture_output=True).stdout)
            night.judged = _judged(http)
        finally:
            for process in (station, server):
                process.terminate()
                process.wait(20)
            subscriber.close()
            broker.kill()
    return night


def _settings(place: Path, bundle: Path, cameras: Sequence[str], films: int, broker: int, http: int) -> str:
    entries = "".join(CAMERA.format(name=name, port=films) for name in cameras)
    chosen = {"place": place, "bundle": bundle.resolve(), "engine": ENGINE, "precision": PRECISION}
    return SETTINGS.format(**chosen, cameras=entries, broker=broker, http=http)


def _listen(
    subscriber: Subscriber, station: "subprocess.Popen[bytes]", place: Path, cameras: Sequence[str], seconds: float
) -> Night:
    night = Night()
    known: set[str] = set()
    all_began = False
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        time.sleep(LISTEN_SECONDS)
        if station.poll() is not None:
            raise SystemExit(f"the station ended by itself: {(place / 'station.log').read_text()[-2000:]}")
        for event in subscriber.events():
            if event["id"] not in known:
                known.add(event["id"])
                night.alarms.append((time.time(), event))
        night.began = _beginnings(place / "films.log")
        if not all_began and len(night.began) == len(cameras):
            all_began, deadline = True, time.monotonic() + seconds
    if not all_began:
        raise SystemExit(f"nobody looked at {', '.join(sorted(set(cameras) - set(night.began)))}")
    night.ended = time.time()
    return night


def _beginnings(log: Path) -> dict[str, list[float]]:
    began: dict[str, list[float]] = {}
    for line in log.read_text().split("\n")[1:-1]:  # the first is "ready"; what follows the last is not whole yet
        name, at = line.split()
        began.setdefault(name, []).append(float(at))
    return began


def _judged(http: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{http}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(int(float(line.split()[-1])) for line in lines if line.startswith(EVALUATED))
