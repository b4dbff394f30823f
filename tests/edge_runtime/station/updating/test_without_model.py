"""A whole station whose first model cannot serve: it stays, says so to everyone, and takes the next one."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("paho.mqtt", reason="the extra `station` is not installed")
pytest.importorskip("prometheus_client", reason="the extra `station` is not installed")

from edge_runtime.updates.slots import Slots
from tests.support import live_models, mosquitto_broker
from tests.support.running_station import Station
from tests.support.sample_events import wait_until

pytestmark = pytest.mark.skipif(mosquitto_broker.MOSQUITTO is None, reason="mosquitto is not installed")

FACTORY = 'bundle = "{bundle}"'
SECTION = "\n[updates]\nshadow_frames = 0\nprobation_minutes = 0.05\n"


@pytest.fixture
def station(tmp_path: Path, packed: Path) -> Iterator[Station]:
    made = Station(tmp_path, packed)
    made.config.write_text(made.config.read_text().replace(FACTORY.format(bundle=packed), "") + SECTION)
    yield made
    made.close()


def unknown_operator(model) -> None:
    model.graph.node[2].op_type = "NoSuchOperator"


def test_a_station_whose_first_model_no_engine_runs_tells_so_until_the_next_one_comes(station, tmp_path):
    slots = Slots(station.state)
    live_models.hand_over(slots, live_models.make_version(tmp_path / "odd", "1", change=unknown_operator), 1)
    station.run()
    wait_until(lambda: station.subscriber.events("/update"), 60)
    (told,) = [event["update"] for event in station.subscriber.events("/update")]
    assert (told["release"], told["outcome"], told["reason"]) == (1, "failed", "engine")
    assert told["detail"].endswith("there is no other model to go back to")
    wait_until(lambda: station.status("yard"))
    assert (station.status("yard")["status"], station.status("yard")["cause"]) == ("not_evaluated", "model")
    assert "the cpu engine cannot load" in station.status("yard")["problem"]
    wait_until(lambda: station.subscriber.events("/heartbeat"))
    beat = station.subscriber.events("/heartbeat")[-1]
    assert beat["model"]["digest"] == beat["state"]["report"]["digest"] == ""
    text = station.call("status").stdout
    assert "the service is at work" in text
    assert "  model: none can serve, slot none\n  update to release 1: failed since" in text
    good = live_models.make_version(tmp_path / "good", "2")
    live_models.hand_over(slots, good, 2)
    wait_until(lambda: station.status("yard") == {"status": "online", "cause": ""}, 60)
    wait_until(lambda: len(station.subscriber.events("/update")) == 2, 60)
    assert station.subscriber.events("/update")[1]["update"]["outcome"] == "committed"
    assert json.loads(station.page("status"))["model"]["digest"] == good.digest
    assert station.end() == 0
