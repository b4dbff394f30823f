"""Cameras as processes: dead ones at the start, servers that come back, hands that kill, credentials kept."""

import signal
import subprocess
import sys
import threading
import time
from urllib.parse import quote

import cv2
import numpy as np
import psutil
import pytest

from edge_runtime.bundle.errors import InputError
from edge_runtime.cameras.address import parse_source
from edge_runtime.cameras.camera import CameraConfig, from_settings
from edge_runtime.cameras.camera_group import CameraGroup
from edge_runtime.cameras.change_gate import GateLimits
from edge_runtime.cameras.regions import Region
from edge_runtime.causes import Cause
from edge_runtime.station import settings
from tests.support import ROOT
from tests.support.camera_waiting import Watch
from tests.support.fake_mjpeg_camera import FRAMES, PASSWORD, USER, FaultServer, free_port

EVERY = GateLimits(floor_rate=10, active_rate=10)  # judge every frame that is looked at
LOGIN = f"{USER}:{quote(PASSWORD, safe='')}@"


def config(name: str, address: str, **settings) -> CameraConfig:
    settings = {"gate": EVERY, "look_rate": 10} | settings
    return CameraConfig(name, parse_source(address), **settings)


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]


def test_eight_cameras_of_which_three_are_dead_at_the_start(capfd):
    with FaultServer() as server, FaultServer("mute") as mute, FaultServer("basic") as locked:
        wrong = server.url("digest", login="watch:wr0ng-password@")
        configs = [config(f"live-{number}", server.url()) for number in range(3)]
        configs += [config("basic", locked.url(login=LOGIN)), config("digest", server.url("digest", login=LOGIN))]
        configs += [config("refused", f"http://127.0.0.1:{free_port()}/x"), config("wrong", wrong)]
        configs += [config("mute", mute.url(login=LOGIN))]
        with CameraGroup(configs) as cameras:
            watch = Watch(cameras)
            watch.until(lambda watch: len(watch.newest) == 5)
            watch.until(lambda watch: Cause.STARTING not in watch.causes().values(), 10)
            assert {name: cause for name, cause in watch.causes().items() if cause} == {
                "refused": Cause.REFUSED,
                "wrong": Cause.AUTH,
                "mute": Cause.TIMEOUT,
            }
            lines = [part for child in children() for part in (*child.cmdline(), *child.environ().values())]
            said = "\n".join([repr(configs), repr(cameras.states()), *lines, *capfd.readouterr()])
            mute.fault = None  # it thaws, and answers what it was asked
            assert watch.until(lambda watch: "mute" in watch.newest) < 5
    for secret in (PASSWORD, quote(PASSWORD, safe=""), "wr0ng-password"):
        assert secret not in said
    assert children() == []


@pytest.mark.parametrize(
    ("path", "cause"),
    [
        ("404", Cause.NOT_FOUND),
        ("basic", Cause.AUTH),
        ("text", Cause.CODEC),
        ("garbage", Cause.CODEC),
        ("stall", Cause.STALLED),
        ("end", Cause.ENDED),
        ("mute", Cause.TIMEOUT),
        ("freeze", Cause.FROZEN),
        ("resize", Cause.RESIZED),
    ],
)
def test_each_fault_has_its_cause_within_fifteen_seconds(path, cause):
    with FaultServer() as server, CameraGroup([config("one", server.url(path), stall_seconds=3)]) as cameras:
        watch = Watch(cameras)
        watch.until(lambda watch: watch.causes()["one"] is cause, 15)


def test_a_stream_that_stops_is_reported_and_comes_back_by_itself():
    with FaultServer() as server, CameraGroup([config("one", server.url())]) as cameras:
        watch = Watch(cameras)
        watch.until(lambda watch: watch.newest)
        server.fault = "stall"
        assert watch.until(lambda watch: watch.causes()["one"] is Cause.STALLED) < 10
        # Five seconds pass before it is told; the newest frame may be one that was not due on a busy machine.
        assert cameras.states()["one"].since == pytest.approx(watch.newest["one"].captured, abs=2.5)
        server.fault = None
        assert watch.until(lambda watch: watch.causes()["one"] is None) < 5


