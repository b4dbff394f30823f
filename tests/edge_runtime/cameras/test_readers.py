"""A real RTSP server on loopback: login, words for each refusal, death, freezing, and the way back."""

import shutil
import signal
import subprocess
from collections.abc import Callable

import pytest

from edge_runtime.cameras.camera_group import CameraGroup
from edge_runtime.cameras.settings import CameraSettings, plan_cameras
from edge_runtime.causes import Cause
from tests.support import ROOT
from tests.support.camera_waiting import BUSY, Watch, plan
from tests.support.fake_mjpeg_camera import free_port
from tests.support.own_certificate import make_certificate

PYTHON = "/usr/bin/python3"  # the system's: Debian's gi belongs to it
SCRIPT = ROOT / "tests" / "support" / "real_rtsp_server.py"
PROBE = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
HERE = shutil.which(PYTHON) is not None and subprocess.run([PYTHON, "-c", PROBE], capture_output=True).returncode == 0
pytestmark = pytest.mark.skipif(not HERE, reason="no RTSP server: gir1.2-gst-rtsp-server-1.0 is not installed")


class RtspServer:
    """The script as a process that can be frozen and killed."""

    def __init__(self, *login: str, options: tuple[str, ...] = ()) -> None:
        """`options` of the script come after user and password, or alone."""
        self.port = free_port()
        self.login = (*login, *options)
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> "RtspServer":
        command = [PYTHON, str(SCRIPT), str(self.port), *self.login]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout.readline() == "ready\n"
        return self

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def __enter__(self) -> "RtspServer":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()

    def url(self, path: str = "cam", login: str = "") -> str:
        return f"rtsp://{login}127.0.0.1:{self.port}/{path}"


def cause_is(cause: Cause | None) -> Callable[[Watch], bool]:
    return lambda watch: watch.causes()["one"] is cause


def test_login_wrong_password_and_wrong_path(capfd):
    with RtspServer("watch", "s3cret:p@ss") as server:
        good = "watch:s3cret%3Ap%40ss@"
        plans = [
            plan("good", server.url(login=good)),
            plan("wrong", server.url(login="watch:wr0ng-one@")),
            plan("nobody", server.url()),
            plan("lost", server.url("nowhere", good)),
        ]
        with CameraGroup(plans) as cameras:
            watch = Watch(cameras)
            expected = {"good": None, "wrong": Cause.AUTH, "nobody": Cause.AUTH, "lost": Cause.NOT_FOUND}
            watch.until(lambda watch: watch.causes() == expected)
            assert watch.newest["good"].image.shape == (240, 320, 3)
    said = "".join(capfd.readouterr()) + repr(plans)
    assert not any(secret in said for secret in ("s3cret", "wr0ng-one"))


@pytest.mark.parametrize("mount", ["smart", "slow"])
def test_the_key_frame_with_which_a_session_begins_is_enough(mount):
    with RtspServer() as server, CameraGroup([plan("one", server.url(mount))]) as cameras:
        watch = Watch(cameras)
        watch.until(lambda watch: watch.newest and watch.all_online())
        token = cameras.request_marked_frame("one")
        watch.until(lambda watch: cameras.states()["one"].marked_frame == token)
        assert watch.newest["one"].image.shape == (240, 320, 3)


def test_a_server_that_is_killed_and_one_that_freezes_come_back():
    with RtspServer() as server, CameraGroup([plan("one", server.url())]) as cameras:
        watch = Watch(cameras)
        watch.until(lambda watch: watch.newest and watch.all_online())
        server.kill()
        assert watch.until(cause_is(Cause.REFUSED)) < 10 * BUSY
        server.start()
        assert watch.until(cause_is(None)) < 5 * BUSY
        server.process.send_signal(signal.SIGSTOP)
        assert watch.until(cause_is(Cause.STALLED)) < 10 * BUSY
        watch.until(cause_is(Cause.TIMEOUT))
        server.process.send_signal(signal.SIGCONT)
        assert watch.until(cause_is(None)) < 5 * BUSY


def test_interlaced_frames_are_told_and_never_given_out():
    with RtspServer() as server, CameraGroup([plan("one", server.url("halves"))]) as cameras:
        watch = Watch(cameras)
        watch.until(cause_is(Cause.INTERLACED))
        assert not watch.newest


def test_a_camera_that_sends_over_udp_alone_is_watched():
    with RtspServer(options=("udp",)) as server, CameraGroup([plan("one", server.url())]) as cameras:
        watch = Watch(cameras)
        watch.until(lambda watch: watch.newest and watch.all_online())


def test_rtsp_over_tls_is_watched_where_the_certificate_is_trusted_and_told_where_not(tmp_path):
    own = make_certificate(tmp_path)
    make_certificate(tmp_path, "other")
    with RtspServer(options=("tls", str(own), str(own.with_suffix(".key")))) as server:
        url = server.url().replace("rtsp:", "rtsps:")
        names = {"own": own, "other": tmp_path / "other.crt", "none": None}
        plans = plan_cameras([CameraSettings(name, url, ca_file=file) for name, file in names.items()])
        with CameraGroup(plans) as cameras:
            unknown = Cause.CERTIFICATE_UNKNOWN
            Watch(cameras).until(lambda watch: watch.causes() == {"own": None, "other": unknown, "none": unknown})
