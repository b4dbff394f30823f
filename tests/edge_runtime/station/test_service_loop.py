"""The loop in a thread of the test, with engines that fail, each in its own way; cameras and disk are real."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support.fake_mjpeg_camera import GREEN_FRAMES, RED_FRAMES, FaultServer
from tests.support.sample_events import wait_until

pytest.importorskip("prometheus_client", reason="the extra `station` is not installed")

from edge_runtime.alerts.events import ALARM, SAMPLE
from edge_runtime.alerts.notifier import Notifier
from edge_runtime.alerts.outbox import Entry, Outbox
from edge_runtime.alerts.settings import DecisionSection, Overrides
from edge_runtime.alerts.sink import Sink
from edge_runtime.bundle.errors import InputError, UnavailableError
from edge_runtime.bundle.store import open_bundle
from edge_runtime.cameras.regions import GREY, Rectangle
from edge_runtime.cameras.settings import CameraSettings, plan_cameras
from edge_runtime.clock import instant, iso
from edge_runtime.inference.engines import load_engine
from edge_runtime.inference.evaluator import Evaluator
from edge_runtime.station.assemble import assemble
from edge_runtime.station.attention.attention import Attention
from edge_runtime.station.scores.replay import replay
from edge_runtime.station.scores.score_store import read_scores
from edge_runtime.station.self_test import FAULT, FRAME, Outcome, ask, read_answer
from edge_runtime.station.settings import HttpSection, StationSection, StationSettings
from edge_runtime.watchlog.ledger_query import ledger_path, read_night_of

NOTHING = {"logits": np.full((1, 3), np.nan, np.float32), "cam": np.zeros((1, 3, 8, 8), np.float32)}

DEFAULTS = DecisionSection()


class Engine:
    """The colour model, with `act` before each of its answers; what `act` returns is the answer instead."""

    name, precision = "cpu", "fp32"

    def __init__(self, bundle: Path, act: Callable[[int], object]) -> None:
        self._engine = load_engine(open_bundle(bundle), "cpu", "fp32")
        self._act, self.calls = act, 0

    def run(self, frames):
        self.calls += 1
        return self._act(self.calls) or self._engine.run(frames)


class Loop:
    """A service in a thread of the test; cameras are (name, url)."""

    def __init__(
        self,
        folder: Path,
        engine: Engine,
        bundle: Path,
        cameras: Sequence[tuple[str, str]],
        first_test: float = 1e6,
        sinks: Sequence[Sink] = (),
        decision: DecisionSection = DEFAULTS,
        masks: tuple[Rectangle, ...] = (),
    ) -> None:
        self.state_dir = folder
        settings = StationSettings(
            StationSection("north-7", folder, bundle, test_alarm_hours=1),
            tuple(CameraSettings(name, url, floor_rate=5, top_rate=5, masks=masks) for name, url in cameras),
            decision,
            http=HttpSection(port=0),
        )
        self._opened = ExitStack()
        outbox = self._opened.enter_context(closing(Outbox(folder, [sink.name for sink in sinks])))
        self.notifier = Notifier(outbox, sinks, heartbeat_seconds=60)
        self._opened.callback(self.notifier.stop)
        evaluator, plans = Evaluator(open_bundle(bundle), engine), plan_cameras(settings.camera)
        self.service = assemble(settings, plans, evaluator, self.notifier, first_test)
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
        self._opened.close()

    def causes(self) -> list[str]:
        """Why cameras were not watched so far; nothing before the ledger is there."""
        with suppress(UnavailableError):
            return [i.cause.value for i in read_night_of(ledger_path(self.state_dir), 60, instant(), True).blind]
        return []

    def alarms(self) -> list[Entry]:
        """The alarms in the outbox, oldest first."""
        return self.notifier.outbox.recent(ALARM)[::-1]

    def counted(self, name: str) -> float:
        """The sum of a metric's values, whatever its labels."""
        lines = self.service.watch.metrics.text().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


Start = Callable[..., Loop]


@pytest.fixture
def camera() -> Iterator[FaultServer]:
    with FaultServer() as made:
        made.frames = GREEN_FRAMES
        yield made


