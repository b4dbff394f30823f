"""Motion JPEG that is not as it should be."""

import pytest

from edge_runtime.cameras.address import parse_address
from edge_runtime.cameras.mjpeg import jpegs
from edge_runtime.cameras.rtsp_describe import AnswerTimeout, SourceFailed
from edge_runtime.causes import Cause
from tests.support.fake_mjpeg_camera import FaultServer


def answer_timeout() -> AnswerTimeout:
    return AnswerTimeout(2, 1, lambda: None)


class Unsized(FaultServer):
    """Parts without Content-Length, as some cameras send them, and a boundary with its dashes."""

    def answer(self, link):
        link.recv(4096)
        head = b'HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary="--b"\r\n\r\n'
        part = b"--b\r\nContent-Type: image/jpeg\r\n\r\n"
        body = part + b"\xff\xd8one\n\r\n" + part + b"two\r\n\r\nx\r\n--b--\r\n"
        link.sendall(head + b"preamble\r\n" + body)
        return False


def test_parts_without_a_length_end_at_the_boundary():
    with Unsized() as server:
        parts = list(jpegs(parse_address(server.url()), answer_timeout(), 2))
    assert [part.rstrip(b"\r\n") for part in parts] == [b"\xff\xd8one", b"two\r\n\r\nx"]


def test_no_certificate_that_nobody_vouches_for_and_no_tls_at_all():
    with FaultServer() as server, pytest.raises(SourceFailed) as caught:
        next(jpegs(parse_address(server.url().replace("http:", "https:")), answer_timeout(), 2))
    assert caught.value.cause in (Cause.MISCONFIGURED, Cause.TIMEOUT)
