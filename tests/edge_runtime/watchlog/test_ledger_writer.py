"""The ledger of a running service: a disk that refuses, and the report in the morning."""

import json
import resource
import time

from edge_runtime.causes import Cause
from edge_runtime.clock import Instant
from edge_runtime.delays import LEDGER_SECONDS
from edge_runtime.watchlog.ledger_query import ledger_path, read_night_of
from edge_runtime.watchlog.ledger_writer import LedgerWriter


class LocalTime:
    """The local time that a test sets: a day, and hours and minutes."""

    day, moment = "2026-11-23", "12:00"

    def __call__(self, form: str) -> str:
        return {"%Y-%m-%d": self.day, "%H:%M": self.moment}[form]


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


def test_a_full_disk_is_told_once_although_a_beat_that_is_not_due_succeeds(tmp_path, caplog):
    now = time.monotonic()
    writer = LedgerWriter(tmp_path, "north-7", ["yard"], "07:00", LocalTime())
    writer.open(now)
    causes = [Cause.FROZEN, Cause.BLACK]
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))  # no file may grow beyond a byte
    try:
        for second in range(30):
            writer.note({"yard": (causes[second % 2], now)}, now + second)
            writer.tick(now + second)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert [r.levelname for r in caplog.records] == ["ERROR"]
    assert "free or check the disk" in writer.trouble
    writer.note({"yard": (Cause.COVERED, now)}, now + 31)
    assert [r.message for r in caplog.records][1:] == ["the disk takes the ledger again"]
    assert writer.trouble == ""
    writer.close(now + 32)


def test_the_report_comes_once_a_day_at_its_hour(tmp_path, caplog):
    caplog.set_level("INFO")
    now = time.monotonic()
    clock = LocalTime()
    clock.moment = "06:57"
    writer = LedgerWriter(tmp_path, "north-7", ["yard"], "07:00", clock)
    writer.open(now)
    for second, moment in enumerate(["06:58", "06:59", "07:00", "07:00", "07:01", "23:59"]):
        clock.moment = moment
        writer.tick(now + second)
    assert sorted(path.name for path in ledger_path(tmp_path).parent.glob("night-*")) == [
        "night-2026-11-23.html",
        "night-2026-11-23.json",
    ]
    assert len([r for r in caplog.records if r.message.startswith("watched ")]) == 1
    clock.day, clock.moment = "2026-11-24", "07:00"
    writer.tick(now + 7)
    document = json.loads((ledger_path(tmp_path).parent / "night-2026-11-24.json").read_text())
    assert list(document["cameras"]) == ["yard"]


def test_a_service_that_starts_after_the_hour_waits_for_the_next_day(tmp_path):
    clock, now = LocalTime(), time.monotonic()
    clock.moment = "07:30"
    writer = LedgerWriter(tmp_path, "north-7", ["yard"], "07:00", clock)
    writer.open(now)
    writer.tick(now)
    assert not list(ledger_path(tmp_path).parent.glob("night-*"))