@pytest.fixture
def start(tmp_path: Path, packed: Path, camera: FaultServer) -> Iterator[Start]:
    """Start a loop that looks at `camera` as yard, and at `more` cameras before it."""
    made: list[Loop] = []

    def begin(
        act: Callable[[int], object] = lambda call: None,
        more: Sequence[tuple[str, str]] = (),
        first_test: float = 1e6,
        sinks: Sequence[Sink] = (),
        decision: DecisionSection = DEFAULTS,
        masks: tuple[Rectangle, ...] = (),
    ) -> Loop:
        cameras = [*more, ("yard", camera.url())]
        made.append(Loop(tmp_path, Engine(packed, act), packed, cameras, first_test, sinks, decision, masks))
        return made[-1]

    yield begin
    for loop in made:
        loop.end()


def test_what_was_raised_is_raised_again_by_a_replay_of_the_stored_scores(start, camera):
    loop = start()
    wait_until(lambda: loop.counted("rarefault_frames_evaluated_total{") > 3)
    camera.frames = RED_FRAMES
    wait_until(loop.alarms)
    assert loop.counted("rarefault_camera_drift{") == 0
    (alarm,) = loop.alarms()
    loop.end()
    (again,) = replay(read_scores(loop.state_dir))
    assert (again.camera, again.label) == ("yard", alarm.document["label"])
    assert abs(again.raised - datetime.fromisoformat(alarm.document["time"].replace("Z", "+00:00")).timestamp()) < 2


def test_an_engine_that_hangs_for_seconds_is_an_overload_in_the_ledger(start):
    loop = start(lambda call: time.sleep(6) if call == 3 else None)
    wait_until(lambda: "overloaded" in loop.causes())
    wait_until(lambda: loop.counted("rarefault_frames_dropped_total{") > 0)


def test_a_model_that_gives_no_numbers_is_told_and_gives_no_verdict(start, caplog):
    loop = start(lambda call: NOTHING)
    wait_until(lambda: "model" in loop.causes())
    assert loop.counted("rarefault_frames_evaluated_total{") == 0
    assert "no verdict on frames of yard: the model gave a score that is no finite number" in caplog.text
    assert loop.running


def test_an_engine_beyond_repair_ends_the_service(start):
    def fail(call: int) -> None:
        if call == 3:
            raise UnavailableError("the device is gone")

    loop = start(fail)
    wait_until(lambda: not loop.running)
    assert str(loop.error) == "the device is gone"


def test_an_event_tells_the_time_of_capture_also_when_the_frame_is_judged_seconds_late(start, camera):
    loop = start(lambda call: time.sleep(2))
    wait_until(lambda: loop.counted("rarefault_frames_evaluated_total{") > 0)
    camera.frames = RED_FRAMES
    shown = time.time()
    wait_until(loop.alarms)
    document = loop.alarms()[0].document
    captured, recorded = (datetime.fromisoformat(document[n].replace("Z", "+00:00")) for n in ("time", "recorded"))
    assert captured.timestamp() > shown - 0.5
    assert 2 <= (recorded - captured).total_seconds() < time.time() - shown + 1


def answer_to(loop: Loop, camera: str) -> dict[str, Outcome]:
    answer = ask(loop.state_dir, camera)
    wait_until(lambda: len(read_answer(answer)) == len((FRAME, FAULT)))
    return read_answer(answer)


def test_a_typo_as_first_camera_lives_past_its_test_alarms_and_is_told(start, caplog):
    loop = start(more=[("typo", "ftp://10.0.0.9/main")], first_test=0)
    wait_until(lambda: loop.counted('rarefault_test_alarms_total{camera="yard",result="raised"}') == 1)
    with pytest.raises(InputError, match=r"camera typo does not run: .*ftp"):
        answer_to(loop, "typo")
    wait_until(lambda: loop.service.watch.statuses()["yard"] == {"status": "online", "cause": ""})
    assert answer_to(loop, "yard")[FRAME].passed
    status = loop.service.watch.statuses()["typo"]
    assert (status["status"], status["cause"]) == ("offline", "misconfigured")
    assert "ftp" in status["problem"]
    assert status["problem"] in caplog.text
    assert loop.counted('rarefault_test_alarms_total{camera="typo"') == 0
    assert loop.running


