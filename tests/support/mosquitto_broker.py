"""A real mosquitto on a free loopback port, to be stopped, killed and told whom to refuse; and a subscriber."""

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.support.sample_events import wait_until

SBIN = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"])
MOSQUITTO = shutil.which("mosquitto", path=SBIN)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broker:
    """`lines` are added to its configuration; `folder` holds that and its log."""

    def __init__(self, folder: Path, *lines: str) -> None:
        self.port, self._folder, self._lines = free_port(), folder, lines
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(exist_ok=True)

    def start(self) -> "Broker":
        # Unlimited in flight: a copy is in the socket of each subscriber before its publisher has the acknowledgement.
        # (A queue of 0, which should be unlimited, makes 2.0.11 drop the connection of whoever is refused.)
        lines = [
            f"listener {self.port} 127.0.0.1",
            "max_inflight_messages 0",
            "max_queued_messages 100000",
            *self._lines,
        ]
        if not any(line.startswith("allow_anonymous") for line in lines):
            lines.append("allow_anonymous true")
        if os.geteuid() == 0:
            lines.append("user root")
        config = self._folder / "mosquitto.conf"
        config.write_text("\n".join(lines) + "\n")
        with (self._folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen([str(MOSQUITTO), "-c", str(config)], stdout=log, stderr=log)
        wait_until(self._listens)
        return self

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(20)
        self._process = None

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "mosquitto.log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Subscriber:
    """Hears everything below `rarefault/`, and subscribes again by itself when the broker was away.

    At QoS 0: a subscriber that has nothing to write reads all that was in its socket when the broker was killed.
    """

    def __init__(self, port: int, name: str = "", password: str = "") -> None:
        self.heard: list[tuple[str, bytes, bool]] = []  # topic, payload, retained
        self.subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        if name:
            self._client.username_pw_set(name, password)
        self._client.reconnect_delay_set(0.05, 0.05)
        self._client.on_connect = lambda client, *_: client.subscribe("rarefault/#", qos=0)
        self._client.on_subscribe = lambda *_: self.subscribed.set()
        self._client.on_disconnect = lambda *_: self.subscribed.clear()
        self._client.on_message = lambda _client, _data, m: self.heard.append((m.topic, m.payload, m.retain))
        self._client.connect("127.0.0.1", port, clean_start=True)
        self._client.loop_start()
        assert self.subscribed.wait(10)

    def events(self, end: str = "/event") -> list[dict[str, Any]]:
        """Documents of all events heard so far, repetitions included."""
        return [json.loads(data) for topic, data, _ in list(self.heard) if topic.endswith(end)]

    def last(self, topic: str) -> bytes | None:
        return next((data for seen, data, _ in reversed(list(self.heard)) if seen == topic), None)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def numbers(events: list[dict[str, Any]]) -> dict[str, list[int]]:
    """By camera: the numbers of its events in the order of their first arrival."""
    first: dict[str, dict[str, Any]] = {}
    for event in events:
        first.setdefault(event["id"], event)
    found: dict[str, list[int]] = {}
    for event in first.values():
        found.setdefault(event["camera"], []).append(event["number"])
    return found
