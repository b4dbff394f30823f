import json
import threading
from pathlib import Path

import pytest

pytest.importorskip("paho.mqtt", reason="paho-mqtt is not installed")
from paho.mqtt import publish

from augment.updates.fleet_mqtt import listen
from edge_runtime.bundle.errors import InputError, UnavailableError
from tests.support import mosquitto_broker
from tests.support.fake_mjpeg_camera import free_port


@pytest.mark.skipif(mosquitto_broker.MOSQUITTO is None, reason="mosquitto is not installed")
def test_reports_are_heard_until_every_wanted_station_has_spoken(tmp_path: Path):
    broker = mosquitto_broker.Broker(tmp_path / "broker").start()
    stop = threading.Event()

    def speak() -> None:
        while not stop.wait(0.1):  # as stations do: heartbeats are not retained
            for text in ("no JSON", json.dumps({"state": {}}), *map(heartbeat, ("north-7", "south-1"))):
                publish.single("rarefault/any/heartbeat", text, hostname="127.0.0.1", port=broker.port)

    speaker = threading.Thread(target=speak)
    speaker.start()
    try:
        heard = {report["station"] for report in listen(f"mqtt://127.0.0.1:{broker.port}", 30, ["north-7", "south-1"])}
        assert heard == {"north-7", "south-1"}
        assert list(listen(f"mqtt://127.0.0.1:{broker.port}", 1, ["east-2"])) != []  # the others, until time is up
    finally:
        stop.set()
        speaker.join()
        broker.kill()


def heartbeat(station: str) -> str:
    return json.dumps({"kind": "heartbeat", "state": {"report": {"station": station}}})


def test_without_a_broker_it_is_a_sentence():
    with pytest.raises(UnavailableError, match="cannot be reached"):
        list(listen(f"mqtt://127.0.0.1:{free_port()}", 1, ["north-7"]))


@pytest.mark.parametrize("url", ["http://host", "broker", "mqtt://user:secret@host"])
def test_an_address_of_another_kind_is_refused_without_its_password(url):
    with pytest.raises(InputError, match="expected mqtt") as told:
        list(listen(url, 1, []))
    assert "secret" not in str(told.value)
