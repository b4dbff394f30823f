"""A service at work takes good and bad bundles: cameras, disk, outbox and engines are real."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.fake_mjpeg_camera import GREEN_FRAMES, RED_FRAMES, FaultServer
from tests.support.sample_events import wait_until

pytest.importorskip("prometheus_client", reason="the extra `station` is not installed")

from edge_runtime.alerts.events import ALARM, HEARTBEAT, UPDATE, JudgedView
from edge_runtime.alerts.settings import DecisionSection
from edge_runtime.bundle.store import Bundle, open_bundle
from edge_runtime.cameras.settings import CameraSettings, plan_cameras
from edge_runtime.station.assemble import assemble, open_notifier
from edge_runtime.station.settings import HttpSection, StationSection, StationSettings
from edge_runtime.station.updating.start import open_serving
from edge_runtime.updates.errors import Reason, UpdateDelayed
from edge_runtime.updates.settings import UpdatesSection
from edge_runtime.updates.state import Stage, UpdateState, load
from edge_runtime.updates.update_process import recover, roll_back_by_hand
from tests.support import live_models

LONGEST_GAP = 2.0  # seconds without a verdict


class Running:
    """A service in a thread of the test, with one camera that is judged 20 times a second."""

    def __init__(self, folder: Path, factory: Path, camera: FaultServer, section: UpdatesSection) -> None:
        station = StationSection("north-7", folder, factory, engine="cpu", precision="fp32", heartbeat_seconds=1)
        self.settings = StationSettings(
            station,
            (CameraSettings("yard", camera.url(), floor_rate=20, top_rate=20),),
            DecisionSection(cooldown=1000),
            http=HttpSection(port=0),
            updates=section,
        )
        self.slots, self._opened = station.slots, ExitStack()
        self.notifier = self._opened.enter_context(open_notifier(self.settings))
        plans, evaluator = plan_cameras(self.settings.camera), open_serving(self.settings)
        self.service = assemble(self.settings, plans, evaluator, self.notifier, first_test_seconds=1e6)
        self.judged: list[float] = []
        self._stop = threading.Event()
        self.service.watch.on_judged.append(self._note)
        self._thread = threading.Thread(target=self.service.run, args=(self._stop,))
        self._thread.start()

    def _note(self, views: Sequence[JudgedView], alarms: int) -> None:
        self.judged += [time.monotonic()] * any(view.evaluation.decision is not None for view in views)

    def end(self) -> None:
        self._stop.set()
        self._thread.join(20)
        assert not self._thread.is_alive()
        self._opened.close()

    @property
    def serving(self) -> str:
        """The digest of the bundle that judges."""
        return self.service.watch.evaluator.bundle.digest

    def state(self) -> UpdateState:
        return load(self.slots.state_dir)

    def until(self, stage: Stage) -> UpdateState:
        wait_until(lambda: self.state().stage is stage, 60)
        return self.state()

    def told(self) -> list[dict[str, object]]:
        """What update events say, oldest first."""
        return [entry.document["update"] for entry in self.notifier.outbox.recent(UPDATE)][::-1]

    def longest_gap(self) -> float:
        return max(later - earlier for earlier, later in zip(self.judged, self.judged[1:], strict=False))


@pytest.fixture
def camera() -> Iterator[FaultServer]:
    with FaultServer() as made:
        made.frames = GREEN_FRAMES
        yield made


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def start(tmp_path, packed, camera, opened):
    """Start a service; what is not set is off: no shadow, and a probation without an end."""

    def begin(**section: object) -> Running:
        values = {"shadow_frames": 0, "probation_minutes": 60.0, **section}
        running = Running(tmp_path / "state", packed, camera, UpdatesSection(**values))
        opened.callback(running.end)
        wait_until(lambda: running.judged, 60)
        return running

    return begin


def version(folder: Path, number: str, **bad: object) -> Bundle:
    return live_models.make_version(folder / f"version-{number}", number, **bad)


def test_a_good_bundle_is_shadowed_turned_to_watched_and_kept_and_no_frame_waits(start, tmp_path, packed):
    running, good = start(shadow_frames=10, shadow_share=1.0, probation_minutes=0.02), version(tmp_path, "2")
    live_models.hand_over(running.slots, good, 7)
    wait_until(lambda: running.serving == good.digest, 60)
    running.until(Stage.COMMITTED)
    wait_until(running.told)
    assert running.longest_gap() < LONGEST_GAP
    assert running.slots.is_current(good.digest)
    (told,) = running.told()
    assert (told["release"], told["outcome"], told["bundle"]) == (7, "committed", good.digest)
    metrics = running.service.watch.metrics.text().decode()
    assert f'rarefault_model_info{{digest="{good.digest[:12]}",name="colours",version="2"}} 1.0' in metrics
    wait_until(lambda: 'rarefault_update_info{reason="",release="7",stage="committed"} 1.0' in metrics_of(running))
    wait_until(lambda: heartbeat(running)["stage"] == "committed", 60)
    assert heartbeat(running)["slot"] == good.digest
    assert running.service.updates.state.history[0].stage is Stage.COMMITTED


def test_a_candidate_whose_switch_the_disk_refuses_is_switched_to_later_and_not_kept_unwatched(start, tmp_path):
    running, good = start(probation_minutes=0.005), version(tmp_path, "2")
    tries = []

    def reached(step: str) -> None:
        tries.append(step)
        if step == "previous switched" and tries.count(step) <= 2:
            raise UpdateDelayed(Reason.DISK, "no room for the link")

    running.service.updates.slots.reached = reached
    live_models.hand_over(running.slots, good, 7)
    running.until(Stage.COMMITTED)
    assert tries.count("previous switched") == 3
    assert running.serving == good.digest  # it served before it was kept


def metrics_of(running: Running) -> str:
    return running.service.watch.metrics.text().decode()


def heartbeat(running: Running) -> dict[str, object]:
    return running.notifier.outbox.recent(HEARTBEAT, 1)[0].document["state"]["update"]


def test_a_standing_alarm_is_not_raised_again_by_the_next_model(start, tmp_path, camera, caplog):
    running = start(probation_minutes=0.02)
    camera.frames = RED_FRAMES
    wait_until(lambda: running.notifier.outbox.recent(ALARM))
    live_models.hand_over(running.slots, version(tmp_path, "2"), 1)
    running.until(Stage.COMMITTED)
    seen = len(running.judged)
    wait_until(lambda: len(running.judged) > seen + 20)
    assert len(running.notifier.outbox.recent(ALARM)) == 1
    camera.frames = GREEN_FRAMES
    wait_until(lambda: "alarm ended: rust at yard" in caplog.text)


@pytest.mark.parametrize(
    ("bad", "reason", "says"),
    [
        ({"change": live_models.no_numbers_on_live_frames}, "probation_nan", "no finite number"),
        ({"change": live_models.failing_on_live_frames}, "probation_crash", "the cpu engine failed"),
        ({"rule": live_models.ALWAYS_RUST}, "probation_alarms", "show a fault to it, 0 of"),
    ],
)
def test_what_is_bad_on_live_frames_alone_is_undone_on_probation(start, tmp_path, packed, bad, reason, says):
    running, before = start(), open_bundle(packed).digest
    wait_until(lambda: len(running.judged) >= 60)
    offered = version(tmp_path, "2", **bad)
    live_models.hand_over(running.slots, offered, 3)
    failed = running.until(Stage.FAILED)
    assert failed.reason == reason
    assert says in failed.detail
    wait_until(lambda: running.serving == before)
    wait_until(lambda: not running.slots.is_current(offered.digest))  # the state is written first
    wait_until(running.told)
    (told,) = running.told()
    assert (told["outcome"], told["reason"], told["release"]) == ("failed", reason, 3)
    seen = len(running.judged)
    wait_until(lambda: len(running.judged) > seen + 20)
    assert running.longest_gap() < LONGEST_GAP


def test_a_candidate_that_tells_live_frames_otherwise_never_serves(start, tmp_path, packed):
    running, before = start(shadow_frames=20, shadow_share=1.0), open_bundle(packed).digest
    live_models.hand_over(running.slots, version(tmp_path, "2", rule=live_models.ALWAYS_RUST), 4)
    failed = running.until(Stage.FAILED)
    assert failed.reason == "shadow"
    assert "frames told otherwise than by the serving model" in failed.detail
    assert running.serving == before
    assert running.notifier.outbox.recent(ALARM) == []


def test_a_slot_that_was_tampered_with_before_its_turn_never_serves(start, tmp_path, packed):
    running, before, good = start(), open_bundle(packed).digest, version(tmp_path, "2")
    slot = running.slots.folder / good.digest
    state = live_models.hand_over(running.slots, good, 4, Stage.STAGED)
    (slot / "model.fp32.onnx").write_bytes(b"another")
    state.at(Stage.GOLDEN_OK).save(running.slots.state_dir)
    failed = running.until(Stage.FAILED)
    assert "model.fp32.onnx" in failed.detail
    assert running.serving == before


def test_a_person_goes_back_and_the_running_service_follows(start, tmp_path, packed):
    running, good = start(probation_minutes=0.02), version(tmp_path, "2")
    live_models.hand_over(running.slots, good, 5)
    running.until(Stage.COMMITTED)
    roll_back_by_hand(running.slots)
    wait_until(lambda: running.serving == open_bundle(packed).digest)
    wait_until(lambda: [told["outcome"] for told in running.told()] == ["committed", "failed"])
    assert running.told()[-1]["reason"] == "rolled_back"


def test_a_restart_on_probation_goes_on_with_it_and_too_many_crashes_end_it(start, tmp_path, packed, opened):
    running, good = start(), version(tmp_path, "2")
    live_models.hand_over(running.slots, good, 6)
    running.until(Stage.PROBATION)
    wait_until(lambda: running.serving == good.digest)
    for _ in range(3):  # it was told to stop each time
        opened.pop_all().close()
        running = start()
        assert running.serving == good.digest
        assert running.state().boots == 1
    opened.pop_all().close()
    for _ in range(2):
        recover(running.slots, boot=True)  # as a service does at its start that is killed then
    running = start()
    assert running.serving == open_bundle(packed).digest
    assert running.state().reason == "probation_crash"
    wait_until(running.told)
    assert running.told()[0]["reason"] == "probation_crash"
