"""The notifier from a `station.toml`: one fault in front of a camera, heard at a real broker and a real webhook."""

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support.sample_events import wait_until
from tests.support.webhook_receiver import SECRET, Receiver, receiving

pytest.importorskip("paho.mqtt", reason="the extra `station` is not installed")

from edge_runtime.alerts.alarm_rules import AlarmRules
from edge_runtime.alerts.events import JudgedView, Reporter, camera_status
from edge_runtime.alerts.sample_selection import SampleSelector
from edge_runtime.bundle.errors import UnavailableError
from edge_runtime.bundle.store import open_bundle
from edge_runtime.causes import Cause
from edge_runtime.clock import Clock
from edge_runtime.inference.engines import open_engine
from edge_runtime.inference.evaluator import Evaluator
from edge_runtime.station.assemble import open_notifier
from edge_runtime.station.settings import StationSettings, load_station_settings
from tests.support import mosquitto_broker
from tests.support.mosquitto_broker import Broker, Subscriber

pytestmark = pytest.mark.skipif(mosquitto_broker.MOSQUITTO is None, reason="mosquitto is not installed")

SETTINGS = """
[station]
name = "north-7"
state_dir = "state"
heartbeat_seconds = 60

[[camera]]
name = "yard"
url = "usb:0"

[mqtt]
host = "127.0.0.1"
port = {broker}
tls = false

[webhook]
url = "http://127.0.0.1:{receiver}/hook?site=7"
secret_file = "secret"

[samples]
send = true
"""


class World:
    """A station without cameras: frames are shown to its real engine, outbox and sinks."""

    def __init__(self, folder: Path, broker: Broker, receiver: Receiver, bundle_folder: Path) -> None:
        self.broker, self.receiver = broker, receiver
        self.subscriber = Subscriber(self.broker.port)
        (folder / "secret").write_bytes(SECRET)
        (folder / "station.toml").write_text(SETTINGS.format(broker=self.broker.port, receiver=receiver.port))
        self.settings: StationSettings = load_station_settings(folder / "station.toml")
        self.bundle = open_bundle(bundle_folder)
        self.evaluator = Evaluator(self.bundle, open_engine(self.bundle, "cpu", "fp32", 1).engine)
        self.reporter, self.clock = Reporter("north-7", self.bundle), Clock()
        self._opened = contextlib.ExitStack()
        self.notifier = self._opened.enter_context(open_notifier(self.settings))

    def show(self, colour: tuple[int, int, int], frames: int) -> None:
        rules = {"yard": self.settings.decision.rule("yard", self.bundle.manifest.decision)}
        examples = SampleSelector(self.settings.samples)
        alarm_rules = AlarmRules(rules, self.reporter, self.notifier.spool, self.clock, examples)
        frame = np.full((40, 60, 3), colour, np.uint8)
        frame[:, :10] = 90
        for now in range(frames):
            evaluation = self.evaluator.evaluate(frame, alarm_rules.rule("yard"))
            alarm_rules.add(JudgedView("yard", frame, evaluation, float(now)))

    def tick(self, now: float) -> None:
        self.notifier.tick(now, lambda: self.reporter.heartbeat({"now": now}, self.clock.read()))

    def end(self) -> None:
        self._opened.close()
        self.subscriber.close()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    made = Broker(tmp_path / "broker").start()
    yield made
    made.kill()


@pytest.fixture
def world(tmp_path: Path, broker: Broker, packed: Path) -> Iterator[World]:
    with receiving() as receiver:
        made = World(tmp_path, broker, receiver, packed)
        yield made
        made.end()


def test_a_fault_is_heard_by_broker_and_webhook_as_the_same_event(world):
    world.notifier.start()
    world.show((0, 0, 255), frames=3)
    wait_until(lambda: world.subscriber.events() and any(e["kind"] == "alarm" for e in world.receiver.accepted))
    (alarm,) = world.subscriber.events()
    assert alarm in world.receiver.accepted
    assert (alarm["camera"], alarm["label"], alarm["test"]) == ("yard", "rust", False)
    assert alarm["model"]["digest"] == world.bundle.digest
    assert alarm["pictures"]["heatmap"]["data"]
    wait_until(lambda: world.subscriber.events("/sample"))  # the first frame, which disagreed with the votes


def test_what_is_said_while_nobody_listens_is_heard_later(world):
    world.broker.kill()
    world.receiver.statuses += [(503, {})] * 2
    world.show((0, 0, 255), frames=3)
    world.notifier.start()
    wait_until(lambda: world.notifier.troubles["mqtt"]())
    assert "cannot be reached" in world.notifier.troubles["mqtt"]()
    world.broker.start()
    wait_until(lambda: world.subscriber.events() and any(e["kind"] == "alarm" for e in world.receiver.accepted))
    wait_until(lambda: not world.notifier.troubles["mqtt"]())
    assert world.notifier.alive


def test_a_second_station_on_the_same_folder_is_refused(world):
    with pytest.raises(UnavailableError, match="another edge-station works on"):
        open_notifier(world.settings).__enter__()


def test_heartbeats_come_at_their_distance(world):
    world.notifier.start()
    for now in (1000.0, 1001.0, 1059.0, 1060.0):
        world.tick(now)
        wait_until(lambda: world.notifier.outbox.pending("mqtt") == 0)
    wait_until(lambda: len(world.subscriber.events("/heartbeat")) == 2)
    assert [event["state"] for event in world.subscriber.events("/heartbeat")] == [{"now": 1000.0}, {"now": 1060.0}]


def test_cameras_and_the_station_say_good_bye(world):
    world.notifier.start()
    world.notifier.set_camera("yard", camera_status(Cause.FROZEN))
    topic = "rarefault/north-7/yard/status"
    wait_until(lambda: world.subscriber.last(topic))
    assert json.loads(world.subscriber.last(topic)) == {"status": "not_evaluated", "cause": "frozen"}
    started = time.monotonic()
    world.notifier.stop()
    assert time.monotonic() - started < 5
    wait_until(lambda: world.subscriber.last("rarefault/north-7/status") == b"offline")
    assert json.loads(world.subscriber.last(topic)) == {"status": "offline", "cause": "station stopped"}
    assert not world.notifier.alive
