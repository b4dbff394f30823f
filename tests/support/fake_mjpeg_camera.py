"""An HTTP camera of motion JPEG that can have every fault, on loopback, in threads of the test."""

import base64
import hashlib
import re
import socket
import struct
import threading
import time
from contextlib import suppress

import cv2
import numpy as np

USER, PASSWORD = "watch", "s3cret/p@ss:word"
REALM, NONCE = "camera", "abc123"


def jpeg(number: int, size: tuple[int, int] = (96, 128), tint: tuple[float, float, float] = (1, 1, 1)) -> bytes:
    """Blocks with the noise of a sensor, another for each number; `tint` dims the colours (BGR)."""
    rng = np.random.default_rng(number)
    blocks = np.random.default_rng(0).integers(20, 220, (6, 8), np.uint8)
    base = cv2.resize(blocks, (size[1], size[0]), interpolation=cv2.INTER_NEAREST)
    picture = np.clip(base + rng.normal(0, 4, size), 0, 255).astype(np.uint8)
    coloured = (cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR) * np.array(tint)).astype(np.uint8)
    return cv2.imencode(".jpg", coloured)[1].tobytes()


FRAMES = [jpeg(number) for number in range(40)]
GREEN_FRAMES = [jpeg(number, tint=(0.3, 1, 0.3)) for number in range(40)]
RED_FRAMES = [jpeg(number, tint=(0.3, 0.3, 1)) for number in range(40)]
SMALL = [jpeg(number, (48, 64)) for number in range(40)]


class FaultServer:
    """`fault` names what the path /stream does, and may be changed at any moment; as a path it holds for that path.

    None streams; "mute", "404", "basic", "digest", "stall", "garbage", "text", "freeze", "end", "resize".
    """

    def __init__(self, fault: str | None = None, port: int = 0, rate: float = 25.0) -> None:
        self.fault = fault
        self.port = port
        self.rate = rate
        self.frames = FRAMES  # what /stream shows; may be changed at any moment
        self.connections: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None

    def start(self) -> "FaultServer":
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self.port = self._listener.getsockname()[1]
        self._spawn(self._accept, self._listener)
        return self

    def stop(self) -> None:
        """As a server that is killed: the port closes, connections are reset."""
        if self._listener is None:
            return
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._listener = None
        for link in list(self.connections):
            with suppress(OSError):
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                link.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self._threads = []

    def __enter__(self) -> "FaultServer":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        return self._listener is not None

    def url(self, path: str = "stream", login: str = "") -> str:
        return f"http://{login}127.0.0.1:{self.port}/{path}"

    def _spawn(self, target, *args) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            self.connections.add(link)
            self._spawn(self._serve, link)

    def _serve(self, link: socket.socket) -> None:
        with link, suppress(OSError):
            try:
                while self.answer(link):
                    pass
            finally:
                self.connections.discard(link)

    def answer(self, link: socket.socket) -> bool:
        """Answer one request; whether another may follow."""
        request = b""
        while b"\r\n\r\n" not in request:
            piece = link.recv(4096)
            if not piece:
                return False
            request += piece
        path = request.split(b" ")[1].decode().strip("/")
        fault = path if path != "stream" else self.fault
        while fault == "mute":  # until the fault is taken away
            time.sleep(0.02)
            if not self.running:
                return False
            fault = path if path != "stream" else self.fault
        if fault in ("basic", "digest") and not authorised(request.decode(), fault):
            scheme = "Basic" if fault == "basic" else f'Digest nonce="{NONCE}", qop="auth", algorithm=MD5,'
            respond(
                link,
                "401 Unauthorized",
                f'WWW-Authenticate: {scheme} realm="{REALM}"\r\nContent-Length: 4\r\n',
                b"nope",
            )
            return False
        if fault == "404":
            respond(link, "404 Not Found", "Content-Length: 0\r\n")
            return False
        if fault == "text":
            respond(link, "200 OK", "Content-Type: text/html\r\nContent-Length: 5\r\n", b"hello")
            return False
        respond(link, "200 OK", "Content-Type: multipart/x-mixed-replace; boundary=frame\r\n")
        self._stream(link, path)
        return False

    def _stream(self, link: socket.socket, path: str) -> None:
        number = 0
        while self.running:
            fault = path if path != "stream" else self.fault
            if fault == "end" and number > 5:
                return
            if fault in ("stall", "mute") and number > 5:
                time.sleep(0.02)
                continue
            data = self.frames[0 if fault == "freeze" else number % len(self.frames)]
            data = SMALL[number % len(SMALL)] if fault == "resize" and number > self.rate else data
            data = b"no picture" if fault == "garbage" else data
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            link.sendall(head.encode() + data + b"\r\n")
            number += 1
            time.sleep(1 / self.rate)


def respond(link: socket.socket, status: str, headers: str, body: bytes = b"") -> None:
    link.sendall(f"HTTP/1.1 {status}\r\n{headers}\r\n".encode() + body)


def authorised(request: str, scheme: str) -> bool:
    match = re.search(r"^Authorization: (\w+) (.*?)\r$", request, re.MULTILINE)
    if match is None or match[1].lower() != scheme:
        return False
    if scheme == "basic":
        return match[2] == base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    fields = dict(re.findall(r'(\w+)="?([^",]*)"?', match[2]))
    secret = hashed(f"{USER}:{REALM}:{PASSWORD}")
    place = hashed(f"GET:{fields['uri']}")
    return fields["response"] == hashed(f"{secret}:{NONCE}:{fields['nc']}:{fields['cnonce']}:auth:{place}")


def hashed(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
