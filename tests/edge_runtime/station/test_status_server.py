"""The status page over HTTP, as Prometheus and a watchdog would ask."""

import http.client
import json
from collections.abc import Iterator

import pytest

pytest.importorskip("prometheus_client", reason="the extra `station` is not installed")

from edge_runtime.bundle.errors import UnavailableError
from edge_runtime.station.metrics import Metrics
from edge_runtime.station.settings import HttpSection
from edge_runtime.station.status_server import StatusServer


class Status:
    """A server, and the troubles that its checks should tell."""

    def __init__(self) -> None:
        self.metrics, self.troubles = Metrics(), {"mqtt": "", "disk": ""}
        self.server = StatusServer(HttpSection(port=0), self.metrics)
        checks = {name: lambda name=name: self.troubles[name] for name in self.troubles}
        self.server.start(checks, lambda: {"station": "north-7"})

    @property
    def port(self) -> int:
        return self.server.port

    def get(self, path: str, method: str = "GET") -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request(method, path)
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return response.status, text


@pytest.fixture
def status() -> Iterator[Status]:
    made = Status()
    yield made
    made.server.stop()


def test_metrics_are_their_text(status):
    status.metrics.frames_evaluated.labels("yard").inc()
    code, text = status.get("/metrics")
    assert (code, 'rarefault_frames_evaluated_total{camera="yard"} 1.0' in text) == (200, True)


def test_a_server_that_was_never_started_can_be_stopped():
    StatusServer(HttpSection(port=0), Metrics()).stop()


def test_health_is_200_or_503_with_reasons(status):
    assert status.get("/healthz") == (200, json.dumps({"status": "ok", "troubles": {}}))
    status.troubles["mqtt"] = "the broker is not connected"
    code, text = status.get("/healthz")
    assert code == 503
    assert json.loads(text) == {"status": "degraded", "troubles": {"mqtt": "the broker is not connected"}}


@pytest.mark.parametrize(
    ("path", "method", "code"), [("/", "GET", 404), ("/../etc/passwd", "GET", 404), ("/metrics", "POST", 501)]
)
def test_there_is_nothing_else(status, path, method, code):
    assert status.get(path, method)[0] == code


def test_a_taken_port_is_a_sentence(status):
    with pytest.raises(UnavailableError, match=rf"cannot listen on 127.0.0.1:{status.port} .*another port in \[http\]"):
        StatusServer(HttpSection(port=status.port), status.metrics).start({}, dict)


def test_the_status_of_the_cameras_is_told_as_json(status):
    assert status.get("/status") == (200, '{"station": "north-7"}')
    assert "/status" in status.get("/")[1]


def test_an_ipv6_address_can_be_listened_on():
    server = StatusServer(HttpSection("::1", 0), Metrics())
    server.start({}, lambda: {})
    connection = http.client.HTTPConnection("::1", server.port, timeout=10)
    connection.request("GET", "/status")
    assert connection.getresponse().read() == b"{}"
    connection.close()
    server.stop()


def test_a_host_that_is_none_of_this_device_is_a_sentence():
    with pytest.raises(UnavailableError, match=r"the status page cannot listen on nobody.invalid:0 .*in \[http\]"):
        StatusServer(HttpSection("nobody.invalid", 0), Metrics()).start({}, lambda: {})
