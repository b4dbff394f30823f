"""Prometheus metrics of a station, and the loopback server for them and for `/healthz`. Needs the extra `station`."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily

from ..alerts.outbox import PARKED, PENDING, Outbox
from ..alerts.outbox_spool import OutboxSpool
from ..bundle.errors import UnavailableError
from .settings import HttpSection

INFER_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)  # upper bounds of the histogram
REQUEST_SECONDS = 5.0  # a client that is slower is hung up on

Check = Callable[[], str]
"""Empty where all is well, else a sentence."""


class Metrics:
    """Counters that the service feeds. All names start with `rarefault_`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        camera = ("camera",)
        self.frames_evaluated = self._counter("frames_evaluated", "Frames that got a verdict", camera)
        self.frames_dropped = self._counter("frames_dropped", "Frames passed over because newer ones came", camera)
        self.blind_seconds = self._counter("blind_seconds", "Seconds not evaluated, by cause", ("camera", "cause"))
        self.events = self._counter("events", "Alarms raised", ("camera", "label"))
        self.test_alarms = self._counter("test_alarms", "Test alarms, by what became of them", ("camera", "result"))
        self.infer_seconds = Histogram(
            "rarefault_infer_seconds", "Inference of one frame", buckets=INFER_SECONDS, registry=self.registry
        )
        self._model = Gauge(
            "rarefault_model_info", "The model at work", ("name", "version", "digest"), registry=self.registry
        )

    def set_model(self, name: str, version: str, digest: str) -> None:
        """The model at work; the one before is forgotten."""
        self._model.clear()
        self._model.labels(name, version, digest[:12]).set(1)

    def watch(self, outbox: Outbox, recorder: OutboxSpool, sinks: Mapping[str, Check]) -> None:
        """Also tell what waits in the outbox and in memory, and the trouble of each sink, read at each scrape."""
        self.registry.register(_Waiting(outbox, recorder, sinks))

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return bytes(generate_latest(self.registry))

    def _counter(self, name: str, meaning: str, labels: tuple[str, ...]) -> Any:
        return Counter(f"rarefault_{name}", meaning, labels, registry=self.registry)  # it appends _total


class _Waiting:
    """What the outbox holds for each sink. A disk that fails leaves the figures out, not a wrong zero."""

    def __init__(self, outbox: Outbox, recorder: OutboxSpool, sinks: Mapping[str, Check]) -> None:
        self._outbox, self._recorder, self._sinks = outbox, recorder, sinks

    def collect(self) -> Iterable[Any]:
        """Called by the registry."""
        memory = GaugeMetricFamily("rarefault_alarms_in_memory", "Alarms that the disk has not taken yet")
        memory.add_metric([], self._recorder.waiting)
        yield memory
        up = GaugeMetricFamily("rarefault_sink_up", "1 where everything reaches the sink", labels=["sink"])
        for sink, trouble in self._sinks.items():
            up.add_metric([sink], float(not trouble()))
        yield up
        for state, count in ((PENDING, self._outbox.pending), (PARKED, self._outbox.parked)):
            family = GaugeMetricFamily(f"rarefault_outbox_{state}", f"Events {state} for a sink", labels=["sink"])
            with contextlib.suppress(UnavailableError):
                for sink in self._sinks:
                    family.add_metric([sink], count(sink))
                yield family


class StatusServer:
    """`GET /metrics` and `GET /healthz` on the loopback address, in threads of its own.

    /healthz answers 200, or 503 with the sentences of the checks that fail. A check should tell what a restart may
    mend; a broker that is away is not of that kind, and has a metric.
    """

    def __init__(self, settings: HttpSection, metrics: Metrics, checks: Mapping[str, Check]) -> None:
        """Bind the port; UnavailableError where it is taken."""
        handler = type("Handler", (_Handler,), {"metrics": metrics, "checks": dict(checks)})
        try:
            self._server = ThreadingHTTPServer((settings.host, settings.port), handler)
        except OSError as error:
            raise UnavailableError(
                f"the status page cannot listen on {settings.host}:{settings.port} ({error.strerror}); "
                "choose another port in [http]"
            ) from error
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="status", daemon=True)

    @property
    def port(self) -> int:
        """The one it listens on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Answer requests from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Give the port back."""
        if self._thread.ident is not None:
            self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    metrics: Metrics
    checks: Mapping[str, Check]
    timeout = REQUEST_SECONDS

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._answer(200, CONTENT_TYPE_LATEST, self.metrics.text())
        elif path == "/healthz":
            troubles = {name: trouble for name, check in self.checks.items() if (trouble := check())}
            document = {"status": "degraded" if troubles else "ok", "troubles": troubles}
            self._answer(503 if troubles else 200, "application/json", json.dumps(document).encode())
        else:
            self._answer(404, "text/plain", b"there are /metrics and /healthz\n")

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        """No versions to strangers."""
        return "rarefault"

    def log_message(self, format: str, *arguments: Any) -> None:
        """Requests are not news."""
