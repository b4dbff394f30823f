"""Reading a ledger on hand numbers: runs that died, reboots, and clocks that stepped."""

import pytest

from edge_runtime.causes import Cause
from edge_runtime.clock import Instant
from edge_runtime.durable_sqlite import open_database
from edge_runtime.watchlog.ledger import SCHEMA, VERSION, Ledger
from edge_runtime.watchlog.ledger_query import read_night_of
from edge_runtime.watchlog.report import to_html, watched_share
from tests.support.ledger_nights import at


def test_an_interval_that_is_still_open_counts_until_now_and_the_window_cuts(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite3", at(0))
    ledger.watch(["one"], at(0))
    ledger.note({"one": (Cause.BLACK, at(2).monotonic)}, at(2))
    night = ledger.night(3600, at(4))
    assert [interval.seconds for interval in night.blind] == [3600]
    assert night.due == {"one": 3600}
    assert watched_share(night) == 0
    ledger.close(at(4))


def test_time_between_two_runs_of_one_boot_is_not_running_by_the_monotonic_clock(tmp_path):
    path = tmp_path / "ledger.sqlite3"
    first = Ledger(path, at(0), boot="a")
    first.watch(["one"], at(0))
    first.beat(at(1))
    first.note({"one": (Cause.BLACK, at(1.5).monotonic)}, at(1.5))  # then the power of the process is cut
    stepped = at(3, offset=-10 * 365 * 86400)
    second = Ledger(path, stepped, boot="a")
    second.watch(["one"], stepped)
    night = second.night(4 * 3600, at(4, offset=-10 * 365 * 86400))
    assert [(i.cause, i.seconds, i.estimated) for i in night.blind] == [(Cause.NOT_RUNNING, 2 * 3600, False)]
    assert night.due == {"one": 4 * 3600}
    second.close(at(4))


@pytest.mark.parametrize(("wall_gap", "told"), [(1800.0, 1800.0), (-5000.0, 0.0)])
def test_across_a_reboot_the_wall_clock_tells_and_the_report_says_about(tmp_path, wall_gap, told):
    path = tmp_path / "ledger.sqlite3"
    first = Ledger(path, at(0), boot="a")
    first.watch(["one"], at(0))
    first.close(at(1))
    booted = Instant(20.0, at(1).wall + wall_gap)
    second = Ledger(path, booted, boot="b")
    second.watch(["one"], booted)
    night = second.night(12 * 3600, Instant(3620.0, booted.wall + 3600))
    assert [(i.cause, i.seconds, i.estimated) for i in night.blind] == (
        [(Cause.NOT_RUNNING, told, True)] if told else []
    )
    assert night.due["one"] == pytest.approx(7200 + told)
    assert ("about 30 min" in to_html(night, "north")) is bool(told)
    second.close(Instant(3620.0, booted.wall + 3600))


@pytest.mark.parametrize("step", [3600.0, -3600.0, 10 * 365 * 86400.0, -10 * 365 * 86400.0])
def test_a_step_of_the_wall_clock_changes_no_duration(tmp_path, step):
    ledger = Ledger(tmp_path / "ledger.sqlite3", at(0))
    ledger.watch(["one"], at(0))
    ledger.note({"one": (Cause.FROZEN, at(1).monotonic)}, at(1))
    ledger.note({"one": (None, at(2).monotonic)}, at(2, offset=step))
    night = ledger.night(3 * 3600, at(3, offset=step))
    assert [interval.seconds for interval in night.blind] == [3600]
    ledger.close(at(3, offset=step))


def test_a_service_that_stopped_does_not_watch(tmp_path):
    path = tmp_path / "ledger.sqlite3"
    ledger = Ledger(path, at(0))
    ledger.watch(["yard"], at(0))
    ledger.close(at(2))
    (gap,) = read_night_of(path, 4 * 3600, at(4), at_work=False).blind
    assert (gap.cause, gap.seconds) == (Cause.NOT_RUNNING, 2 * 3600)
    assert read_night_of(path, 4 * 3600, at(4), at_work=True).blind == ()


def test_a_device_that_restarted_without_the_service_tells_by_the_wall_clock(tmp_path):
    path = tmp_path / "ledger.sqlite3"
    ledger = Ledger(path, at(0), boot="the one before")
    ledger.watch(["yard"], at(0))
    ledger.close(at(2))
    (gap,) = read_night_of(path, 4 * 3600, Instant(60.0, at(5).wall), at_work=False).blind
    assert (gap.cause, gap.seconds) == (Cause.NOT_RUNNING, 3 * 3600)


def test_a_ledger_before_the_first_run_is_an_empty_night(tmp_path):
    path = tmp_path / "ledger.sqlite3"
    open_database(path, SCHEMA, VERSION, repair=True).close()
    night = read_night_of(path, 3600, at(0), at_work=True)
    assert (night.due, night.blind) == ({}, ())


def test_watched_blind_and_maintenance_add_up_to_what_was_due_where_a_run_was_killed(tmp_path):
    path = tmp_path / "ledger.sqlite3"
    first = Ledger(path, at(0), boot="a")
    first.watch(["one"], at(0))
    first.note({"one": (Cause.FROZEN, at(-0.1).monotonic)}, at(0))  # before anybody was to watch it
    first.note({"one": (None, at(0.2).monotonic)}, at(0.2))
    first.beat(at(1))
    first.note({"one": (Cause.MAINTENANCE, at(0.9).monotonic)}, at(1.1))
    first.note({"one": (Cause.BLACK, at(1.2).monotonic)}, at(1.2))
    first.note({"one": (None, at(1.3).monotonic)}, at(1.3))  # then it is killed, an hour before the next run
    second = Ledger(path, at(2), boot="a")
    second.watch(["one"], at(2))
    night = second.night(10 * 3600, at(3))
    told = [(i.cause, round(i.seconds / 3600, 3)) for i in (*night.blind, *night.maintenance)]
    assert told == [(Cause.FROZEN, 0.2), (Cause.NOT_RUNNING, 1.0), (Cause.MAINTENANCE, 0.1)]
    assert night.due["one"] == pytest.approx(2.9 * 3600)
    assert watched_share(night) == pytest.approx(1.7 / 2.9)
    second.close(at(3))
