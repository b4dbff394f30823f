"""Motion JPEG in its dialects, snapshots, and where a camera sends those who ask."""

import pytest

from edge_runtime.cameras.address import parse_address
from edge_runtime.cameras.mjpeg import jpegs
from edge_runtime.cameras.rtsp_describe import AnswerTimeout, SourceFailed, redirected
from edge_runtime.causes import Cause
from tests.support.fake_mjpeg_camera import PASSWORD, USER, FaultServer, jpeg
from tests.support.scripted_camera import ScriptedCamera, moved_to, picture


def answer_timeout() -> AnswerTimeout:
    return AnswerTimeout(2, 1, lambda: None)


JPEGS = [jpeg(number) for number in range(3)]
PLAIN = "multipart/x-mixed-replace; boundary=frame"


class Dialect(FaultServer):
    """Sends JPEGS with `lead` before each and `trail` behind the last, under a content type."""

    def __init__(self, kind: str, lead: bytes, trail: bytes = b"", chunked: bool = False) -> None:
        super().__init__()
        self._kind, self._chunked = kind, chunked
        self._body = lead + lead.join(JPEGS) + trail

    def answer(self, link):
        link.recv(4096)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {self._kind}\r\nConnection: close\r\n"
        body = self._body
        if self._chunked:
            head += "Transfer-Encoding: chunked\r\n"
            body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:700], body[700:])) + b"0\r\n\r\n"
        link.sendall(head.encode() + b"\r\n" + body)
        return False


@pytest.mark.parametrize(
    "dialect",
    [
        pytest.param((PLAIN, b"\r\n--frame\r\nContent-Type: image/jpeg\r\n\r\n", b"\r\n--frame--\r\n"), id="no length"),
        pytest.param((PLAIN, b"\n--frame\nContent-Type: image/jpeg\n\n"), id="line feeds alone"),
        pytest.param((PLAIN, b"\r\n--frame\r\n\r\n", b"", True), id="chunked"),
        pytest.param((PLAIN, b"\r\n--frame\r\nContent-Length: 7\r\n\r\n"), id="a wrong length"),
        pytest.param((PLAIN, b"\r\n--other\r\n\r\n"), id="another boundary"),
        pytest.param((PLAIN, b"frame\r\n\r\n"), id="a boundary without dashes"),
        pytest.param(("multipart/x-mixed-replace; boundary=--b", b"\r\n----b\r\n\r\n"), id="dashes as in RFC 2046"),
        pytest.param(('multipart/x-mixed-replace;boundary="a b=c"', b"\r\n--a b=c\r\n\r\n"), id="quoted"),
        pytest.param(("multipart/x-mixed-replace", b"\r\n--frame\r\n\r\n"), id="no boundary parameter"),
        pytest.param(("video/x-motion-jpeg", b""), id="one picture behind the other"),
        pytest.param(("application/octet-stream", b""), id="of no type"),
    ],
)
def test_each_dialect_of_motion_jpeg_is_played(dialect):
    with Dialect(*dialect) as server:
        assert list(jpegs(parse_address(server.url()), answer_timeout(), 2)) == JPEGS


def test_an_address_of_one_picture_is_asked_again():
    with ScriptedCamera(picture()) as camera:
        pictures = jpegs(parse_address(camera.url()), answer_timeout(), 2)
        assert [next(pictures), next(pictures)] == [JPEGS[0], JPEGS[0]]
        assert len(camera.requests) == 2


def test_a_login_by_digest_goes_on_behind_a_redirect():
    with FaultServer("digest") as locked, ScriptedCamera(moved_to(f"http://127.0.0.1:{locked.port}/stream")) as camera:
        address = parse_address(camera.url(), USER, PASSWORD)
        assert next(jpegs(address, answer_timeout(), 2)).startswith(b"\xff\xd8")


def test_a_redirect_that_leaves_tls_or_the_host_is_not_followed():
    address = parse_address("https://cam/live", "u", "p")
    for target in ("http://cam/live", "https://other/live", "rtsp://cam/live", "https://u:p@cam/x"):
        with pytest.raises(SourceFailed) as caught:
            redirected(address, target)
        assert caught.value.cause is Cause.REDIRECTED
    assert redirected(address, "/now?x=1").location == "https://cam/now?x=1"
    assert redirected(parse_address("http://cam/live"), "https://CAM:8443/x").host == "cam"


class HangsUp(FaultServer):
    """Closes in the middle of the handshake, as a camera does that restarts."""

    def answer(self, link):
        link.recv(4096)
        return False


def cause_over_tls(server: FaultServer) -> Cause:
    with server, pytest.raises(SourceFailed) as caught:
        next(jpegs(parse_address(server.url().replace("http:", "https:")), answer_timeout(), 2))
    return caught.value.cause


def test_an_end_within_the_handshake_is_told_as_such():
    assert cause_over_tls(HangsUp()) is Cause.CLOSED
