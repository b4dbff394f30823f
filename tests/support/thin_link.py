"""A loopback link that breaks: each connection passes so many bytes on their way up, and is then cut."""

import contextlib
import socket
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def thin_link(port: int, bytes_up: int) -> Iterator[int]:
    """The port of a link to `port` on the loopback address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_serve, args=(listener, port, bytes_up), daemon=True).start()
        yield int(listener.getsockname()[1])


def _serve(listener: socket.socket, port: int, bytes_up: int) -> None:
    with contextlib.suppress(OSError):
        while True:
            near, _ = listener.accept()
            far = socket.create_connection(("127.0.0.1", port))
            threading.Thread(target=_pass, args=(far, near, None), daemon=True).start()
            threading.Thread(target=_pass, args=(near, far, bytes_up), daemon=True).start()


def _pass(source: socket.socket, target: socket.socket, limit: int | None) -> None:
    left = limit
    with contextlib.suppress(OSError), source, target:
        while left is None or left > 0:
            data = source.recv(4096)
            if not data:
                break
            target.sendall(data[:left])
            left = None if left is None else left - len(data)
        for end in (source, target):
            end.shutdown(socket.SHUT_RDWR)
