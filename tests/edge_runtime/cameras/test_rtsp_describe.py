"""Words for each refusal of an RTSP camera, from a server that says what the test tells it to."""

import re
import socket

import pytest

from edge_runtime.cameras.address import CameraAddress, parse_address
from edge_runtime.cameras.rtsp_describe import AnswerTimeout, SourceFailed, describe
from edge_runtime.causes import Cause
from tests.support.fake_mjpeg_camera import FaultServer, free_port

CHALLENGE = (
    'RTSP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic realm="c"\r\nWWW-Authenticate: Digest realm="c", nonce="1"'
)


class Camera(FaultServer):
    """Answers one request after another with the next of `answers`; an empty one ends the connection."""

    def __init__(self, *answers: str) -> None:
        super().__init__()
        self.answers = list(answers)
        self.requests: list[str] = []

    def answer(self, link: socket.socket) -> bool:
        self.requests.append(link.recv(4096).decode("utf-8", "replace"))
        if self.answers and (answer := self.answers.pop(0)):
            link.sendall(f"{answer}\r\n\r\n".encode())
        return False

    def address(self, login: str = "") -> CameraAddress:
        return parse_address(f"rtsp://{login}127.0.0.1:{self.port}/live")


def cause_of(address: CameraAddress, silences: list[None] | None = None) -> Cause | None:
    """Why `address` gives no description, None where it does."""
    noted = [] if silences is None else silences
    try:
        describe(address, AnswerTimeout(0.5, 0.5, lambda: noted.append(None)))
    except SourceFailed as failure:
        return failure.cause
    return None


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        ("RTSP/1.0 200 OK\r\nContent-Length: 0", None),
        ("RTSP/1.0 403 Forbidden", Cause.FORBIDDEN),
        ("RTSP/1.0 404 Not Found", Cause.NOT_FOUND),
        ("RTSP/1.0 454 Session Not Found", Cause.CAMERA_FAULT),
        ("RTSP/1.0 461 Unsupported Transport", Cause.TRANSPORT),
        ("RTSP/1.0 503 Service Unavailable", Cause.BUSY),
        ("HTTP/1.1 200 OK", Cause.WRONG_SERVICE),
        ("x" * 70_000, Cause.WRONG_SERVICE),
        ("", Cause.CLOSED),
    ],
)
def test_each_answer_has_its_cause(answer, cause):
    with Camera(answer) as camera:
        assert cause_of(camera.address()) is cause


def test_a_challenge_is_answered_by_digest_and_the_password_is_not_sent():
    with Camera(CHALLENGE, "RTSP/1.0 200 OK") as camera:
        assert cause_of(camera.address("watch:s3cret@")) is None
        first, second = camera.requests
        assert "Authorization" not in first
        assert re.search(
            r'Authorization: Digest username="watch", realm="c", nonce="1", uri="rtsp://[\d.:]+/live"', second
        )
        assert "s3cret" not in first + second


@pytest.mark.parametrize("login", ["watch:wrong@", ""])
def test_a_rejected_login_and_a_missing_one_are_told_as_such(login):
    with Camera(CHALLENGE, CHALLENGE) as camera:
        assert cause_of(camera.address(login)) is Cause.AUTH
        assert len(camera.requests) == (2 if login else 1)


def test_a_port_where_nobody_listens_and_a_host_that_nobody_knows():
    assert cause_of(parse_address(f"rtsp://127.0.0.1:{free_port()}/live")) is Cause.REFUSED
    assert cause_of(parse_address("rtsp://nobody.invalid/live")) is Cause.UNKNOWN_HOST


def test_silence_is_reported_once_and_waited_out():
    silences: list[None] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:  # takes connections, and reads nothing
        address = parse_address(f"rtsp://127.0.0.1:{listener.getsockname()[1]}/live")
        assert cause_of(address, silences) is Cause.TIMEOUT
    assert len(silences) == 1
