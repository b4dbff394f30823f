"""A loopback link that several services share: so many bytes a second in each direction, and cut again and again."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Sequence

PIECE = 2048  # bytes; a small piece of one connection waits for a piece of another, not for all of it


class _Direction:
    """Passes bytes on at a rate, first come, first served, as a modem's queue does."""

    def __init__(self, bytes_per_second: float) -> None:
        self._rate, self._free_at, self._lock = bytes_per_second, 0.0, threading.Lock()

    def take(self, count: int) -> None:
        with self._lock:
            now = time.monotonic()
            self._free_at = max(self._free_at, now) + count / self._rate
            wait = self._free_at - now
        time.sleep(max(0.0, wait))  # the transmission itself


class SharedLink:
    """Links to `ports` on the loopback address; `to` gives the port to use instead of each."""

    def __init__(self, ports: Sequence[int], bytes_per_second: float, cut_seconds: float = 0) -> None:
        self._up, self._down = _Direction(bytes_per_second), _Direction(bytes_per_second)
        self._open: set[socket.socket] = set()
        self._stop = threading.Event()
        self._listeners = {port: socket.create_server(("127.0.0.1", 0)) for port in ports}
        self.cuts = 0
        for port, listener in self._listeners.items():
            threading.Thread(target=self._serve, args=(listener, port), daemon=True).start()
        if cut_seconds:
            threading.Thread(target=self._cut_often, args=(cut_seconds,), daemon=True).start()

    def to(self, port: int) -> int:
        return int(self._listeners[port].getsockname()[1])

    def close(self) -> None:
        self._stop.set()
        for listener in self._listeners.values():
            listener.close()
        self.cut()

    def cut(self) -> None:
        for end in list(self._open):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _cut_often(self, seconds: float) -> None:
        while not self._stop.wait(seconds):
            self.cuts += 1
            self.cut()

    def _serve(self, listener: socket.socket, port: int) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", port))
                for end in (near, far):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 * PIECE)
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * PIECE)
                    self._open.add(end)
                for source, target, direction in ((near, far, self._up), (far, near, self._down)):
                    threading.Thread(target=self._pass, args=(source, target, direction), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, direction: _Direction) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(PIECE):
                direction.take(len(data))
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._open.discard(source)
        source.close()


@contextlib.contextmanager
def shared_link(ports: Sequence[int], bytes_per_second: float, cut_seconds: float = 0) -> Iterator[SharedLink]:
    """A link that is there for the block."""
    link = SharedLink(ports, bytes_per_second, cut_seconds)
    try:
        yield link
    finally:
        link.close()