def test_both_self_tests_pass_and_touch_nothing_that_counts(start):
    loop = start()
    wait_until(lambda: loop.counted("rarefault_frames_evaluated_total{") > 0)
    samples = len(loop.notifier.outbox.recent(SAMPLE))
    outcomes = answer_to(loop, "yard")
    assert (outcomes[FRAME].passed, outcomes[FAULT].passed) == (True, True), outcomes
    assert [alarm.document["test"] for alarm in loop.alarms()] == [True]
    assert loop.counted("rarefault_events_total{") == 0
    assert len(loop.notifier.outbox.recent(SAMPLE)) == samples
    wait_until(lambda: loop.service.watch.statuses()["yard"] == {"status": "online", "cause": ""})


def test_a_camera_that_needs_three_votes_of_five_is_shown_the_fault_three_times(start):
    loop = start(decision=DecisionSection(camera={"yard": Overrides(needed=3, window=5)}))
    assert answer_to(loop, "yard")[FAULT].passed
    (alarm,) = loop.alarms()
    assert alarm.document["test"]
    assert alarm.document["votes"] == {"votes": 3, "of": 3, "needed": 3}


def test_a_camera_whose_frames_stop_fails_the_frame_test_in_a_sentence(start, camera):
    loop = start()
    wait_until(lambda: loop.counted("rarefault_frames_evaluated_total{") > 0)
    camera.fault = "mute"
    wait_until(lambda: loop.service.watch.statuses()["yard"]["cause"] == "timeout", 60)
    outcomes = answer_to(loop, "yard")
    assert not outcomes[FRAME].passed
    assert "no marked frame of yard came through reader and shared memory within 15 s" in outcomes[FRAME].message
    assert outcomes[FAULT].passed
    assert loop.counted('rarefault_frame_tests_total{camera="yard",result="failed"}') == 1


class Broken:
    """A sink with a bug."""

    name = "mqtt"

    def open(self) -> None:
        raise ZeroDivisionError

    def close(self) -> None:
        """Nothing to close."""

    def set_camera(self, camera, status) -> None:
        """Nobody to tell."""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_sender_that_died_ends_the_service(start):
    loop = start(sinks=[Broken()])
    wait_until(lambda: not loop.running)
    assert "a sender has died, which only a restart mends" in str(loop.error)


def test_under_maintenance_frames_are_judged_alarms_bear_the_mark_and_the_time_stands_apart(start, camera):
    loop = start(decision=DecisionSection(cooldown=0))
    wait_until(lambda: loop.service.watch.statuses().get("yard") == {"status": "online", "cause": ""})
    until = 10 * (time.time() // 10) + 3600
    with closing(Attention(loop.state_dir)) as attention:
        entry = attention.maintenance("yard", until, "anna")
        attention.snooze("yard", "rust", until, "bo")
        wait_until(lambda: loop.service.watch.statuses()["yard"]["status"] == "maintenance")
        told = {"until": iso(until), "by": "anna"}
        assert loop.service.watch.statuses()["yard"] == {"status": "maintenance", "cause": "maintenance", **told}
        assert loop.service.watch.watched == 0
        camera.frames = RED_FRAMES
        wait_until(loop.alarms)
        document = loop.alarms()[0].document
        assert (document["label"], document["maintenance"]) == ("rust", told)
        assert document["snoozed"] == {"until": iso(until), "by": "bo"}
        wait_until(lambda: loop.counted("rarefault_maintenance_seconds_total{") > 2)
        blind = loop.counted("rarefault_blind_seconds_total{")
        attention.end(entry.id, "bo")
        wait_until(lambda: loop.service.watch.statuses()["yard"] == {"status": "online", "cause": ""})
    night = read_night_of(ledger_path(loop.state_dir), 60, instant(), True)
    assert [interval.cause.value for interval in night.maintenance] == ["maintenance"]
    assert night.maintenance[0].seconds > 2
    assert night.due["yard"] == pytest.approx(sum(b - a for a, b in night.spans["yard"]) - night.maintenance[0].seconds)
    assert loop.counted("rarefault_blind_seconds_total{") == blind


def test_what_a_mask_hides_is_in_no_picture_of_an_alarm(start, camera):
    camera.frames = RED_FRAMES
    loop = start(masks=((0.0, 0.0, 0.5, 1.0),), decision=DecisionSection(cooldown=0))
    wait_until(loop.alarms)
    frame = cv2.imread(str(loop.alarms()[0].pictures["frame"]))
    edge = 8  # pixels that the picture's own compression spoils
    assert abs(frame[:, : frame.shape[1] // 2 - edge].astype(int) - GREY).max() <= 2
    assert frame[:, frame.shape[1] // 2 + edge :, 2].max() > 150
