"""The spool on a real disk: what waits in memory, what makes room, and who is told."""

import sqlite3
import subprocess

from edge_runtime.alerts.events import ALARM, HEARTBEAT, SAMPLE
from edge_runtime.alerts.outbox import DATABASE, Outbox
from edge_runtime.alerts.outbox_spool import OutboxSpool
from tests.support.outbox_disks import drain, fill
from tests.support.sample_events import record


def test_on_a_full_disk_alarms_wait_in_memory_and_are_written_in_order_when_there_is_room(small_disk):
    outbox = Outbox(small_disk, ["mqtt"])
    spool = OutboxSpool(outbox)
    assert spool.record(record(0, size=10_000))
    ballast = fill(small_disk)
    for number in range(1, 30):
        assert not spool.record(record(number, size=100_000))
    assert not spool.record(record(99, kind=HEARTBEAT))
    assert not spool.record(record(99, kind=SAMPLE, size=1000))
    assert (spool.waiting, spool.let_go) == (29, 2)
    assert outbox.next("mqtt").document["number"] == 0  # what was there can still be read and sent
    assert not spool.flush()
    ballast.unlink()
    assert not spool.flush()  # 29 pictures do not fit, but most of them do
    assert 0 < spool.waiting < 29
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    assert spool.flush()
    assert spool.waiting == 0
    assert [number for _, _, number in drain(outbox)] == list(range(30))
    outbox.close()
    with sqlite3.connect(small_disk / DATABASE) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


def test_on_a_full_disk_samples_make_room_for_an_alarm(small_disk):
    outbox = Outbox(small_disk, ["mqtt"])
    spool = OutboxSpool(outbox)
    for number in range(8):
        assert spool.record(record(number, kind=SAMPLE, size=150_000))
    fill(small_disk)
    assert spool.record(record(100, size=50_000))
    left = [entry.document["number"] for entry in outbox.recent(SAMPLE)]
    assert left == list(range(7, 7 - len(left), -1))  # the oldest went
    assert outbox.next("mqtt").document["number"] == 100
    outbox.close()


def test_where_no_more_files_fit_samples_make_room_too(small_disk):
    subprocess.run(["mount", "-o", "remount,nr_inodes=80", str(small_disk)], check=True)
    outbox = Outbox(small_disk, ["mqtt"])
    spool = OutboxSpool(outbox)
    number = 0
    while spool.record(record(number, kind=SAMPLE, size=10)):
        number += 1
    assert number > 20
    assert spool.record(record(100, size=10))
    outbox.close()


def test_on_a_full_disk_pictures_that_every_sink_has_make_room_once_the_samples_are_gone(small_disk):
    outbox = Outbox(small_disk, ["mqtt"])
    spool = OutboxSpool(outbox)
    for number in range(8):
        assert spool.record(record(number, size=150_000))
    for _ in range(6):
        outbox.delivered("mqtt", outbox.next("mqtt").seq)
    fill(small_disk)
    assert spool.record(record(100, size=50_000))
    kept = {entry.document["number"]: entry.pictures["frame"].exists() for entry in outbox.recent(ALARM)}
    assert kept[6] is kept[7] is kept[100] is True  # nobody has these yet
    assert kept[0] is False
    outbox.close()


def test_memory_is_bounded_by_giving_up_pictures_and_never_alarms(outbox, tmp_path):
    with sqlite3.connect(tmp_path / DATABASE) as database:
        database.execute("CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    spool = OutboxSpool(outbox, memory_bytes=250)
    for number in range(5):
        spool.record(record(number, size=100))
    with database:
        database.execute("DROP TRIGGER full")
    database.close()
    assert spool.flush()
    entries = sorted(outbox.recent(ALARM), key=lambda entry: entry.seq)
    assert [(entry.document["number"], len(entry.pictures)) for entry in entries] == [
        (0, 0),
        (1, 0),
        (2, 0),
        (3, 1),
        (4, 1),
    ]


def test_who_waits_for_commits_is_told(outbox):
    told: list[int] = []
    spool = OutboxSpool(outbox, on_commit=lambda: told.append(outbox.pending("mqtt")))
    spool.record(record(0))
    assert told == [1]
