"""Causes: each with a status and a sentence, and each produced here by what is observed, never by hand."""

import os
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.cameras.address import parse_address
from edge_runtime.cameras.camera_group import CameraGroup
from edge_runtime.cameras.picture_health import HealthLimits, PictureHealth
from edge_runtime.cameras.readers import Waits, open_source
from edge_runtime.cameras.rtsp_describe import AnswerTimeout, SourceFailed
from edge_runtime.cameras.settings import CameraPlan, CameraSettings, plan_cameras
from edge_runtime.cameras.thumbnail import thumbnail_of
from edge_runtime.causes import Cause
from edge_runtime.clock import Instant
from edge_runtime.watchlog.ledger import Ledger
from edge_runtime.watchlog.ledger_query import read_night_of
from edge_runtime.watchlog.watch_state import WatchState
from tests.support.camera_waiting import Watch
from tests.support.fake_mjpeg_camera import FaultServer, free_port
from tests.support.night_clips import scene, sensed
from tests.support.own_certificate import make_certificate, server_context
from tests.support.pictures import interlaced_video
from tests.support.scripted_camera import AUDIO, STRANGE, ScriptedCamera, http, moved_to, picture, rtsp

STEP = 0.2  # seconds between two frames
RNG = np.random.default_rng(0)


def seen(address: str, ca_file: Path | None = None) -> Cause | None:
    """What opening and reading `address` shows; None where a frame comes, ENDED where it ends without one."""
    (plan,) = plan_cameras([CameraSettings("c", address, ca_file=ca_file)])
    assert plan.address is not None, plan.problem
    waits = Waits(read=1.0, upload=1.0, check=0.05)
    try:
        for item in open_source(plan.address, AnswerTimeout(1.0, 0.2, lambda: None), waits):
            if isinstance(item, Cause):
                return item
            if item is not None and item() is not None:
                return None
    except SourceFailed as failure:
        return failure.cause
    return Cause.ENDED


@dataclass
class Place:
    """A folder of the test, and servers that end with it."""

    folder: Path
    ends: ExitStack

    def url(self, script: Callable[[str], bytes | None], scheme: str = "http", tls: str = "", host: str = "") -> str:
        """The address of a camera with this script. `tls` names a certificate of the folder."""
        context = server_context(self.folder / f"{tls}.crt") if tls else None
        server = self.ends.enter_context(ScriptedCamera(script, context))
        return f"{scheme}://{host or '127.0.0.1'}:{server.port}/live"

    def trusting(self, scheme: str, context: ssl.SSLContext) -> Cause | None:
        """What a server with TLS shows to a camera whose ca_file is own.crt."""
        server = self.ends.enter_context(ScriptedCamera(OK, context))
        return seen(f"{scheme}://127.0.0.1:{server.port}/live", self.folder / "own.crt")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as ends:
        yield Place(tmp_path, ends)


OK = http("200 OK", "Content-Type: image/jpeg")
MJPEG = "Content-Type: multipart/x-mixed-replace; boundary=b"
HTML = http("200 OK", "Content-Type: text/html; charset=utf-8", body=b"<form>login</form>")
SSH = b"SSH-2.0-OpenSSH_9.2\r\n"


def silent() -> str:
    """A host that takes connections, and says nothing."""
    listener = socket.create_server(("127.0.0.1", 0))
    HELD.append(listener)
    return f"127.0.0.1:{listener.getsockname()[1]}/live"


HELD: list[socket.socket] = []


def in_the_cameras_process(url: str, **settings: float) -> Cause | None:
    """The cause of a camera of a running group, once it is another than STARTING."""
    settings = {"read_timeout": 3, **settings}
    with CameraGroup(plan_cameras([CameraSettings("one", url, **settings)])) as cameras:
        watch = Watch(cameras)
        watch.until(lambda watch: watch.causes()["one"] not in (None, Cause.STARTING))
        return watch.causes()["one"]


