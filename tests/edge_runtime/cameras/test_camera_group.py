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
from edge_runtime.bundle.radiometric import RadiometricRule
from edge_runtime.cameras.camera_group import CameraGroup
from edge_runtime.cameras.frame_marker import SHARE, SIDE, has_mark
from edge_runtime.cameras.regions import GREY, painted
from edge_runtime.cameras.settings import CameraPlan, CameraSettings
from edge_runtime.cameras.shared_frame import MARKED_SLOT, Field
from edge_runtime.causes import Cause
from tests.support import ROOT
from tests.support.camera_waiting import BUSY, Watch, plan
from tests.support.fake_mjpeg_camera import FRAMES, PASSWORD, USER, FaultServer, free_port
from tests.support.own_processes import capture_processes
from tests.support.sample_events import wait_until

LOGIN = f"{USER}:{quote(PASSWORD, safe='')}@"


def test_eight_cameras_of_which_three_are_dead_at_the_start(capfd):
    with FaultServer() as server, FaultServer("mute") as mute, FaultServer("basic") as locked:
        wrong = server.url("digest", login="watch:wr0ng-password@")
        plans = [plan(f"live-{number}", server.url()) for number in range(3)]
        plans += [plan("basic", locked.url(login=LOGIN)), plan("digest", server.url("digest", login=LOGIN))]
        plans += [plan("refused", f"http://127.0.0.1:{free_port()}/x"), plan("wrong", wrong)]
        plans += [plan("mute", mute.url(login=LOGIN))]
        with CameraGroup(plans) as cameras:
            watch = Watch(cameras)
            watch.until(lambda watch: len(watch.newest) == 5)
            watch.until(lambda watch: Cause.STARTING not in watch.causes().values())
            assert {name: cause for name, cause in watch.causes().items() if cause} == {
                "refused": Cause.REFUSED,
                "wrong": Cause.AUTH,
                "mute": Cause.TIMEOUT,
            }
            lines = [part for child in capture_processes() for part in (*child.cmdline(), *child.environ().values())]
            said = "\n".join([repr(plans), repr(cameras.states()), *lines, *capfd.readouterr()])
            mute.fault = None  # it thaws, and answers what it was asked
            assert watch.until(lambda watch: "mute" in watch.newest) < 5 * BUSY
    for secret in (PASSWORD, quote(PASSWORD, safe=""), "wr0ng-password"):
        assert secret not in said
    assert capture_processes() == []


@pytest.mark.parametrize(
    ("path", "cause"),
    [
        ("404", Cause.NOT_FOUND),
        ("basic", Cause.AUTH),
        ("text", Cause.WEB_PAGE),
        ("garbage", Cause.CODEC),
        ("stall", Cause.STALLED),
        ("end", Cause.ENDED),
        ("mute", Cause.TIMEOUT),
        ("freeze", Cause.FROZEN),
        ("resize", Cause.RESIZED),
    ],
)
def test_each_fault_has_its_cause(path, cause):
    quick = {"read_timeout": 3, "frozen_seconds": 5}
    with FaultServer() as server, CameraGroup([plan("one", server.url(path), **quick)]) as cameras:
        watch = Watch(cameras)
        watch.until(lambda watch: watch.causes()["one"] is cause)


def test_a_stream_that_stops_is_reported_and_comes_back_by_itself():
    with FaultServer() as server, CameraGroup([plan("one", server.url())]) as cameras:
        watch = Watch(cameras)
        watch.until(lambda watch: watch.newest)
        server.fault = "stall"
        assert watch.until(lambda watch: watch.causes()["one"] is Cause.STALLED) < 10 * BUSY
        # Five seconds pass before it is told; the newest frame may be one that was not due on a busy machine.
        assert cameras.states()["one"].since == pytest.approx(watch.newest["one"].captured, abs=2.5)
        server.fault = None
        assert watch.until(lambda watch: watch.causes()["one"] is None) < 5 * BUSY


