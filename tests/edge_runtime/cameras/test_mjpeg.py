"""Motion JPEG that is not as it should be."""

import ssl
import subprocess
from contextlib import suppress
from pathlib import Path

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


class SelfSigned(FaultServer):
    """Speaks TLS with a certificate that nobody vouches for."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(folder / "own.crt", folder / "own.key")

    def answer(self, link):
        with suppress(OSError), self._context.wrap_socket(link.dup(), server_side=True) as secure:
            secure.recv(1)  # until the client has left
        return False


class HangsUp(FaultServer):
    """Closes in the middle of the handshake, as a camera does that restarts."""

    def answer(self, link):
        link.recv(4096)
        return False


def cause_over_tls(server: FaultServer) -> Cause:
    with server, pytest.raises(SourceFailed) as caught:
        next(jpegs(parse_address(server.url().replace("http:", "https:")), answer_timeout(), 2))
    return caught.value.cause


def test_a_certificate_that_nobody_vouches_for_is_misconfigured(tmp_path):
    new = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout own.key -out own.crt -subj /CN=127.0.0.1"
    try:
        subprocess.run(new.split(), cwd=tmp_path, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    assert cause_over_tls(SelfSigned(tmp_path)) is Cause.MISCONFIGURED


def test_an_end_within_the_handshake_is_a_timeout():
    assert cause_over_tls(HangsUp()) is Cause.TIMEOUT
