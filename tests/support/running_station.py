"""A whole station: `edge-station run` as systemd would start it, a camera to show pictures to, a real broker."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from tests.support.fake_mjpeg_camera import GREEN_FRAMES, FaultServer, free_port
from tests.support.mosquitto_broker import Broker, Subscriber
from tests.support.sample_events import wait_until

SETTINGS = """
[station]
name = "north-7"
state_dir = "{state}"
bundle = "{bundle}"
engine = "cpu"
precision = "fp32"
test_alarm_hours = 0
{station}

{cameras}

[decision]
needed = 2
window = 3
cooldown = 0

[mqtt]
host = "127.0.0.1"
port = {broker}
tls = false
timeout = 5

[http]
port = {http}
"""
CAMERA = """
[[camera]]
name = "{name}"
url = "{url}"
floor_rate = 5
open_timeout = 3
read_timeout = 3
{more}
"""


class Station:
    """`run()` starts the service; `log_text()` is what it wrote. `camera` shows green (healthy) at first."""

    def __init__(self, folder: Path, bundle: Path, state: Path | None = None) -> None:
        self.folder, self.config = folder, folder / "station.toml"
        self.state = state or folder / "state"
        (folder / "log").touch()
        self.camera = FaultServer()
        self.camera.frames = GREEN_FRAMES
        self.camera.start()
        self.broker = Broker(folder / "broker").start()
        self.subscriber = Subscriber(self.broker.port)
        self.port = free_port()
        self.bundle = bundle
        self.configure(yard=self.camera.url())
        self._notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notices.bind(str(folder / "notify"))
        self._notices.setblocking(False)
        self.notices: list[str] = []
        self.process: subprocess.Popen[bytes] | None = None
        self.environment: dict[str, str] = {}

    def configure(self, more: str = "", station: str = "", **urls: str) -> None:
        """Cameras by name; `more` is added to each, `station` to [station]."""
        cameras = "".join(CAMERA.format(name=name, url=url, more=more) for name, url in urls.items())
        ports = {"broker": self.broker.port, "http": self.port}
        self.config.write_text(
            SETTINGS.format(cameras=cameras, state=self.state, bundle=self.bundle, station=station, **ports)
        )

    def run(self) -> "Station":
        environment = {**os.environ, "NOTIFY_SOCKET": str(self.folder / "notify"), **self.environment}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self.command("run"), stdout=log, stderr=log, env=environment)
        return self

    def watching(self) -> "Station":
        """Run, and wait until this run says that the camera `yard` is watched."""
        before = len(self.statuses("yard"))  # what an earlier run said is no answer
        self.run()
        wait_until(lambda: {"status": "online", "cause": ""} in self.statuses("yard")[before:][-1:])
        return self

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "edge_runtime.station", *arguments, "--config", str(self.config)]

    def call(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Another command beside the service."""
        return subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=120)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Exit code. The deadline only ends a failed test; one test of the service bounds the time of a stop."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(60)
        self.process = None
        return code

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.subscriber.close()
        self.broker.kill()
        self.camera.stop()
        self._notices.close()

    def log_text(self) -> str:
        return (self.folder / "log").read_text()

    def logged(self) -> list[dict[str, Any]]:
        """What it logged, as documents."""
        return [json.loads(line) for line in self.log_text().splitlines() if line.startswith("{")]

    def heard(self) -> list[str]:
        """What systemd was told so far."""
        while True:
            try:
                self.notices += self._notices.recv(4096).decode().splitlines()
            except BlockingIOError:
                return self.notices

    def status(self, camera: str) -> dict[str, str] | None:
        """The newest status of a camera that the broker passed on; None where there is none yet."""
        statuses = self.statuses(camera)
        return statuses[-1] if statuses else None

    def statuses(self, camera: str) -> list[dict[str, str]]:
        """All statuses of a camera so far. Ask here for one that another soon follows: `status` may miss it."""
        topic = f"rarefault/north-7/{camera}/status"
        return [json.loads(data) for seen, data, _ in list(self.subscriber.heard) if seen == topic]

    def page(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=10) as answer:
            return str(answer.read().decode())
