"""The outbox and the sinks that the settings name."""

from pathlib import Path

import pytest

from edge_runtime.alerts.events import SAMPLE
from edge_runtime.alerts.settings import MqttSection, SamplesSection, WebhookSection
from edge_runtime.station.open_outbox import make_sinks, open_outbox
from edge_runtime.station.settings import StationSection, StationSettings
from tests.support.sample_events import record


def settings(state: Path, **sections: object) -> StationSettings:
    return StationSettings(StationSection("north-7", state), **sections)


def test_each_section_is_a_sink_with_deliveries_of_its_own(tmp_path):
    pytest.importorskip("paho.mqtt", reason="the extra `station` is not installed")
    both = settings(tmp_path, mqtt=MqttSection("broker"), webhook=WebhookSection("https://hq.local/events"))
    assert [sink.name for sink in make_sinks(both)] == ["mqtt", "webhook"]
    outbox = open_outbox(both)
    outbox.commit(record(0))
    outbox.commit(record(1, kind=SAMPLE, size=10))
    assert (outbox.pending("mqtt"), outbox.pending("webhook")) == (1, 1)  # a sample is offered to nobody
    outbox.close()


def test_samples_are_offered_where_the_settings_say_so(tmp_path):
    outbox = open_outbox(settings(tmp_path, webhook=WebhookSection("http://h/"), samples=SamplesSection(send=True)))
    outbox.commit(record(1, kind=SAMPLE, size=10))
    assert outbox.pending("webhook") == 1
    outbox.close()


def test_without_sections_there_is_no_sink(tmp_path):
    assert make_sinks(settings(tmp_path)) == []
