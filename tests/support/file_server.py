"""A web server of a folder that knows ranges or not, is as slow or endless as a test wants, and cuts connections."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote


class FileServer:
    """Serves `folder`. `asked` lists (path, first byte) of every request and `sent` counts bytes of files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ranges = True
        self.cut_after: int | None = None  # bytes of a connection, then it is cut
        self.endless = ""  # a path that ends so never ends
        self.status: dict[str, int] = {}  # by path, instead of the file
        self.asked: list[tuple[str, int]] = []
        self.sent = 0
        self.connections: set[object] = set()
        self.url = ""

    def cut(self) -> None:
        """Cut every connection that is open."""
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(2)


@contextlib.contextmanager
def file_server(folder: Path) -> Iterator[FileServer]:
    served = FileServer(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # Small, so that what is sent is what the client has about taken.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
            served.connections.add(self.connection)
            with contextlib.suppress(OSError):
                _answer(self, served)
            served.connections.discard(self.connection)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield served
    finally:
        server.shutdown()
        served.cut()
        server.server_close()
        thread.join()


def _answer(request: BaseHTTPRequestHandler, served: FileServer) -> None:
    name = unquote(request.path).lstrip("/")
    wanted = request.headers.get("Range", "bytes=0-") if served.ranges else "bytes=0-"
    start = int(wanted.removeprefix("bytes=").rstrip("-"))
    served.asked.append((name, start))
    path = served.folder / name
    if name in served.status or not path.is_file():
        request.send_error(served.status.get(name, 404))
        return
    data = path.read_bytes()
    if start and start >= len(data):
        request.send_error(416)
        return
    request.send_response(206 if start else 200)
    if start:
        request.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
    endless = served.endless and name.endswith(served.endless)
    if not endless:
        request.send_header("Content-Length", str(len(data) - start))
    request.end_headers()
    _send(request, served, data[start:], bool(endless))


def _send(request: BaseHTTPRequestHandler, served: FileServer, data: bytes, endless: bool) -> None:
    left = served.cut_after if served.cut_after is not None else len(data)
    for place in range(0, min(left, len(data)), 4096):
        piece = data[place : min(place + 4096, left)]
        request.wfile.write(piece)
        served.sent += len(piece)
    while endless:
        request.wfile.write(b" " * 4096)
        served.sent += 4096
