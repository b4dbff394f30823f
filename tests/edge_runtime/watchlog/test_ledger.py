"""The ledger on hand numbers: blind time by cause, runs that died, clocks that stepped, and the night in words."""

import html.parser
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from edge_runtime.bundle.errors import UnavailableError
from edge_runtime.causes import Cause
from edge_runtime.clock import Instant
from edge_runtime.durable_sqlite import open_database
from edge_runtime.watchlog.ledger import BEAT_SECONDS, SCHEMA, VERSION, Ledger
from edge_runtime.watchlog.ledger_query import read_night_of
from edge_runtime.watchlog.report import log_line, to_html, to_json, watched_share
from tests.support import ROOT

MIDNIGHT = 1_700_000_000.0 - 1_700_000_000.0 % 86400


@pytest.fixture(autouse=True)
def _universal_time(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def at(hours: float, offset: float = 0.0) -> Instant:
    """`hours` after midnight; the monotonic clock began 1000 s before it."""
    return Instant(1000 + hours * 3600, MIDNIGHT + hours * 3600 + offset)


def blind(ledger, camera, cause, began, ended):
    ledger.note({camera: (cause, at(began).monotonic)}, at(began))
    ledger.note({camera: (None, at(ended).monotonic)}, at(ended))


def test_a_night_in_one_line(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite3", at(0))
    ledger.watch(["yard-1", "yard-2", "yard-3"], at(0))
    blind(ledger, "yard-3", Cause.FROZEN, 2 + 10 / 60, 3 + 40 / 60)
    blind(ledger, "yard-1", Cause.STALLED, 5, 5 + 6 / 60)
    night = ledger.night(8 * 3600, at(8))
    assert watched_share(night) == pytest.approx(1 - 1.6 / 24)
    assert log_line(night) == (
        "watched 93.3 % of camera time; yard-3 blind 02:10-03:40 (frozen); yard-1 blind 05:00-05:06 (stalled)"
    )
    document = json.loads(json.dumps(to_json(night)))
    assert document["cameras"]["yard-2"] == {"due_seconds": 28800.0, "watched_share": 1.0, "blind": []}
    assert document["cameras"]["yard-3"]["blind"] == [
        {"cause": "frozen", "began": MIDNIGHT + 7800, "seconds": 5400.0, "estimated": False}
    ]
    ledger.close(at(8))


def test_a_cause_that_was_found_late_begins_when_it_began_and_nothing_counts_twice(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite3", at(0))
    ledger.watch(["one"], at(0))
    ledger.note({"one": (Cause.STALLED, at(1).monotonic - 5)}, at(1))
    ledger.note({"one": (Cause.STALLED, at(1).monotonic - 5)}, at(1.5))  # no change, no row
    ledger.note({"one": (Cause.REFUSED, at(1).monotonic - 5)}, at(2))  # the same outage by its next name
    ledger.note({"one": (None, at(3).monotonic)}, at(3))
    night = ledger.night(4 * 3600, at(4))
    assert sum(interval.seconds for interval in night.blind) == pytest.approx(2 * 3600 + 5)
    assert {interval.cause for interval in night.blind} <= {Cause.STALLED, Cause.REFUSED}
    ledger.close(at(4))


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


KILLED = """
import sys, time
from pathlib import Path
from edge_runtime.causes import Cause
from edge_runtime.clock import Instant
from edge_runtime.watchlog.ledger import Ledger
def now(): return Instant(time.monotonic(), time.time())
ledger = Ledger(Path(sys.argv[1]), now())
ledger.watch(["one"], now())
count = 0
while True:
    ledger.note({"one": (Cause.BLACK if count % 2 else None, time.monotonic())}, now())
    ledger._write_beat(now())
    count += 1
    print(count, flush=True)
"""


def test_a_process_killed_at_any_moment_leaves_a_whole_ledger_with_all_it_had_said(tmp_path):
    path = tmp_path / "ledger.sqlite3"
    dice = random.Random(0)
    for _ in range(5):
        writer = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, cwd=ROOT)
        with writer:
            told = [int(writer.stdout.readline()) for _ in range(dice.randint(2, 60))][-1]
            os.kill(writer.pid, signal.SIGKILL)
        base = sqlite3.connect(path)
        assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        newest = base.execute("SELECT max(id) FROM run").fetchone()[0]
        rows = base.execute("SELECT count(*) FROM blind WHERE run = ?", (newest,)).fetchone()[0]
        base.close()
        assert rows >= told // 2
    night = read_night_of(path, 3600, Instant(time.monotonic(), time.time()), at_work=True)
    assert {interval.cause for interval in night.blind} <= {Cause.NOT_RUNNING, Cause.BLACK}
    assert night.due["one"] >= sum(interval.seconds for interval in night.blind)


def test_beats_are_few(tmp_path):
    path = tmp_path / "ledger.sqlite3"
    ledger = Ledger(path, at(0))
    ledger.watch(["one"], at(0))
    ledger.beat(Instant(1000 + BEAT_SECONDS - 1, 0))
    assert read_night_of(path, 60, at(0), at_work=False).due == {}
    ledger.beat(Instant(1000 + BEAT_SECONDS, 0))
    beat = ledger._base.execute("SELECT beat FROM run").fetchone()
    assert beat == (1000 + BEAT_SECONDS,)


def test_old_runs_and_old_intervals_are_forgotten_but_never_what_lasts(tmp_path):
    path = tmp_path / "ledger.sqlite3"
    for run in range(3):
        ledger = Ledger(path, at(run))
        ledger.watch(["one", "two"], at(run))
        ledger.note({"two": (Cause.REFUSED, at(run).monotonic)}, at(run))
        blind(ledger, "one", Cause.BLACK, run + 0.1, run + 0.2)
        blind(ledger, "one", Cause.FROZEN, run + 0.3, run + 0.4)
        if run < 2:
            ledger.close(at(run + 0.9))
    ledger.forget(intervals=1, runs=2)
    night = ledger.night(3 * 3600, at(3))
    causes = [(i.camera, i.cause) for i in night.blind if i.cause is not Cause.NOT_RUNNING]
    assert causes == [("one", Cause.FROZEN), ("two", Cause.REFUSED)]
    assert night.due["one"] == 2 * 3600  # the first of the three runs is gone
    ledger.close(at(3))


def test_a_full_disk_is_a_sentence_and_the_state_is_noted_when_there_is_room_again(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite3", at(0))
    ledger.watch(["one"], at(0))
    ledger.note({"one": (None, at(0).monotonic)}, at(0))
    ledger._base.execute("CREATE TEMP TRIGGER full BEFORE INSERT ON blind BEGIN SELECT raise(ABORT, 'full'); END")
    with pytest.raises(UnavailableError, match="free or check the disk"):
        ledger.note({"one": (Cause.BLACK, at(1).monotonic)}, at(1))
    ledger._base.execute("DROP TRIGGER full")
    ledger.note({"one": (Cause.BLACK, at(1).monotonic)}, at(2))
    assert [(i.cause, i.seconds) for i in ledger.night(3 * 3600, at(3)).blind] == [(Cause.BLACK, 7200)]
    ledger.close(at(3))


def test_a_damaged_ledger_is_set_aside(tmp_path):
    (tmp_path / "ledger.sqlite3").write_bytes(b"no database at all" * 100)
    ledger = Ledger(tmp_path / "ledger.sqlite3", at(0))
    assert ledger.night(60, at(0)).blind == ()
    assert len(list(tmp_path.glob("*.damaged-*"))) == 1
    ledger.close(at(0))


def test_a_ledger_that_cannot_be_is_a_sentence(tmp_path):
    with pytest.raises(UnavailableError, match="check the disk"):
        Ledger(tmp_path / "missing" / "ledger.sqlite3", at(0))
    with pytest.raises(UnavailableError, match="has the service run here"):
        read_night_of(tmp_path / "ledger.sqlite3", 60, at(0), at_work=True)


class Balanced(html.parser.HTMLParser):
    """Every tag that opens closes."""

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag != "meta":
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag


def test_the_page_is_whole_and_names_are_escaped(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite3", at(0))
    ledger.watch(["<b>&yard"], at(0))
    blind(ledger, "<b>&yard", Cause.COVERED, 1, 2)
    page = to_html(ledger.night(4 * 3600, at(4)), "north & <south>")
    ledger.close(at(4))
    reader = Balanced()
    reader.feed(page)
    assert reader.stack == []
    assert "<b>" not in page
    assert "<south>" not in page
    assert "left:25.00%;width:25.00%" in page
    assert "75.0 %" in page


def test_almost_all_is_not_rounded_to_all(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite3", at(0))
    ledger.watch(["one"], at(0))
    blind(ledger, "one", Cause.COVERED, 1, 1 + 2 / 3600)
    assert log_line(ledger.night(8 * 3600, at(8))).startswith("watched 99.9 %")
    ledger.close(at(8))


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


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_of_the_night_in_a_browser(tmp_path, opened, width):
    ledger = Ledger(tmp_path / "ledger.sqlite3", at(0))
    ledger.watch(["yard-with-a-rather-long-name", "gate"], at(1))
    blind(ledger, "gate", Cause.OVEREXPOSED, 2, 3)
    (tmp_path / "night.html").write_text(to_html(ledger.night(4 * 3600, at(4)), "north-7"))
    page = opened(tmp_path / "night.html", width)
    bars = page.eval_on_selector_all(
        ".bar span", "all => all.map(one => [one.className, one.style.left, one.style.width])"
    )
    watched = ["watched", "25%", "75%"]
    assert bars == [watched, ["blind", "50%", "25%"], watched]


def test_many_changes_are_one_commit(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite3", at(0))
    names = [f"camera-{number}" for number in range(48)]
    ledger.watch(names, at(0))
    commits = []
    ledger._base.set_trace_callback(lambda sql: commits.append(sql) if sql.startswith("COMMIT") else None)
    ledger.note(dict.fromkeys(names, (Cause.BLACK, at(1).monotonic)), at(1))
    ledger.note(dict.fromkeys(names, (Cause.BLACK, at(1).monotonic)), at(2))
    assert len(commits) == 1
    assert {(i.camera, i.seconds) for i in ledger.night(3 * 3600, at(3)).blind} == {(name, 7200) for name in names}