def test_a_server_that_was_down_is_found_within_five_seconds_and_others_lose_nothing():
    with FaultServer() as steady, FaultServer() as server:
        configs = [config("steady", steady.url()), config("one", server.url()), config("two", server.url())]
        with CameraGroup(configs) as cameras:
            watch = Watch(cameras)
            watch.until(lambda watch: len(watch.newest) == 3)
            for down in (0.0, 3.0):
                server.stop()
                watch.until(lambda watch: watch.causes()["one"] and watch.causes()["two"])
                until = time.monotonic() + down
                watch.until(lambda watch, until=until: time.monotonic() >= until)
                assert watch.causes()["steady"] is None
                server.start()
                assert watch.until(Watch.all_online) < 5
            assert cameras.states()["steady"].restarts == 0
            assert threading.active_count() < 20


def test_a_killed_and_a_hanging_process_are_replaced():
    with FaultServer() as server, CameraGroup([config("one", server.url(), stall_seconds=2)]) as cameras:
        watch = Watch(cameras)
        for number, how in enumerate((signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP), 1):
            watch.until(lambda watch: watch.newest and watch.all_online())
            watch.newest.clear()
            (child,) = children()
            child.send_signal(how)
            watch.until(lambda watch, number=number: cameras.states()["one"].restarts == number, 10)
        watch.until(lambda watch: watch.newest and watch.all_online())
        assert len(children()) == 1


def test_descriptors_threads_and_processes_stay_the_same_over_restarts():
    me = psutil.Process()

    def held() -> tuple[int, int, int]:
        return me.num_fds(), me.num_threads(), len(me.children())

    with FaultServer() as server, CameraGroup([config("one", server.url())]) as cameras:
        watch = Watch(cameras)
        watch.until(lambda watch: watch.newest)
        cameras_alone = me.num_fds() - len(server._open)
        for _ in range(5):
            watch.newest.clear()
            children()[0].kill()
            watch.until(lambda watch: watch.newest and watch.all_online())
            assert me.num_fds() - len(server._open) == cameras_alone
            assert len(children()) == 1
    before = held()
    for _ in range(3):
        with CameraGroup([config("one", f"http://127.0.0.1:{free_port()}/x")] * 1) as cameras:
            Watch(cameras).until(lambda watch: watch.causes()["one"] is Cause.REFUSED)
        assert held() == before


