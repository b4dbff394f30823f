"""Prometheus metrics of a station. Needs the extra `station`."""

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from ..alerts.outbox import PARKED, PENDING, Outbox
from ..alerts.outbox_spool import OutboxSpool
from ..bundle.errors import UnavailableError
from .self_test import FRAME

VERDICT_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0)  # upper bounds of the histograms
INFER_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)

Check = Callable[[], str]
"""A function that returns a sentence about what is wrong, empty where all is well."""


class Metrics:
    """Counters that the service feeds. All names start with `rarefault_`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        camera = ("camera",)
        self.frames_evaluated = self._counter("frames_evaluated", "Frames that got a verdict", camera)
        self.frames_dropped = self._counter("frames_dropped", "Frames passed over because newer ones came", camera)
        self.blind_seconds = self._counter("blind_seconds", "Seconds not evaluated, by cause", ("camera", "cause"))
        self.maintenance_seconds = self._counter("maintenance_seconds", "Seconds under maintenance", camera)
        self.events = self._counter("events", "Alarms raised", ("camera", "label"))
        self.test_alarms = self._counter("test_alarms", "Test alarms, raised or failed", ("camera", "result"))
        self.frame_tests = self._counter("frame_tests", "Marked frames, arrived or failed", ("camera", "result"))
        self.infer_seconds = Histogram(
            "rarefault_infer_seconds", "Inference of one frame", buckets=INFER_SECONDS, registry=self.registry
        )
        self.verdict_seconds = Histogram(
            "rarefault_verdict_seconds",
            "From the capture of a frame to its verdict",
            buckets=VERDICT_SECONDS,
            registry=self.registry,
        )
        self.camera_drift = Gauge(
            "rarefault_camera_drift",
            "1 where pictures or scores have left their range",
            camera,
            registry=self.registry,
        )
        self._model = Gauge(
            "rarefault_model_info", "The model at work", ("name", "version", "digest"), registry=self.registry
        )
        self._update = Gauge(
            "rarefault_update_info", "The newest update", ("stage", "release", "reason"), registry=self.registry
        )

    def set_update(self, stage: str, release: int | None, reason: str) -> None:
        """Show how far the newest update of the model has come, and why it failed where it did."""
        self._update.clear()
        self._update.labels(stage, "" if release is None else str(release), reason).set(1)

    def set_model(self, name: str, version: str, digest: str) -> None:
        """Show the model at work in the place of the one before."""
        self._model.clear()
        self._model.labels(name, version, digest[:12]).set(1)

    def expect_tests(self, cameras: Iterable[str]) -> None:
        """Show zero tests of each of `cameras`: `increase()` of Prometheus does not see a series begin at 1."""
        for camera in cameras:
            for result in ("arrived", "failed"):
                self.frame_tests.labels(camera, result)
            for result in ("raised", "failed"):
                self.test_alarms.labels(camera, result)

    def count_test(self, camera: str, kind: str, passed: bool) -> None:
        """Count a self test of FRAME or FAULT."""
        if kind == FRAME:
            self.frame_tests.labels(camera, "arrived" if passed else "failed").inc()
        else:
            self.test_alarms.labels(camera, "raised" if passed else "failed").inc()

    def watch(self, outbox: Outbox, spool: OutboxSpool, sinks: Mapping[str, Check]) -> None:
        """Also show what waits in the outbox and in memory, and the trouble of each sink, read at each scrape."""
        self.registry.register(_Waiting(outbox, spool, sinks))

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return bytes(generate_latest(self.registry))

    def _counter(self, name: str, meaning: str, labels: tuple[str, ...]) -> Any:
        return Counter(f"rarefault_{name}", meaning, labels, registry=self.registry)  # it appends _total


class _Waiting:
    """Reads what the outbox holds for each sink. A disk that fails leaves the figures out, instead of a wrong zero."""

    def __init__(self, outbox: Outbox, spool: OutboxSpool, sinks: Mapping[str, Check]) -> None:
        self._outbox, self._spool, self._sinks = outbox, spool, sinks

    def collect(self) -> Iterable[Any]:
        """Yield the figures at each scrape, as the registry wants them."""
        waiting = "Alarms that the disk has not taken yet"
        yield GaugeMetricFamily("rarefault_alarms_in_memory", waiting, self._spool.waiting)
        lost = "Heartbeats and samples that found no room on the disk"
        yield CounterMetricFamily("rarefault_records_lost", lost, self._spool.let_go)
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