def of_pictures(fault: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Cause | None:
    """What 15 seconds of frames with a `fault` show after 20 seconds of good ones."""
    health, picture = PictureHealth(HealthLimits(infrared=False)), scene(3)
    last = sensed(picture, 1.0)
    for number in range(100):
        last = sensed(picture, 1.0)
        health.check(thumbnail_of(last), number * STEP)
    for number in range(100, 175):
        cause = health.check(thumbnail_of(fault(picture, last)), number * STEP).cause
        if cause is not None:
            return cause
    return None


def grey(picture: np.ndarray) -> np.ndarray:
    frame = cv2.cvtColor(sensed(picture, 1.0), cv2.COLOR_BGR2GRAY)
    return cv2.cvtColor((255 * (frame / 255.0) ** 0.8).astype(np.uint8), cv2.COLOR_GRAY2BGR)


@contextmanager
def without_rights(path: Path) -> Iterator[None]:
    """Nobody may read `path`; root, whom no mode keeps out, is somebody else meanwhile."""
    path.chmod(0)
    user = os.geteuid()
    os.seteuid(65534 if user == 0 else user)
    try:
        yield
    finally:
        os.seteuid(user)
        path.chmod(0o644)


def denied(place: Place) -> Cause | None:
    path = place.folder / "yard.mp4"
    path.touch()
    address = parse_address(str(path))
    with without_rights(path), pytest.raises(SourceFailed) as caught:
        next(open_source(address, AnswerTimeout(1, 1, lambda: None), Waits(1, 1, 1)))
    return caught.value.cause


def broken_video(place: Place) -> Cause | None:
    (place.folder / "yard.mp4").write_bytes(b"no video" * 1000)
    return seen(str(place.folder / "yard.mp4"))


def halves(place: Place) -> Cause | None:
    return in_the_cameras_process(str(interlaced_video(place.folder / "yard.mpg")))


def unscaled(place: Place) -> Cause | None:
    cv2.imwrite(str(place.folder / "busbar.tiff"), RNG.normal(30, 5, (60, 80)).astype(np.float32))
    return in_the_cameras_process(str(place.folder))


def wants_a_client_certificate(place: Place) -> Cause | None:
    certificate = make_certificate(place.folder)
    context = server_context(certificate)
    context.load_verify_locations(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # refuses within the handshake
    return place.trusting("https", context)


def of_certificate(place: Place, scheme: str, host: str = "IP:127.0.0.1", days: int = 2) -> Cause | None:
    return place.trusting(scheme, server_context(make_certificate(place.folder, "own", host, days)))


def unknown_certificate(place: Place, scheme: str) -> Cause | None:
    make_certificate(place.folder)
    return seen(place.url(OK, scheme, "own"))


def speaks_tls(place: Place, scheme: str) -> Cause | None:
    make_certificate(place.folder)
    return seen(place.url(OK, scheme, "own"))


def not_running(place: Place) -> Cause | None:
    ledger = Ledger(place.folder / "ledger", Instant(0, 0))
    ledger.watch(["yard"], Instant(0, 0))
    ledger.close(Instant(60, 60))
    return read_night_of(place.folder / "ledger", 200, Instant(100, 100), False).blind[0].cause


def overloaded(_: Place) -> Cause | None:
    return WatchState({"yard": 0.5}).blind("yard", None, 0, 100)[0]


def under_maintenance(_: Place) -> Cause | None:
    watch_state = WatchState({"yard": 0.5})
    watch_state.maintain(["yard"], 1)
    return watch_state.blind("yard", None, 0, 1)[0]


def model(_: Place) -> Cause | None:
    state = WatchState({"yard": 0.5})
    state.unfit("yard", Cause.MODEL)  # as the evaluator says it: inference/test_evaluator
    return state.blind("yard", None, 0, 100)[0]


def misconfigured(_: Place) -> Cause | None:
    with CameraGroup([CameraPlan(CameraSettings("one", "ftp://h"), problem="an unknown scheme")]) as cameras:
        return cameras.states()["one"].cause


def starting(_: Place) -> Cause | None:
    with CameraGroup(plan_cameras([CameraSettings("one", f"http://{silent()}")])) as cameras:
        return cameras.states()["one"].cause


def audio_alone(place: Place) -> Cause | None:
    return seen(place.url(rtsp(description=AUDIO), "rtsp"))


# What happens, the cause that it must show, and words of the advice that a person needs then.
TABLE: list[tuple[str, Callable[[Place], Cause | None], Cause, str]] = [
    ("just started", starting, Cause.STARTING, "wait"),
    ("settings without a meaning", misconfigured, Cause.MISCONFIGURED, "settings"),
    ("http to an unknown name", lambda _: seen("http://nobody.invalid/x"), Cause.UNKNOWN_HOST, "name not found"),
    ("rtsp to an unknown name", lambda _: seen("rtsp://nobody.invalid/x"), Cause.UNKNOWN_HOST, "DNS"),
    ("http without a route", lambda _: seen("http://224.0.0.1/x"), Cause.UNREACHABLE, "no route"),
    ("rtsp to a port of nobody", lambda _: seen(f"rtsp://127.0.0.1:{free_port()}/x"), Cause.REFUSED, "its port"),
    ("http to a port of nobody", lambda _: seen(f"http://127.0.0.1:{free_port()}/x"), Cause.REFUSED, "that it is on"),
    ("http to silence", lambda _: seen(f"http://{silent()}"), Cause.TIMEOUT, "power"),
    ("rtsp to silence", lambda _: seen(f"rtsp://{silent()}"), Cause.TIMEOUT, "firewall"),
    ("https to silence", lambda _: seen(f"https://{silent()}"), Cause.TIMEOUT, "network"),
    ("http that hangs up", lambda p: seen(p.url(lambda _: None)), Cause.CLOSED, "closes it"),
    ("rtsp that hangs up", lambda p: seen(p.url(lambda _: None, "rtsp")), Cause.CLOSED, "the port"),
    ("https without TLS", lambda p: seen(p.url(OK, "https")), Cause.NO_TLS, "without it"),
    ("rtsps without TLS", lambda p: seen(p.url(rtsp(), "rtsps")), Cause.NO_TLS, "without it"),
    ("http to a port with TLS", lambda p: speaks_tls(p, "http"), Cause.NEEDS_TLS, "https"),
    ("rtsp to a port with TLS", lambda p: speaks_tls(p, "rtsp"), Cause.NEEDS_TLS, "rtsps"),
    ("TLS with a client's certificate", wants_a_client_certificate, Cause.TLS, "client certificate"),
    ("https out of date", lambda p: of_certificate(p, "https", days=-1), Cause.CERTIFICATE_EXPIRED, "clocks"),
    ("rtsps out of date", lambda p: of_certificate(p, "rtsps", days=-1), Cause.CERTIFICATE_EXPIRED, "renew"),
    ("https of another number", lambda p: of_certificate(p, "https", "IP:10.0.0.1"), Cause.CERTIFICATE_NAME, "name"),
    ("https of another name", lambda p: of_certificate(p, "https", "DNS:cam"), Cause.CERTIFICATE_NAME, "another name"),
    ("https of nobody", lambda p: unknown_certificate(p, "https"), Cause.CERTIFICATE_UNKNOWN, "ca_file"),
    ("rtsps of nobody", lambda p: unknown_certificate(p, "rtsps"), Cause.CERTIFICATE_UNKNOWN, "ca_file"),
    ("http 401", lambda p: seen(p.url(http("401 Unauthorized"))), Cause.AUTH, "user or password"),
    ("rtsp 401", lambda p: seen(p.url(rtsp("401 Unauthorized"), "rtsp")), Cause.AUTH, "login"),
    ("http 403", lambda p: seen(p.url(http("403 Forbidden"))), Cause.FORBIDDEN, "right"),
    ("rtsp 403", lambda p: seen(p.url(rtsp("403 Forbidden"), "rtsp")), Cause.FORBIDDEN, "locked"),
    ("http 404", lambda p: seen(p.url(http("404 Not Found"))), Cause.NOT_FOUND, "path"),
    ("rtsp 404", lambda p: seen(p.url(rtsp("404 Not Found"), "rtsp")), Cause.NOT_FOUND, "path"),
    ("no file", lambda p: seen(str(p.folder / "none.mp4")), Cause.NOT_FOUND, "path"),
    ("no folder", lambda p: seen(f"{p.folder}/none/"), Cause.NOT_FOUND, "folder"),
    ("no device", lambda _: seen("usb:63"), Cause.NOT_FOUND, "device"),
    ("302 to another host", lambda p: seen(p.url(moved_to("http://10.0.0.9/x"))), Cause.REDIRECTED, "another host"),
    ("302 in a circle", lambda p: seen(p.url(moved_to("/live"))), Cause.REDIRECTED, "circle"),
    ("302 without a place", lambda p: seen(p.url(http("302 Found"))), Cause.REDIRECTED, "refers"),
    ("http 400", lambda p: seen(p.url(http("400 Bad Request"))), Cause.REJECTED, "request"),
    ("rtsp 405", lambda p: seen(p.url(rtsp("405 Method Not Allowed"), "rtsp")), Cause.REJECTED, "firmware"),
    ("http 503", lambda p: seen(p.url(http("503 Service Unavailable"))), Cause.BUSY, "limit of streams"),
    ("rtsp 453", lambda p: seen(p.url(rtsp("453 Not Enough Bandwidth"), "rtsp")), Cause.BUSY, "other viewers"),
    ("rtsp 503 at SETUP", lambda p: seen(p.url(rtsp(setup="503 Busy"), "rtsp")), Cause.BUSY, "limit of streams"),
    ("rtsp 461", lambda p: seen(p.url(rtsp(setup="461 Unsupported"), "rtsp")), Cause.TRANSPORT, "RTSP over TCP"),
    ("http 500", lambda p: seen(p.url(http("500 Oops"))), Cause.CAMERA_FAULT, "restart"),
    ("rtsp 454", lambda p: seen(p.url(rtsp("454 Session Not Found"), "rtsp")), Cause.CAMERA_FAULT, "restart"),
    ("rtsp to a web server", lambda p: seen(p.url(HTML, "rtsp")), Cause.WRONG_SERVICE, "port"),
    (
        "http to an RTSP server",
        lambda p: seen(p.url(lambda _: b"RTSP/1.0 400 Bad\r\n\r\n")),
        Cause.WRONG_SERVICE,
        "port",
    ),
    ("http to SSH", lambda p: seen(p.url(lambda _: SSH)), Cause.WRONG_SERVICE, "another service"),
    ("a login page", lambda p: seen(p.url(HTML)), Cause.WEB_PAGE, "login page"),
    (
        "a refusal in JSON",
        lambda p: seen(p.url(http("200 OK", "Content-Type: application/json"))),
        Cause.WEB_PAGE,
        "text",
    ),
    ("sound alone", audio_alone, Cause.NO_VIDEO, "video"),
    ("a codec of nobody", lambda p: seen(p.url(rtsp(description=STRANGE), "rtsp")), Cause.CODEC, "H.264"),
    ("a file of half pictures", halves, Cause.INTERLACED, "progressive"),
    ("a file that is no video", broken_video, Cause.CODEC, "convert"),
    ("rtsp that sends nothing", lambda p: seen(p.url(rtsp(), "rtsp")), Cause.STALLED, "no frames"),
    ("http that stops", lambda p: seen(p.url(stalling)), Cause.STALLED, "no frames"),
    ("a file that is not ours", denied, Cause.DENIED, "permissions"),
    ("a device that is no camera", lambda _: seen("usb:/dev/null"), Cause.DEVICE, "another number"),
    ("a folder without uploads", lambda p: seen(str(p.folder)), Cause.NO_UPLOAD, "upload"),
    ("radiometric pictures without a rule", unscaled, Cause.UNSCALED, "data.radiometric"),
    ("a stream that ends", lambda _: with_fault("end"), Cause.ENDED, "end"),
    ("frames that are no pictures", lambda _: with_fault("garbage"), Cause.CODEC, "decoded"),
    ("black", lambda _: of_pictures(lambda p, _: sensed(p * np.float32(0), 1.0, 2.0)), Cause.BLACK, "lens cap"),
    ("white", lambda _: of_pictures(lambda p, _: sensed(p + np.float32(240), 1.0)), Cause.OVEREXPOSED, "lamp"),
    (
        "blurred",
        lambda _: of_pictures(lambda p, _: sensed(cv2.GaussianBlur(p, (0, 0), 19), 1.0)),
        Cause.COVERED,
        "dirt",
    ),
    ("noise", lambda _: of_pictures(noise), Cause.NOISE, "cable"),
    (
        "turned",
        lambda _: of_pictures(lambda p, _: sensed(np.roll(p, (48, 96), (0, 1)), 1.0)),
        Cause.MOVED,
        "set it back",
    ),
    ("repeated", lambda _: of_pictures(lambda _, last: last), Cause.FROZEN, "restart"),
    ("half the size", lambda _: of_pictures(lambda p, _: sensed(p[::2, ::2], 1.0)), Cause.RESIZED, "profile"),
    ("infrared", lambda _: of_pictures(lambda p, _: grey(p)), Cause.INFRARED, "infrared"),
    ("frames without a verdict", overloaded, Cause.OVERLOADED, "fewer cameras"),
    ("frames that the model fails at", model, Cause.MODEL, "check"),
    ("a night without the service", not_running, Cause.NOT_RUNNING, "log"),
    ("somebody works on it", under_maintenance, Cause.MAINTENANCE, "watched again"),
]


def stalling(_: str) -> bytes:
    return f"HTTP/1.0 200 OK\r\n{MJPEG}\r\n\r\n--b\r\n".encode()


def noise(picture: np.ndarray, _: np.ndarray) -> np.ndarray:
    return RNG.integers(0, 255, picture.shape, np.uint8)


def with_fault(fault: str) -> Cause | None:
    with FaultServer() as server:
        return in_the_cameras_process(server.url(fault))


@pytest.mark.parametrize(("happens", "cause", "words"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_what_is_observed_is_the_cause_and_the_advice_fits(place, happens, cause, words):
    assert happens(place) is cause
    assert words in cause.advice
    while HELD:
        HELD.pop().close()


def test_every_cause_is_produced_by_the_table():
    assert {row[2] for row in TABLE} == set(Cause)


def test_every_cause_says_what_to_do():
    assert all(cause.advice and cause.advice[0].islower() for cause in Cause)


def test_where_frames_come_the_camera_is_not_evaluated_and_else_offline():
    not_evaluated = [cause.value for cause in Cause if cause.status == "not_evaluated"]
    shown = ["black", "frozen", "covered", "overexposed", "noise", "moved", "infrared", "resized"]
    assert not_evaluated == [*shown, "overloaded", "model"]
    assert {cause.status for cause in Cause} == {"offline", "not_evaluated", "maintenance"}
    assert [cause for cause in Cause if cause.status == "maintenance"] == [Cause.MAINTENANCE]


def test_a_redirect_within_the_host_is_followed(place):
    def script(request: str) -> bytes | None:
        return (moved_to("/now") if request.startswith("GET /live ") else picture())(request)

    assert seen(place.url(script)) is None
    server = place.ends.enter_context(FaultServer())
    assert seen(place.url(moved_to(server.url()))) is None