def test_a_server_that_was_down_is_found_within_five_seconds_and_others_lose_nothing():
    with FaultServer() as steady, FaultServer() as server:
        plans = [plan("steady", steady.url()), plan("one", server.url()), plan("two", server.url())]
        with CameraGroup(plans) as cameras:
            watch = Watch(cameras)
            watch.until(lambda watch: len(watch.newest) == 3)
            for down in (0.0, 3.0):
                server.stop()
                watch.until(lambda watch: watch.causes()["one"] and watch.causes()["two"])
                until = time.monotonic() + down
                watch.until(lambda watch, until=until: time.monotonic() >= until)
                assert watch.causes()["steady"] is None
                server.start()
                assert watch.until(Watch.all_online) < 5 * BUSY
            assert cameras.states()["steady"].restarts == 0
            assert threading.active_count() < 20


def test_a_killed_and_a_hanging_process_are_replaced():
    with FaultServer() as server, CameraGroup([plan("one", server.url(), read_timeout=2)]) as cameras:
        watch = Watch(cameras)
        for number, how in enumerate((signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP), 1):
            watch.until(lambda watch: watch.newest and watch.all_online())
            watch.newest.clear()
            (child,) = capture_processes()
            child.send_signal(how)
            watch.until(lambda watch, number=number: cameras.states()["one"].restarts == number)
        watch.until(lambda watch: watch.newest and watch.all_online())
        assert len(capture_processes()) == 1


def test_descriptors_threads_and_processes_stay_the_same_over_restarts():
    me = psutil.Process()

    def held() -> tuple[int, int, int]:
        return me.num_fds(), me.num_threads(), len(capture_processes())

    threads = me.num_threads()
    with FaultServer() as server, CameraGroup([plan("one", server.url())]) as cameras:
        watch = Watch(cameras)
        watch.until(lambda watch: watch.newest)
        cameras_alone = me.num_fds() - len(server.connections)
        for _ in range(5):
            watch.newest.clear()
            capture_processes()[0].kill()
            watch.until(lambda watch: watch.newest and watch.all_online())
            wait_until(lambda: me.num_fds() - len(server.connections) == cameras_alone)
            assert len(capture_processes()) == 1
    wait_until(lambda: me.num_threads() == threads)  # the server's own end a little later
    before = held()
    for _ in range(3):
        with CameraGroup([plan("one", f"http://127.0.0.1:{free_port()}/x")] * 1) as cameras:
            Watch(cameras).until(lambda watch: watch.causes()["one"] is Cause.REFUSED)
        wait_until(lambda: held() == before)


