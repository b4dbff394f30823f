"""A station whose disk is full: a small tmpfs under the whole service."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fake_mjpeg_camera import GREEN_FRAMES, RED_FRAMES
from tests.support.outbox_disks import small_disk
from tests.support.sample_events import wait_until

pytest.importorskip("paho.mqtt", reason="the extra `station` is not installed")
pytest.importorskip("prometheus_client", reason="the extra `station` is not installed")

from edge_runtime.alerts.outbox import DATABASE
from tests.support import mosquitto_broker
from tests.support.running_station import Station

pytestmark = pytest.mark.skipif(mosquitto_broker.MOSQUITTO is None, reason="mosquitto is not installed")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 3 MB."""
    with small_disk(tmp_path / "small", 3) as place:
        yield place


@pytest.fixture
def station(tmp_path: Path, packed: Path, small: Path) -> Iterator[Station]:
    made = Station(tmp_path, packed, small / "state")
    yield made
    made.close()


def fill(place: Path) -> None:
    """Until not one byte is left."""
    with (place / "filler").open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return


def counted(station: Station, name: str) -> float:
    lines = station.page("metrics").splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def test_it_goes_on_keeps_its_alarms_and_recovers(station, small):
    station.watching()
    fill(small)
    for alarm in range(3):
        station.camera.frames = RED_FRAMES
        wait_until(lambda alarm=alarm: counted(station, "rarefault_events_total{") == alarm + 1)
        station.camera.frames = GREEN_FRAMES
        wait_until(
            lambda alarm=alarm: sum("alarm ended" in line["message"] for line in station.logged()) == alarm + 1, 40
        )
    station.camera.fault = "freeze"
    wait_until(lambda: station.status("yard") == {"status": "not_evaluated", "cause": "frozen"})
    wait_until(lambda: "yard: not_evaluated (frozen)" in station.call("status").stdout)
    station.camera.fault = None
    before = counted(station, "rarefault_frames_evaluated_total{")
    wait_until(lambda: counted(station, "rarefault_frames_evaluated_total{") > before + 5)
    assert station.page("healthz")
    wait_until(lambda: len(station.subscriber.events()) + counted(station, "rarefault_alarms_in_memory") == 3)
    wait_until(lambda: "yard: online" in station.call("status").stdout)
    for part in ("what was not watched is kept in memory", "the event"):  # told once, not once a second
        assert sum(part in line["message"] for line in station.logged()) <= 1, station.log_text()
    (small / "filler").unlink()
    wait_until(lambda: len({event["id"] for event in station.subscriber.events()}) == 3)
    wait_until(lambda: counted(station, "rarefault_alarms_in_memory") == 0)
    assert station.end() == 0
    with sqlite3.connect(station.state / DATABASE) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_start_on_a_full_disk_is_a_sentence_or_a_watch(station, small):
    fill(small)
    station.run()
    wait_until(lambda: station.status("yard") is not None or station.process.poll() is not None)
    if station.process.poll() is None:
        wait_until(lambda: station.status("yard") == {"status": "online", "cause": ""})
    else:
        assert station.process.wait() == 1
        assert "Traceback" not in station.log_text()
        assert "free" in station.log_text()
