"""A station whose wall clock jumps (libfaketime around the whole service); monotonic time goes on as it does."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.fake_mjpeg_camera import GREEN_FRAMES, RED_FRAMES
from tests.support.sample_events import wait_until

pytest.importorskip("paho.mqtt", reason="the extra `station` is not installed")
pytest.importorskip("prometheus_client", reason="the extra `station` is not installed")

from tests.support import mosquitto_broker
from tests.support.running_station import Station

FAKETIME = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
pytestmark = [
    pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not installed (Debian: apt install faketime)"),
    pytest.mark.skipif(mosquitto_broker.MOSQUITTO is None, reason="mosquitto is not installed"),
]


class Clock:
    """What the service takes for the time: the real one and an offset in seconds."""

    def __init__(self, station: Station) -> None:
        self._file = station.folder / "clock"
        self.set("+0")
        station.environment = {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, offset: str) -> None:
        spare = self._file.with_suffix(".new")
        spare.write_text(offset + "\n")
        spare.replace(self._file)


@pytest.fixture
def station(tmp_path: Path, packed: Path) -> Iterator[Station]:
    made = Station(tmp_path, packed)
    yield made
    made.close()


def alarm(station: Station) -> dict:
    """Show a fault; the event that comes of it."""
    before = len(station.subscriber.events())
    station.camera.frames = RED_FRAMES
    wait_until(lambda: len(station.subscriber.events()) > before)
    ended = sum("alarm ended" in line["message"] for line in station.logged())
    station.camera.frames = GREEN_FRAMES
    wait_until(lambda: sum("alarm ended" in line["message"] for line in station.logged()) > ended)
    return station.subscriber.events()[before]


def test_hours_and_decades_in_one_night(station):
    clock = Clock(station)
    station.watching()
    service = psutil.Process(station.process.pid)
    workers = {child.pid for child in service.children()}
    years = 10 * 365 * 86400
    told = []
    for offset in (3600, -3600, years, -years):
        clock.set(f"{offset:+d}")
        event = alarm(station)
        told.append((event["time"][:4], event["clock"]))
    assert [clock for _, clock in told] == ["stepped"] * 4
    assert int(told[2][0]) - int(told[3][0]) in (19, 20)
    clock.set("+0")
    station.camera.fault = "freeze"
    wait_until(lambda: station.status("yard") == {"status": "not_evaluated", "cause": "frozen"})
    station.camera.fault = None
    wait_until(lambda: station.status("yard") == {"status": "online", "cause": ""})
    assert {child.pid for child in service.children()} == workers  # nobody was restarted
    yard = json.loads(station.call("status", "--json").stdout)["night"]["cameras"]["yard"]
    lived = service.create_time() and yard["due_seconds"]
    assert 10 < lived < 300  # by monotonic time, whatever the wall said
    assert [b["cause"] for b in yard["blind"] if b["cause"] not in ("starting", "overloaded")] == ["frozen"]
    overloaded = sum(b["seconds"] for b in yard["blind"] if b["cause"] == "overloaded")
    assert overloaded < lived / 4  # a busy machine may stumble; a clock that is set does not blind a camera
    assert yard["blind"][-1]["seconds"] < 60
    assert json.loads(station.page("healthz"))["status"] == "ok"


def test_a_clock_that_begins_in_1970_and_is_set_later(station):
    clock = Clock(station)
    clock.set(f"{30 - time.time():.0f}")
    station.watching()
    event = alarm(station)
    assert (event["time"][:4], event["clock"]) == ("1970", "free")
    clock.set("+0")
    event = alarm(station)
    assert (event["time"][:2], event["clock"]) == ("20", "stepped")
    document = json.loads(station.call("status", "--json").stdout)
    assert document["cameras"]["yard"]["status"] == "online"
    assert document["night"]["cameras"]["yard"]["due_seconds"] < 300
    assert station.end() == 0
