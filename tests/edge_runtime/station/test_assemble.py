"""A station with everything on: schedule of self tests, heartbeats, ledger, a real broker, cameras, a typo."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fake_mjpeg_camera import GREEN_FRAMES, FaultServer
from tests.support.sample_events import wait_until

pytest.importorskip("paho.mqtt", reason="the extra `station` is not installed")
pytest.importorskip("prometheus_client", reason="the extra `station` is not installed")

from edge_runtime.cameras.settings import plan_cameras
from edge_runtime.clock import instant
from edge_runtime.station.assemble import assemble, open_notifier
from edge_runtime.station.settings import load_station_settings
from edge_runtime.station.updating.start import open_serving
from edge_runtime.watchlog.ledger_query import ledger_path, read_night_of
from tests.support import mosquitto_broker
from tests.support.mosquitto_broker import Broker, Subscriber

pytestmark = pytest.mark.skipif(mosquitto_broker.MOSQUITTO is None, reason="mosquitto is not installed")

SETTINGS = """
[station]
name = "north-7"
state_dir = "state"
bundle = "{bundle}"
engine = "cpu"
precision = "fp32"
heartbeat_seconds = 1
test_alarm_hours = 0.001  # 3.6 s

[[camera]]
name = "typo"
url = "htp://127.0.0.1/stream"

[[camera]]
name = "yard"
url = "{yard}"
floor_rate = 5

[[camera]]
name = "gate"
url = "{gate}"
floor_rate = 5

[mqtt]
host = "127.0.0.1"
port = {broker}
tls = false
need_subscriber = false

[http]
port = 0
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    made = Broker(tmp_path / "broker").start()
    yield made
    made.kill()


def test_a_station_with_everything_on_and_a_typo_as_first_camera_lives_past_its_self_tests(tmp_path, packed, broker):
    subscriber, stop = Subscriber(broker.port), threading.Event()
    with FaultServer() as yard, FaultServer() as gate:
        yard.frames = gate.frames = GREEN_FRAMES
        text = SETTINGS.format(bundle=packed, yard=yard.url(), gate=gate.url(), broker=broker.port)
        (tmp_path / "station.toml").write_text(text)
        settings = load_station_settings(tmp_path / "station.toml")
        with open_notifier(settings) as notifier:
            plans, evaluator = plan_cameras(settings.camera), open_serving(settings)
            service = assemble(settings, plans, evaluator, notifier, first_test_seconds=0)
            thread = threading.Thread(target=service.run, args=(stop,))
            thread.start()
            try:
                wait_until(lambda: {e["camera"] for e in subscriber.events() if e["test"]} == {"yard", "gate"}, 60)
                metrics = service.watch.metrics
                assert 'camera="typo",result=' not in metrics.text().decode()
                for camera in ("yard", "gate"):
                    wait_until(lambda camera=camera: arrived(metrics.text().decode(), camera), 60)
                typo = json.loads(subscriber.last("rarefault/north-7/typo/status"))
                assert (typo["status"], typo["cause"]) == ("offline", "misconfigured")
                assert "htp" in typo["problem"]
                online = {"status": "online", "cause": ""}
                told = {"typo": typo, "yard": online, "gate": online}
                wait_until(lambda: subscriber.events("/heartbeat")[-1]["state"]["cameras"] == told, 60)
                night = read_night_of(ledger_path(settings.station.state_dir), 3600, instant(), at_work=True)
                assert {i.cause.value for i in night.blind if i.camera == "typo"} == {"misconfigured"}
                assert thread.is_alive()
            finally:
                stop.set()
                thread.join(20)
                subscriber.close()


def arrived(metrics: str, camera: str) -> bool:
    """Whether a marked frame of the camera has come through."""
    start = f'rarefault_frame_tests_total{{camera="{camera}",result="arrived"}} '
    (count,) = (float(line.removeprefix(start)) for line in metrics.splitlines() if line.startswith(start))
    return count > 0
