"""A whole station with everything on: its own schedule brings a good release and a bad one from a signed repository."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.sample_events import wait_until

pytest.importorskip("tuf", reason="the extra `station` is not installed")
pytest.importorskip("paho.mqtt", reason="the extra `station` is not installed")
pytest.importorskip("prometheus_client", reason="the extra `station` is not installed")

from tests.support import live_models, mosquitto_broker
from tests.support.running_station import Station
from tests.support.tuf_repository import TufRepository

pytestmark = pytest.mark.skipif(mosquitto_broker.MOSQUITTO is None, reason="mosquitto is not installed")

UPDATES = """
[updates]
url = "{url}"
root = "ROOT.json"
interval_hours = 0.001  # 3.6 s
most_latency = 100
shadow_share = 1.0
shadow_frames = 10
probation_minutes = 0.05
"""


@pytest.fixture
def station(tmp_path: Path, packed: Path) -> Iterator[Station]:
    made = Station(tmp_path, packed)
    yield made
    made.close()


def offer(repository: TufRepository, folder: Path, number: int, **bad: object) -> str:
    bundle = live_models.make_version(folder / f"version-{number}", str(number), **bad)
    repository.put_folder(bundle.folder)
    repository.put_release("all", bundle.digest, number)
    repository.publish(("targets", "group-all"))
    return bundle.digest


def outcomes(station: Station) -> list[dict[str, object]]:
    return [event["update"] for event in station.subscriber.events("/update")]


def test_a_good_release_comes_to_serve_by_itself_and_a_bad_one_does_not(station, tmp_path):
    repository = TufRepository(tmp_path / "repository")
    (tmp_path / "ROOT.json").write_bytes(repository.first_root)
    station.config.write_text(station.config.read_text() + UPDATES.format(url=repository.folder))
    good = offer(repository, tmp_path, 1)
    station.watching()
    seen = len(station.statuses("yard"))
    wait_until(lambda: outcomes(station), 120)
    assert [(told["release"], told["outcome"], told["bundle"]) for told in outcomes(station)] == [
        (1, "committed", good)
    ]
    assert f'rarefault_model_info{{digest="{good[:12]}",name="colours",version="1"}} 1.0' in station.page("metrics")
    offer(repository, tmp_path, 2, rule=live_models.ALWAYS_RUST)
    wait_until(lambda: len(outcomes(station)) == 2, 120)
    told = outcomes(station)[-1]
    assert (told["release"], told["outcome"], told["reason"]) == (2, "failed", "shadow")
    assert "frames told otherwise than by the serving model" in told["detail"]
    status = json.loads(station.page("status"))
    assert status["model"]["digest"] == status["update"]["slot"] == good
    assert len(station.statuses("yard")) == seen  # it was watched all the time
    assert station.subscriber.events() == []  # and no alarm was raised
    text = station.call("status").stdout
    assert f"  model: colours 1 ({good[:12]}), slot {good[:12]}" in text
    assert "  update to release 2: failed since " in text
    assert station.end() == 0