STATION = """
import sys
from edge_runtime.cameras.camera import CameraConfig
from edge_runtime.cameras.camera_group import CameraGroup
from edge_runtime.cameras.address import parse_source
cameras = CameraGroup([CameraConfig("one", parse_source(sys.argv[1]))])
cameras.start()
while not cameras.newest(1):
    pass
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_station_that_is_killed_leaves_no_process():
    with FaultServer() as server:
        command = [sys.executable, "-c", STATION, server.url()]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as station:
            assert station.stdout.readline() == b"ready\n"
            (child,) = psutil.Process(station.pid).children()
            station.kill()
            assert psutil.wait_procs([child], timeout=5)[1] == []


def test_a_late_consumer_gets_the_newest_frame_and_the_rest_is_counted():
    with FaultServer() as server, CameraGroup([config("one", server.url())]) as cameras:
        watch = Watch(cameras)
        watch.until(lambda watch: watch.newest)
        first = watch.newest["one"].sequence
        time.sleep(1.5)  # the consumer is busy
        (sighting,) = cameras.newest(1.0)
        assert time.monotonic() - sighting.captured < 0.5
        assert cameras.states()["one"].skipped >= sighting.sequence - first - 2 > 5


def test_the_gate_lets_the_floor_rate_through_and_skips_the_rest():
    slow = GateLimits(floor_rate=1, active_rate=1)
    with FaultServer() as server, CameraGroup([config("one", server.url(), gate=slow)]) as cameras:
        watch = Watch(cameras)
        watch.until(lambda watch: cameras.states()["one"].passed == 3)
        state = cameras.states()["one"]
        assert state.looked > 10
        assert state.received > state.looked


def test_a_folder_of_images_plays_to_its_end_and_regions_are_cut_out(tmp_path):
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (6, 8, 3), np.uint8) for _ in range(3)]
    for number, picture in enumerate(pictures):
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture)
    (tmp_path / "notes.txt").write_text("no image")
    regions = (Region("left", 0, 0, 0.5, 1), Region("corner", 6, 4, 2, 2))
    with CameraGroup([config("one", str(tmp_path), regions=regions)]) as cameras:
        watch = Watch(cameras)
        watch.until(lambda watch: watch.newest)
        watch.until(lambda watch: watch.causes()["one"] is Cause.ENDED)
        sighting = watch.newest["one"]
        views = dict(sighting.views())
        number = sighting.sequence - 1
        assert np.array_equal(views["left"], pictures[number][:, :4])
        assert np.array_equal(views["corner"], pictures[number][4:, 6:])
        watch.until(lambda watch: children() == [])


def test_a_video_file_plays_in_real_time_and_ends(tmp_path):
    path = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (128, 96))
    for data in FRAMES[:20]:
        writer.write(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_BGR))
    writer.release()
    with CameraGroup([config("one", str(path)), config("again", str(path), loop=True)]) as cameras:
        watch = Watch(cameras)
        watch.until(lambda watch: watch.newest)
        assert 1 < watch.until(lambda watch: watch.causes()["one"] is Cause.ENDED) < 5
        assert cameras.states()["one"].received == 20
        watch.until(lambda watch: cameras.states()["again"].received > 25)
        assert watch.causes()["again"] is None


def test_a_folder_in_a_loop_never_ends(tmp_path):
    for number in range(3):
        cv2.imwrite(
            str(tmp_path / f"{number}.png"), np.random.default_rng(number).integers(0, 255, (60, 80, 3), np.uint8)
        )
    with CameraGroup([config("one", str(tmp_path), loop=True)]) as cameras:
        watch = Watch(cameras)
        watch.until(lambda watch: cameras.states()["one"].received > 10)
        assert watch.causes()["one"] is not Cause.ENDED


def test_an_empty_folder_and_a_missing_file_say_so(tmp_path):
    configs = [config("empty", str(tmp_path)), config("missing", str(tmp_path / "x.mp4")), config("usb", "usb:63")]
    with CameraGroup(configs) as cameras:
        expected = {"empty": Cause.NOT_FOUND, "missing": Cause.NOT_FOUND, "usb": Cause.NOT_FOUND}
        Watch(cameras).until(lambda watch: watch.causes() == expected)


def test_a_test_frame_comes_marked_from_a_dead_camera_too():
    frame = np.full((4, 4, 3), 7, np.uint8)
    with CameraGroup([config("one", f"http://127.0.0.1:{free_port()}/x")]) as cameras:
        cameras.inject("one", frame)
        (sighting,) = cameras.newest(0)
        assert (sighting.camera, sighting.test) == ("one", True)
        assert sighting.frame is frame
        with pytest.raises(InputError, match="known are one"):
            cameras.inject("two", frame)


def test_the_settings_of_a_station_become_a_camera(monkeypatch):
    camera = settings.Camera(
        "yard-1", "rtsp://10.0.0.5/live", username="u@x", regions=((0, 0, 0.5, 0.5),), floor_rate=1, top_rate=8
    )
    monkeypatch.setenv(camera.password_variable, "p@ss/word")
    made = from_settings(camera)
    assert (made.source.address, made.source.user, made.source.password) == ("rtsp://10.0.0.5/live", "u@x", "p@ss/word")
    assert made.regions == (Region("region-1", 0, 0, 0.5, 0.5),)
    assert (made.gate.floor_rate, made.gate.active_rate, made.look_rate) == (1, 8, 8)
    with pytest.raises(InputError, match="camera x: rtsp:///live names no host"):
        from_settings(settings.Camera("x", "rtsp:///live"))


def test_settings_that_contradict_are_refused():
    with pytest.raises(InputError, match="two cameras are named a"):
        CameraGroup([config("a", "usb:0"), config("a", "usb:1")])
    with pytest.raises(InputError, match="must not fall"):
        config("a", "usb:0", gate=GateLimits(floor_rate=3, active_rate=2))
