"""A camera on loopback that answers each request with the bytes that a test has written, over TLS where it is given."""

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

from tests.support.fake_mjpeg_camera import FaultServer, jpeg

H264 = "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track1\r\n"
AUDIO = "v=0\r\nm=audio 0 RTP/AVP 0\r\na=control:track1\r\n"
STRANGE = "v=0\r\nm=video 0 RTP/AVP 97\r\na=rtpmap:97 X-OWN/90000\r\na=control:track1\r\n"

Script = Callable[[str], bytes | None]  # takes a request; None closes the connection


class ScriptedCamera(FaultServer):
    """`requests` are those that came. A script that returns b"" leaves the client waiting."""

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self._script, self._tls = script, tls
        self.requests: list[str] = []

    def answer(self, link: socket.socket) -> bool:
        if self._tls is None:
            return self._converse(link)
        with suppress(OSError), self._tls.wrap_socket(link.dup(), server_side=True) as secure:
            self._converse(secure)
        return False

    def _converse(self, link: socket.socket) -> bool:
        while True:
            request = b""
            while b"\r\n\r\n" not in request:
                if not (piece := link.recv(4096)):
                    return False
                request += piece
            self.requests.append(request.decode("utf-8", "replace"))
            if (answer := self._script(self.requests[-1])) is None:
                return False
            link.sendall(answer)
            if answer.startswith(b"HTTP") and b"Content-Length" in answer:
                return False


def http(status: str, *headers: str, body: bytes = b"") -> Script:
    """The same HTTP answer to every request."""
    head = "\r\n".join((f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""))
    return lambda _: head.encode() + body


def rtsp(describe: str = "200 OK", description: str = H264, setup: str = "200 OK", *headers: str) -> Script:
    """An RTSP camera by the statuses of its answers; after SETUP it says yes to PLAY, and sends nothing."""

    def script(request: str) -> bytes:
        method = request.partition(" ")[0]
        number = next(line for line in request.split("\r\n") if line.lower().startswith("cseq"))
        status = {"DESCRIBE": describe, "SETUP": setup}.get(method, "200 OK")
        body = description if (method, status) == ("DESCRIBE", "200 OK") else ""
        more = [*headers, "Content-Type: application/sdp", f"Content-Length: {len(body)}"]
        if (method, status) == ("SETUP", "200 OK"):
            more += ["Transport: RTP/AVP/TCP;unicast;interleaved=0-1", "Session: 1"]
        return "\r\n".join((f"RTSP/1.0 {status}", number, *more, "", body)).encode()

    return script


def picture() -> Script:
    """A single JPEG, as snapshot addresses give it."""
    return http("200 OK", "Content-Type: image/jpeg", body=jpeg(0))


def moved_to(target: str) -> Script:
    """A redirect."""
    return http("302 Found", f"Location: {target}")
