"""The loop with engines that fail, each in its own way; cameras and disk are real."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support.fake_mjpeg_camera import GREEN_FRAMES, FaultServer
from tests.support.sample_events import wait_until

pytest.importorskip("prometheus_client", reason="the extra `station` is not installed")

from edge_runtime.alerts.notifier import Notifier
from edge_runtime.bundle.errors import UnavailableError
from edge_runtime.bundle.store import open_bundle
from edge_runtime.cameras.settings import CameraSettings, plan_cameras
from edge_runtime.inference.engines import load_engine
from edge_runtime.inference.evaluator import Evaluator
from edge_runtime.station.service import Service
from edge_runtime.station.settings import HttpSection, StationSection, StationSettings
from edge_runtime.watchlog.ledger import Instant, read_night_of
from edge_runtime.watchlog.ledger_writer import ledger_path


class Engine:
    """The colour model, with `act` before each of its answers."""

    name, precision = "cpu", "fp32"

    def __init__(self, bundle: Path, act: Callable[[int], None]) -> None:
        self._engine = load_engine(open_bundle(bundle), "cpu", "fp32")
        self._act, self.calls = act, 0

    def run(self, frames):
        self.calls += 1
        self._act(self.calls)
        return self._engine.run(frames)


class Loop:
    """A service in a thread of the test."""

    def __init__(self, folder: Path, bundle: Path, engine: Engine, url: str) -> None:
        station = StationSection("north-7", folder, bundle, test_alarm_hours=0)
        camera = CameraSettings("yard", url, floor_rate=5, top_rate=5)
        self.settings = StationSettings(station, (camera,), http=HttpSection(port=0))
        self.voice = Notifier(self.settings)
        evaluator = Evaluator(open_bundle(bundle), engine)
        self.service = Service(self.settings, self.voice, evaluator, plan_cameras([camera]))
        self.error: Exception | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.service.run(self._stop)
        except UnavailableError as error:
            self.error = error

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def end(self) -> None:
        self._stop.set()
        self._thread.join(10)
        assert not self._thread.is_alive()
        self.voice.stop()

    def causes(self) -> list[str]:
        """Of the times when the camera was not watched."""
        now = Instant(time.monotonic(), time.time())
        return [i.cause.value for i in read_night_of(ledger_path(self.settings.station.state_dir), 60, now, True).blind]


Start = Callable[[Callable[[int], None]], Loop]


@pytest.fixture
def start(tmp_path: Path, packed: Path) -> Iterator[Start]:
    made: list[Loop] = []
    with FaultServer() as camera:
        camera.frames = GREEN_FRAMES

        def begin(act: Callable[[int], None]) -> Loop:
            made.append(Loop(tmp_path, packed, Engine(packed, act), camera.url()))
            return made[-1]

        yield begin
        for loop in made:
            loop.end()


def counted(loop: Loop, name: str) -> float:
    return sum(
        float(line.rpartition(" ")[2])
        for line in loop.service.metrics.text().decode().splitlines()
        if line.startswith(name)
    )


def test_an_engine_that_hangs_for_seconds_is_an_overload_in_the_ledger(start):
    loop = start(lambda call: time.sleep(6) if call == 3 else None)
    wait_until(lambda: "overloaded" in loop.causes(), 30)
    wait_until(lambda: counted(loop, "rarefault_frames_dropped_total{") > 0)


def test_a_model_that_gives_no_numbers_is_told_and_gives_no_verdict(start, monkeypatch, caplog):
    nothing = np.full((1, 3), np.nan, np.float32), np.zeros((1, 3, 8, 8), np.float32)
    monkeypatch.setattr(Engine, "run", lambda self, frames: nothing)
    loop = start(lambda call: None)
    wait_until(lambda: "model" in loop.causes(), 30)
    assert counted(loop, "rarefault_frames_evaluated_total{") == 0
    assert "no verdict on frames of yard: the model gave a logit that is no finite number" in caplog.text
    assert loop.running


def test_an_engine_beyond_repair_ends_the_service(start):
    def fail(call: int) -> None:
        if call == 3:
            raise UnavailableError("the device is gone")

    loop = start(fail)
    wait_until(lambda: not loop.running)
    assert str(loop.error) == "the device is gone"


def test_a_sender_that_died_ends_the_service(start, monkeypatch):
    loop = start(lambda call: None)
    wait_until(lambda: counted(loop, "rarefault_frames_evaluated_total{") > 0)
    monkeypatch.setattr(Notifier, "alive", False)
    wait_until(lambda: not loop.running)
    assert "a sender has died, which only a restart mends" in str(loop.error)
