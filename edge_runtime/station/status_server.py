"""The loopback HTTP server for `/metrics`, `/healthz` and `/status`. Needs the extra `station`."""

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST

from ..bundle.errors import UnavailableError, os_errors_as
from .metrics import Check, Metrics
from .settings import HttpSection

REQUEST_SECONDS = 5.0  # a client that is slower is hung up on


class StatusServer:
    """`GET /metrics`, `/healthz` and `/status` on the loopback address, in threads of its own.

    /status tells what `edge-station status` cannot read from a disk that is full. /healthz answers 200, or 503 with the
    sentences of the checks that fail. A check should tell what a restart may mend; a broker that is away is not of that
    kind, and has a metric.
    """

    def __init__(self, settings: HttpSection, metrics: Metrics) -> None:
        self._settings, self._metrics = settings, metrics
        self._server: ThreadingHTTPServer | None = None

    @property
    def port(self) -> int:
        """The port on which it listens, once it is started."""
        return int(self._server.server_address[1]) if self._server else self._settings.port

    def start(self, checks: Mapping[str, Check], status: Callable[[], Mapping[str, Any]]) -> None:
        """Bind the port and answer requests from now on; UnavailableError where the port is taken."""
        members = {"metrics": self._metrics, "checks": dict(checks), "status": staticmethod(status)}
        what = f"the status page cannot listen on {self._settings.host}:{self._settings.port}"
        with os_errors_as(UnavailableError, what, "choose another host or another port in [http]"):
            family, address = self._settings.place()
            server = type("Server", (ThreadingHTTPServer,), {"address_family": family})
            self._server = server(address, type("Handler", (_Handler,), members))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="status", daemon=True).start()

    def stop(self) -> None:
        """Give the port back."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class _Handler(BaseHTTPRequestHandler):
    metrics: Metrics
    checks: Mapping[str, Check]
    status: Callable[[], Mapping[str, Any]]
    timeout = REQUEST_SECONDS

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._answer(200, CONTENT_TYPE_LATEST, self.metrics.text())
        elif path == "/healthz":
            troubles = {name: trouble for name, check in self.checks.items() if (trouble := check())}
            document = {"status": "degraded" if troubles else "ok", "troubles": troubles}
            self._answer(503 if troubles else 200, "application/json", json.dumps(document).encode())
        elif path == "/status":
            self._answer(200, "application/json", json.dumps(self.status()).encode())
        else:
            self._answer(404, "text/plain", b"there are /metrics, /healthz and /status\n")

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        """Return a server header that tells no versions."""
        return "rarefault"

    def log_message(self, format: str, *arguments: Any) -> None:
        """Keep no log of requests."""
