"""Writing a ledger on hand numbers: causes, beats, what is forgotten, a process that is killed, a disk that is full."""

import contextlib
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
from edge_runtime.watchlog.ledger import BEAT_SECONDS, Ledger
from edge_runtime.watchlog.ledger_query import read_night_of
from tests.support import ROOT
from tests.support.ledger_nights import at, blind


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
    with contextlib.closing(sqlite3.connect(path)) as base:
        beat = base.execute("SELECT beat FROM run").fetchone()
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
    base = sqlite3.connect(tmp_path / "ledger.sqlite3", isolation_level=None)
    base.execute("CREATE TRIGGER full BEFORE INSERT ON blind BEGIN SELECT raise(ABORT, 'full'); END")
    with pytest.raises(UnavailableError, match="free or check the disk"):
        ledger.note({"one": (Cause.BLACK, at(1).monotonic)}, at(1))
    base.execute("DROP TRIGGER full")
    base.close()
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
