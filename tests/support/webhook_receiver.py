"""A real HTTP server that takes signed events: it checks signatures, and refuses where the test says so."""

import contextlib
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = b"between us"


@dataclass
class Receiver:
    """Answers 401 where the signature is wrong, else as scripted, in the end 204."""

    port: int
    statuses: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    accepted: list[dict[str, Any]] = field(default_factory=list)
    requests: int = 0

    def take(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str]]:
        self.requests += 1
        signed = headers["x-rarefault-timestamp"].encode() + b"." + body
        wanted = "sha256=" + hmac.new(SECRET, signed, hashlib.sha256).hexdigest()
        stale = abs(time.time() - int(headers["x-rarefault-timestamp"])) > 300
        if path != "/hook?site=7" or stale or not hmac.compare_digest(wanted, headers["x-rarefault-signature"]):
            return 401, {}
        if self.statuses:
            return self.statuses.pop(0)
        event = json.loads(body)
        assert headers["x-rarefault-event"] == event["id"]
        self.accepted.append(event)
        return 204, {}


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a free loopback port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers["content-length"]))
            status, extra = made.take(self.path, headers, body)
            self.send_response(status)
            for name, value in extra.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made = Receiver(server.server_address[1])
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield made
        server.shutdown()