STATION = """
import sys
from edge_runtime.cameras.camera_group import CameraGroup
from edge_runtime.cameras.settings import CameraSettings, plan_cameras
with CameraGroup(plan_cameras([CameraSettings("one", sys.argv[1])])) as cameras:
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
    with FaultServer() as server, CameraGroup([plan("one", server.url())]) as cameras:
        watch = Watch(cameras)
        watch.until(lambda watch: watch.newest)
        until = time.monotonic() + 3  # the consumer is busy
        wait_until(lambda: time.monotonic() > until)
        (frame,) = cameras.newest(1.0)
        assert frame.captured > until - 1.5
        assert cameras.states()["one"].skipped > 5


def test_the_gate_lets_the_floor_rate_through_and_skips_the_rest():
    with FaultServer() as server, CameraGroup([plan("one", server.url(), floor_rate=1, top_rate=1)]) as cameras:
        watch = Watch(cameras)
        captured: list[float] = []
        while len(captured) < 4:
            watch.newest.clear()
            watch.until(lambda watch: watch.newest)
            captured.append(watch.newest["one"].captured)
        assert np.diff(captured).min() > 0.99


def test_a_folder_is_watched_for_new_pictures_and_regions_are_cut_out(tmp_path):
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (6, 8, 3), np.uint8) for _ in range(3)]
    for number, picture in enumerate(pictures):
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture)
    (tmp_path / "notes.txt").write_text("no image")
    regions = ((0, 0, 0.5, 1), (0.75, 0.5, 0.25, 0.5))
    with CameraGroup([plan("one", str(tmp_path), regions=regions)]) as cameras:
        watch = Watch(cameras)
        watch.until(lambda watch: watch.newest and np.array_equal(watch.newest["one"].image, pictures[2]))
        (tmp_path / "4.png").write_bytes(b"damaged")
        watch.until(lambda watch: watch.causes()["one"] is Cause.CODEC)
        cv2.imwrite(str(tmp_path / "new.part.png"), pictures[0])
        watch.newest.clear()
        watch.until(lambda watch: watch.newest)
        assert watch.causes()["one"] is None
        frame = watch.newest["one"]
        (picture,) = (picture for picture in pictures if np.array_equal(picture, frame.image))
        views = dict(frame.views())
        assert np.array_equal(views["region-1"], picture[:, :4])
        assert np.array_equal(views["region-2"], picture[3:, 6:])
        assert cameras.states()["one"].restarts == 0


def test_radiometric_pictures_of_a_folder_are_scaled_by_the_rule_and_may_be_dark(tmp_path):
    values = np.random.default_rng(0).normal(21, 0.3, (60, 80)).astype(np.float32)
    values[20:30, 20:30] = 26
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.tiff"), values + np.float32(number / 16))
    rule = RadiometricRule.parse("range 20 90")
    with CameraGroup([plan("one", str(tmp_path))], rule) as cameras:
        watch = Watch(cameras)
        watch.until(lambda watch: watch.newest)
        grey = watch.newest["one"].image[..., 0]
    known = np.ones(values.shape, bool)
    assert any(np.array_equal(grey, rule.levels(values + np.float32(number / 16), known)) for number in range(3))


def test_another_rule_for_radiometric_pictures_shows_those_of_the_folder_anew(tmp_path):
    values = np.random.default_rng(0).normal(21, 0.3, (60, 80)).astype(np.float32)
    values[20:30, 20:30] = 26
    cv2.imwrite(str(tmp_path / "0.tiff"), values)
    first, second = RadiometricRule.parse("range 20 90"), RadiometricRule.parse("range 0 40")
    known = np.ones(values.shape, bool)
    with CameraGroup([plan("one", str(tmp_path))], first) as cameras:
        watch = Watch(cameras)
        watch.until(lambda watch: watch.newest)
        cameras.set_radiometric(second)
        wanted = second.levels(values, known)
        watch.until(lambda watch: np.array_equal(watch.newest["one"].image[..., 0], wanted))
        assert cameras.states()["one"].restarts == 0  # that is no fault of the process


def test_a_video_file_plays_in_real_time_and_ends(tmp_path):
    path = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (128, 96))
    for data in FRAMES[:20]:
        writer.write(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_BGR))
    writer.release()
    began = time.monotonic()
    with CameraGroup([plan("one", str(path))]) as cameras:
        watch = Watch(cameras)
        watch.until(lambda watch: watch.newest)
        watch.until(lambda watch: watch.causes()["one"] is Cause.ENDED)
        assert cameras.states()["one"].since - began > 1.8  # the last of 20 frames comes after 1.9 s


def test_an_empty_folder_and_a_missing_file_say_so(tmp_path):
    (tmp_path / "gone").mkdir()
    plans = [
        plan("empty", str(tmp_path)),
        plan("gone", str(tmp_path / "gone")),
        plan("missing", str(tmp_path / "x.mp4")),
        plan("usb", "usb:63"),
    ]
    with CameraGroup(plans) as cameras:
        (tmp_path / "gone").rmdir()
        expected = {
            "empty": Cause.NO_UPLOAD,
            "gone": Cause.NOT_FOUND,
            "missing": Cause.NOT_FOUND,
            "usb": Cause.NOT_FOUND,
        }
        Watch(cameras).until(lambda watch: watch.causes() == expected)


def test_a_test_frame_comes_marked_from_a_dead_camera_too():
    image = np.full((4, 4, 3), 7, np.uint8)
    with CameraGroup([plan("one", f"http://127.0.0.1:{free_port()}/x")]) as cameras:
        cameras.inject("one", image)
        (frame,) = cameras.newest(0)
        assert (frame.camera, frame.test) == ("one", True)
        assert frame.image is image


def test_a_camera_with_a_problem_is_misconfigured_and_the_others_run():
    wrong = CameraPlan(CameraSettings("typo", "ftp://h/x"), problem="ftp://h/x has an unknown scheme")
    with FaultServer() as server, CameraGroup([wrong, plan("one", server.url())]) as cameras:
        Watch(cameras).until(lambda watch: watch.causes() == {"typo": Cause.MISCONFIGURED, "one": None})
        assert list(cameras.states()) == ["typo", "one"]
        for ask in (cameras.request_marked_frame, lambda name: cameras.inject(name, np.zeros((4, 4, 3), np.uint8))):
            with pytest.raises(InputError, match="camera typo does not run: ftp://h/x has an unknown scheme"):
                ask("typo")
            with pytest.raises(InputError, match="no camera is named two; known are one, typo"):
                ask("two")


def test_a_marked_frame_comes_from_each_kind_of_reader(tmp_path):
    picture = cv2.imdecode(np.frombuffer(FRAMES[0], np.uint8), cv2.IMREAD_COLOR_BGR)
    for number in range(300):
        cv2.imwrite(str(tmp_path / f"{number:03}.png"), picture)
    with FaultServer() as server:
        plans = [plan("http", server.url()), plan("folder", str(tmp_path))]
        with CameraGroup(plans) as cameras:
            watch = Watch(cameras)
            for _ in range(3):
                tokens = {entry.name: cameras.request_marked_frame(entry.name) for entry in plans}
                watch.until(lambda watch, tokens=tokens: marked_frames(cameras) == tokens)
            assert len(set(tokens.values())) == 2


def test_no_marked_frame_comes_while_the_camera_gives_none_and_one_does_when_it_is_back():
    with FaultServer() as server, CameraGroup([plan("one", server.url())]) as cameras:
        watch = Watch(cameras)
        watch.until(lambda watch: watch.newest)
        server.stop()
        watch.until(lambda watch: watch.causes()["one"] is Cause.REFUSED)
        token = cameras.request_marked_frame("one")
        until = time.monotonic() + 1
        watch.until(lambda watch: time.monotonic() > until)
        assert marked_frames(cameras) == {"one": 0}
        server.start()
        watch.until(lambda watch: marked_frames(cameras) == {"one": token})


def test_a_marked_frame_is_never_given_out_even_by_a_frozen_camera():
    with FaultServer() as server, CameraGroup([plan("one", server.url("freeze"), frozen_seconds=0)]) as cameras:
        watch = Watch(cameras)
        watch.until(lambda watch: watch.newest)
        first = watch.newest["one"].image
        for _ in range(5):
            token = cameras.request_marked_frame("one")
            watch.until(lambda watch, token=token: marked_and_unmarked(watch, token, first))


def marked_and_unmarked(watch: Watch, token: int, image: np.ndarray) -> bool:
    """Whether the marked frame has arrived; no frame that was given out may differ from `image`."""
    assert np.array_equal(watch.newest["one"].image, image)
    return marked_frames(watch.cameras) == {"one": token}


def marked_frames(cameras: CameraGroup) -> dict[str, int]:
    return {name: state.marked_frame for name, state in cameras.states().items()}


def test_two_cameras_of_one_name_are_refused():
    with pytest.raises(InputError, match="two cameras are named a"):
        CameraGroup([plan("a", "usb:0"), plan("a", "usb:1")])


MASKS = ((0.5, 0.0, 0.5, 0.5), (0.0, 0.9, 0.3, 0.1))


def below_the_masks(image):
    """The pixels that the masks hide, and the number of colours among the others."""
    hidden = painted(MASKS, *image.shape[:2]) > 0
    return image[hidden], len(np.unique(image[~hidden]))


def test_what_is_masked_leaves_the_capture_process_neither_in_a_frame_nor_in_a_marked_one(tmp_path):
    (tmp_path / "uploads").mkdir()
    cv2.imwrite(str(tmp_path / "uploads" / "one.jpg"), cv2.imdecode(np.frombuffer(FRAMES[0], np.uint8), 1))
    with FaultServer() as server:
        plans = [plan("stream", server.url(), masks=MASKS), plan("folder", str(tmp_path / "uploads"), masks=MASKS)]
        with CameraGroup(plans) as cameras:
            watch = Watch(cameras)
            watch.until(lambda watch: len(watch.newest) == 2)
            shared = cameras._cameras["stream"]._shared
            token = cameras.request_marked_frame("stream")
            wait_until(lambda: shared[Field.SLOTS + 8 * MARKED_SLOT] == token)
            _, marked = shared.take_marked()
    for frame in watch.newest.values():
        hidden, colours = below_the_masks(frame.image)
        assert (hidden == GREY).all()
        assert colours > 50
    assert has_mark(marked, token)
    side = min(marked.shape[:2]) // SHARE * SIDE
    inner = marked[: marked.shape[0] // 2, marked.shape[1] // 2 :][:, side:]  # beside the mark's blocks
    assert (inner == GREY).all()
