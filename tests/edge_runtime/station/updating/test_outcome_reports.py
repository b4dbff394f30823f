"""Outcomes of updates as events: each once, whatever is restarted, and none lost on a disk that was full."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("prometheus_client", reason="the extra `station` is not installed")

from edge_runtime.alerts.alarm_rules import AlarmRules
from edge_runtime.alerts.events import UPDATE, Reporter
from edge_runtime.alerts.outbox import Outbox
from edge_runtime.alerts.outbox_spool import OutboxSpool
from edge_runtime.alerts.sample_selection import SampleSelector
from edge_runtime.alerts.settings import SamplesSection
from edge_runtime.bundle.store import open_bundle
from edge_runtime.clock import Clock, iso
from edge_runtime.station.metrics import Metrics
from edge_runtime.station.updating.outcome_reports import OutcomeReports, alarms_of_the_last_day
from edge_runtime.updates.errors import Reason
from edge_runtime.updates.state import Stage, UpdateState
from edge_runtime.updates.trusted_repository import Release
from tests.support.sample_events import record

FIRST, SECOND = (Release(number, str(number) * 64, "colours", str(number), "all") for number in (1, 2))


class Station:
    """An outbox, and the reports of a service that was started anew."""

    def __init__(self, folder: Path, packed: Path) -> None:
        self.outbox, self.metrics, self._packed = Outbox(folder, ["mqtt"]), Metrics(), packed

    def reports(self) -> OutcomeReports:
        spool, reporter = OutboxSpool(self.outbox), Reporter("north-7", open_bundle(self._packed))
        rules = AlarmRules({}, reporter, spool, Clock(), SampleSelector(SamplesSection()))
        return OutcomeReports(rules, self.metrics)

    def told(self) -> list[tuple[int, str, str, str]]:
        documents = [entry.document["update"] for entry in self.outbox.recent(UPDATE)][::-1]
        return [tuple(document[key] for key in ("release", "outcome", "reason", "detail")) for document in documents]


@pytest.fixture
def station(tmp_path, packed):
    made = Station(tmp_path, packed)
    yield made
    made.outbox.close()


def test_each_outcome_is_told_once_also_after_a_restart(station):
    committed = UpdateState().begun(FIRST).committed()
    failed = committed.begun(SECOND).failed(Reason.GOLDEN, "fp32 differs by 0.3")
    reports = station.reports()
    reports(committed)
    reports(committed)
    reports(failed)
    station.reports()(failed)
    assert station.told() == [(1, "committed", "", ""), (2, "failed", "golden", "fp32 differs by 0.3")]
    text = station.metrics.text().decode()
    assert 'rarefault_update_info{reason="golden",release="2",stage="failed"} 1.0' in text


def test_an_update_on_its_way_is_no_event(station):
    station.reports()(UpdateState().begun(FIRST).at(Stage.GOLDEN_OK))
    assert station.told() == []


def test_what_no_service_was_there_to_tell_is_told_at_the_next_start_oldest_first(station):
    state = UpdateState().begun(FIRST).failed(Reason.HASH, "a file").begun(SECOND).failed(Reason.LINK, "no link")
    station.reports()(state)
    assert [(release, reason) for release, _, reason, _ in station.told()] == [(1, "hash"), (2, "link")]


def test_alarms_of_the_last_day_are_counted_without_tests(station):
    def alarm(number: int, hours: float, test: bool = False) -> None:
        made = record(number)
        document = {**made.document, "recorded": iso(time.time() - hours * 3600), "test": test}
        station.outbox.commit(replace(made, document=document))

    alarm(1, 0.5)
    alarm(2, 23.9)
    alarm(3, 24.1)
    alarm(4, 1, test=True)
    assert alarms_of_the_last_day(station.outbox) == 2
