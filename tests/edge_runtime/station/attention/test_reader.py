"""The service's side of the attention list: what it sees of a list that the page writes, and what it bears."""

import logging
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edge_runtime.clock import instant
from edge_runtime.durable_sqlite import set_aside
from edge_runtime.station.attention.attention import ALL_LABELS, DATABASE, HOUR, NOTHING, Attention
from edge_runtime.station.attention.reader import AttentionReader


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[AttentionReader]:
    with closing(AttentionReader(tmp_path)) as made:
        yield made


@pytest.fixture
def attention(tmp_path: Path) -> Iterator[Attention]:
    with closing(Attention(tmp_path)) as made:
        yield made


def test_without_a_list_nothing_holds_and_none_is_made(reader, tmp_path):
    assert reader.tick(instant()) == NOTHING
    assert reader.marks("yard", "rust") == {}
    assert list(tmp_path.iterdir()) == []


def test_what_the_page_writes_is_seen_at_the_next_look_and_again_when_it_is_taken_back(reader, attention):
    until = time.time() + HOUR
    for _ in range(2):
        assert reader.tick(instant()) == NOTHING
        attention.maintenance("yard", until, "anna")
        assert reader.tick(instant()).maintenance["yard"].until == pytest.approx(until)
        attention.undo("anna")
    assert reader.tick(instant()) == NOTHING


def test_it_ends_by_itself_without_anybody_writing(reader, attention):
    attention.snooze("yard", "rust", time.time() + 60, "anna")
    now = instant()
    assert reader.tick(now).snoozes
    assert reader.tick(instant(now.monotonic + 61)) == NOTHING


def test_an_alarm_bears_both_marks_with_their_ends_and_names(reader, attention):
    until = 10 * (time.time() // 10) + HOUR
    attention.maintenance("yard", until, "anna")
    attention.snooze("yard", ALL_LABELS, until, "bo")
    reader.tick(instant())
    marks = reader.marks("yard", "rust")
    assert list(marks) == ["maintenance", "snoozed"]
    assert (marks["maintenance"]["by"], marks["snoozed"]["by"]) == ("anna", "bo")
    assert marks["maintenance"]["until"] == time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(until))
    assert reader.marks("gate", "rust") == {}


def test_a_list_that_becomes_unreadable_is_said_once_and_what_was_known_holds_on(reader, attention, tmp_path, caplog):
    attention.maintenance("yard", time.time() + HOUR, "anna")
    reader.tick(instant())
    attention.close()
    set_aside(tmp_path / DATABASE)
    (tmp_path / DATABASE).write_bytes(b"no database at all, but a text that is long enough" * 100)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            assert "yard" in reader.tick(instant()).maintenance
    assert caplog.text.count("cannot be read") == 1
    (tmp_path / DATABASE).unlink()
    with closing(Attention(tmp_path)) as anew:
        assert reader.tick(instant()) == NOTHING
        anew.maintenance("gate", time.time() + HOUR, "bo")
        assert set(reader.tick(instant()).maintenance) == {"gate"}


def test_a_look_at_a_list_that_has_not_changed_costs_next_to_nothing(reader, attention):
    for number in range(50):
        attention.maintenance(f"camera-{number}", time.time() + HOUR, "anna")
    reader.tick(instant())
    began = time.process_time()
    for _ in range(100):
        reader.tick(instant())
    assert (time.process_time() - began) / 100 < 0.01
