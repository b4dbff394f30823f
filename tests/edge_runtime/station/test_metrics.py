"""Metrics as Prometheus would read them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.sample_events import record

pytest.importorskip("prometheus_client", reason="the extra `station` is not installed")

from prometheus_client.parser import text_string_to_metric_families

from edge_runtime.alerts.outbox import Outbox
from edge_runtime.alerts.outbox_spool import OutboxSpool
from edge_runtime.station.metrics import Metrics
from edge_runtime.station.self_test import FAULT, FRAME


@dataclass
class Status:
    """Metrics with an outbox behind them, and the trouble of a sink that they should tell."""

    metrics: Metrics
    outbox: Outbox
    spool: OutboxSpool
    trouble: str = ""

    def samples(self) -> dict[str, float]:
        """`name{label=value}` -> value of everything in the text."""
        found = {}
        for family in text_string_to_metric_families(self.metrics.text().decode()):
            for sample in family.samples:
                labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
                found[f"{sample.name}{{{labels}}}"] = sample.value
        return found


@pytest.fixture
def status(tmp_path: Path) -> Iterator[Status]:
    outbox = Outbox(tmp_path, ["mqtt"])
    made = Status(Metrics(), outbox, OutboxSpool(outbox))
    made.metrics.watch(outbox, made.spool, {"mqtt": lambda: made.trouble})
    yield made
    outbox.close()


def test_every_promised_name_is_there_once_it_was_fed(status):
    status.metrics.frames_evaluated.labels("yard").inc(3)
    status.metrics.frames_dropped.labels("yard").inc()
    status.metrics.blind_seconds.labels("yard", "frozen").inc(12.5)
    status.metrics.events.labels("yard", "rust").inc()
    status.metrics.infer_seconds.observe(0.03)
    status.metrics.count_test("yard", FRAME, True)
    status.metrics.count_test("yard", FAULT, False)
    status.metrics.set_model("colours", "1", "a" * 64)
    status.metrics.set_model("colours", "2", "b" * 64)
    samples = status.samples()
    assert samples["rarefault_frames_evaluated_total{camera=yard}"] == 3
    assert samples["rarefault_frames_dropped_total{camera=yard}"] == 1
    assert samples["rarefault_blind_seconds_total{camera=yard,cause=frozen}"] == 12.5
    assert samples["rarefault_events_total{camera=yard,label=rust}"] == 1
    assert samples["rarefault_frame_tests_total{camera=yard,result=arrived}"] == 1
    assert samples["rarefault_test_alarms_total{camera=yard,result=failed}"] == 1
    assert samples["rarefault_infer_seconds_bucket{le=0.05}"] == 1
    assert samples["rarefault_infer_seconds_bucket{le=0.02}"] == 0
    assert samples["rarefault_model_info{digest=bbbbbbbbbbbb,name=colours,version=2}"] == 1
    assert not any("version=1" in name for name in samples)
    assert all(name.startswith("rarefault_") for name in samples)


def test_the_tests_of_a_camera_begin_at_zero_so_that_the_first_failure_is_an_increase(status):
    status.metrics.expect_tests(["yard"])
    zeros = {name: value for name, value in status.samples().items() if "tests_total" in name or "alarms_total" in name}
    assert zeros == {
        "rarefault_frame_tests_total{camera=yard,result=arrived}": 0,
        "rarefault_frame_tests_total{camera=yard,result=failed}": 0,
        "rarefault_test_alarms_total{camera=yard,result=raised}": 0,
        "rarefault_test_alarms_total{camera=yard,result=failed}": 0,
    }
    status.metrics.count_test("yard", FRAME, False)
    assert status.samples()["rarefault_frame_tests_total{camera=yard,result=failed}"] == 1


def test_what_waits_is_read_at_each_scrape(status):
    assert status.samples()["rarefault_outbox_pending{sink=mqtt}"] == 0
    for number in range(3):
        status.spool.record(record(number))
    status.outbox.park("mqtt", status.outbox.next("mqtt").seq, "bad")
    samples = status.samples()
    assert samples["rarefault_outbox_pending{sink=mqtt}"] == 2
    assert samples["rarefault_outbox_parked{sink=mqtt}"] == 1
    assert samples["rarefault_alarms_in_memory{}"] == 0
    assert samples["rarefault_sink_up{sink=mqtt}"] == 1
    status.trouble = "away"
    assert status.samples()["rarefault_sink_up{sink=mqtt}"] == 0


def test_an_outbox_that_cannot_be_read_leaves_its_figures_out(status):
    status.outbox.close()
    samples = status.samples()
    assert "rarefault_alarms_in_memory{}" in samples
    assert not any("outbox" in name for name in samples)
