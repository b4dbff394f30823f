"""The ledger of a running service: a disk that refuses, and the report in the morning."""

import json
import time

import pytest

from edge_runtime.causes import Cause
from edge_runtime.clock import Instant
from edge_runtime.delays import LEDGER_SECONDS
from edge_runtime.watchlog.ledger_query import ledger_path, read_night_of
from edge_runtime.watchlog.ledger_writer import LedgerWriter


@pytest.fixture
def clock(monkeypatch):
    """Sets the wall clock's local time of day, `2026-11-23T<time>`."""

    def set_to(moment: str, day: str = "2026-11-23") -> None:
        real = time.strftime
        told = {"%Y-%m-%d": day, "%H:%M": moment}
        monkeypatch.setattr(time, "strftime", lambda form, *rest: told.get(form) or real(form, *rest))

    return set_to


def test_what_the_disk_refused_is_written_once_it_takes_it(tmp_path, caplog):
    now = time.monotonic()
    state = tmp_path / "state"
    state.write_text("in the way")
    writer = LedgerWriter(state, "north-7", ["yard"], "07:00")
    writer.open(now)
    for second in range(5):
        writer.note({"yard": (Cause.FROZEN, now + 1)}, now + 1 + second)
    assert len([r for r in caplog.records if r.levelname == "ERROR"]) == 1
    state.unlink()
    writer.note({"yard": (Cause.FROZEN, now + 1)}, now + LEDGER_SECONDS)
    writer.close(now + LEDGER_SECONDS + 5)
    later = Instant(now + LEDGER_SECONDS + 5, time.time())
    (interval,) = read_night_of(ledger_path(state), 60, later, at_work=True).blind
    assert interval.cause is Cause.FROZEN


def test_the_report_comes_once_a_day_at_its_hour(tmp_path, clock, caplog):
    caplog.set_level("INFO")
    now = time.monotonic()
    clock("06:57")
    writer = LedgerWriter(tmp_path, "north-7", ["yard"], "07:00")
    writer.open(now)
    for second, moment in enumerate(["06:58", "06:59", "07:00", "07:00", "07:01", "23:59"]):
        clock(moment)
        writer.tick(now + second)
    assert sorted(path.name for path in ledger_path(tmp_path).parent.glob("night-*")) == [
        "night-2026-11-23.html",
        "night-2026-11-23.json",
    ]
    assert len([r for r in caplog.records if r.message.startswith("watched ")]) == 1
    clock("07:00", day="2026-11-24")
    writer.tick(now + 7)
    document = json.loads((ledger_path(tmp_path).parent / "night-2026-11-24.json").read_text())
    assert list(document["cameras"]) == ["yard"]


def test_a_service_that_starts_after_the_hour_waits_for_the_next_day(tmp_path, clock):
    clock("07:30")
    now = time.monotonic()
    writer = LedgerWriter(tmp_path, "north-7", ["yard"], "07:00")
    writer.open(now)
    writer.tick(now)
    assert not list(ledger_path(tmp_path).parent.glob("night-*"))
