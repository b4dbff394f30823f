"""The outbox on a real disk: order, budget, crashes, and a disk that is full."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from edge_runtime.alerts.events import ALARM, FEEDBACK, HEARTBEAT, SAMPLE, UPDATE
from edge_runtime.alerts.outbox import DATABASE, Budget, Outbox
from edge_runtime.bundle.errors import InputError, UnavailableError
from tests.support.outbox_disks import drain, fill
from tests.support.sample_events import record


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_alarms_come_before_updates_before_heartbeats_before_samples_each_in_order(outbox):
    for number, kind in enumerate([SAMPLE, HEARTBEAT, UPDATE, ALARM, SAMPLE, ALARM]):
        outbox.commit(record(number, kind=kind))
    numbers = [number for _, _, number in drain(outbox)]
    assert numbers == [3, 5, 2, 1, 0, 4]
    assert outbox.pending("webhook") == 6  # the other sink has its own deliveries


def test_a_camera_that_is_passed_over_does_not_hold_up_the_others(outbox):
    for number, camera in enumerate(["a", "b", "a"]):
        outbox.commit(record(number, camera))
    entry = outbox.next("mqtt", without_cameras=["a"])
    assert (entry.camera, entry.document["number"]) == ("b", 1)
    assert outbox.next("mqtt", without_cameras=["a"], without=[entry.seq]) is None


def test_only_the_newest_heartbeat_is_worth_sending(outbox):
    for number in range(3):
        outbox.commit(record(number, kind=HEARTBEAT))
    assert drain(outbox) == [("heartbeat", "", 2)]


def test_an_id_is_kept_once(outbox, tmp_path):
    twice = record(0, size=10)
    outbox.commit(twice)
    outbox.commit(twice)
    assert len(drain(outbox)) == 1
    assert files(tmp_path / "evidence") == [f"{twice.id}.frame.jpg"]


def test_what_was_committed_is_there_after_opening_again(outbox, tmp_path):
    kept = record(7, size=10)
    outbox.commit(kept)
    outbox.close()
    again = Outbox(tmp_path, ["mqtt"])
    entry = again.next("mqtt")
    again.close()
    assert entry.id == kept.id
    assert entry.pictures["frame"].read_bytes() == bytes(10)
    assert entry.document["pictures"]["frame"]["file"] == f"evidence/{kept.id}.frame.jpg"
    assert entry.document["pictures"]["frame"]["bytes"] == 10


def test_two_that_make_a_new_outbox_at_once_both_have_it(tmp_path):
    def made(number: int) -> int:
        outbox = Outbox(tmp_path / str(number // 4), ["mqtt"], repair=False)
        outbox.close()
        return number

    with ThreadPoolExecutor(4) as threads:  # with a plain BEGIN some of them find the tables half-way
        assert list(threads.map(made, range(80))) == list(range(80))


def test_a_parked_delivery_blocks_nothing_and_can_be_sent_again(outbox):
    for number in range(2):
        outbox.commit(record(number))
    outbox.park("mqtt", outbox.next("mqtt").seq, "too large")
    assert outbox.parked("mqtt") == 1
    assert [number for _, _, number in drain(outbox)] == [1]
    assert outbox.retry_parked() == 1
    assert [number for _, _, number in drain(outbox)] == [0]


def test_the_budget_drops_the_oldest_samples_first_then_pictures_of_delivered_alarms(tmp_path):
    outbox = Outbox(tmp_path, ["mqtt"], Budget(total=300, samples=200))
    for number in range(3):
        outbox.commit(record(number, kind=SAMPLE, size=100))
    assert [entry.document["number"] for entry in outbox.recent(SAMPLE)] == [2, 1]
    for number in range(2):
        outbox.commit(record(number, size=100))
    assert [entry.document["number"] for entry in outbox.recent(SAMPLE)] == [2]
    for number in range(2, 5):
        outbox.commit(record(number, size=100))
    assert outbox.recent(SAMPLE) == []
    assert files(tmp_path / "samples") == []
    assert outbox.kept_bytes() == 500  # nobody has the alarms yet, so they stay beyond the budget
    outbox.park("mqtt", outbox.next("mqtt").seq, "too large")
    assert [number for _, _, number in drain(outbox)] == [1, 2, 3, 4]
    assert outbox.kept_bytes() == 300
    kept = {entry.document["number"]: entry.pictures["frame"].exists() for entry in outbox.recent(ALARM)}
    assert kept == {4: True, 3: True, 2: False, 1: False, 0: True}  # a parked one is not delivered
    outbox.close()


def test_samples_go_before_pictures_of_delivered_alarms(tmp_path):
    outbox = Outbox(tmp_path, ["mqtt"], Budget(total=200, samples=200))
    outbox.commit(record(0, size=100))
    outbox.delivered("mqtt", outbox.next("mqtt").seq)
    outbox.commit(record(1, kind=SAMPLE, size=100))
    outbox.commit(record(2, size=100))
    assert outbox.recent(SAMPLE) == []
    assert outbox.kept_bytes(ALARM) == 200
    outbox.close()


def test_a_delivery_to_a_sink_that_was_taken_out_of_the_settings_keeps_no_pictures(outbox, tmp_path):
    outbox.commit(record(0, size=100))
    drain(outbox, "mqtt")
    outbox.close()
    alone = Outbox(tmp_path, ["mqtt"], Budget(total=0))
    alone.prune()
    assert alone.kept_bytes() == 0
    alone.close()


def test_an_unsent_kind_is_kept_and_offered_to_none(tmp_path):
    outbox = Outbox(tmp_path, ["mqtt"], unsent=[SAMPLE])
    outbox.commit(record(0, kind=SAMPLE, size=10))
    outbox.commit(record(1))
    assert drain(outbox) == [("alarm", "yard", 1)]
    assert len(files(tmp_path / "samples")) == 1
    outbox.close()


def test_a_budget_that_was_lowered_is_reached_in_steps(tmp_path):
    outbox = Outbox(tmp_path, [])
    for number in range(120):
        outbox.commit(record(number, kind=SAMPLE, size=10))
    outbox.close()
    outbox = Outbox(tmp_path, [], Budget(total=100, samples=100))
    left = []
    for _ in range(3):
        outbox.prune()
        left.append(outbox.kept_bytes())
    assert left == [700, 200, 100]
    outbox.close()


def test_a_crash_between_pictures_and_row_leaves_files_that_are_swept(outbox, tmp_path):
    kept = record(0, size=10)
    outbox.commit(kept)
    (tmp_path / "evidence" / "5f6c.frame.jpg").write_bytes(b"orphan")
    (tmp_path / "samples" / ".spare-x").write_bytes(b"half")
    (tmp_path / "evidence" / "notes.txt").write_bytes(b"somebody's")
    outbox.sweep()
    assert files(tmp_path / "evidence") == sorted([f"{kept.id}.frame.jpg", "notes.txt"])
    assert files(tmp_path / "samples") == []


def test_a_commit_that_was_wrongly_reported_as_failed_gets_its_pictures_back(outbox, tmp_path):
    kept = record(0, size=10)
    outbox.commit(kept)
    path = tmp_path / "evidence" / f"{kept.id}.frame.jpg"
    path.unlink()
    outbox.commit(kept)
    assert path.read_bytes() == bytes(10)


def test_a_failed_commit_leaves_nothing(outbox, tmp_path):
    with sqlite3.connect(tmp_path / DATABASE) as database:
        database.execute("CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    database.close()
    with pytest.raises(UnavailableError, match="disk is full"):
        outbox.commit(record(0, size=10))
    assert files(tmp_path / "evidence") == []


def test_a_database_of_a_later_version_is_refused(outbox, tmp_path):
    outbox.close()
    with sqlite3.connect(tmp_path / DATABASE) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(InputError, match="version 99, this rarefault reads 1"):
        Outbox(tmp_path, [])


def test_a_damaged_database_is_set_aside_and_the_night_goes_on(tmp_path):
    (tmp_path / DATABASE).write_bytes(b"no database " * 1000)
    outbox = Outbox(tmp_path, ["mqtt"])
    outbox.commit(record(0))
    assert len(drain(outbox)) == 1
    assert len(list(tmp_path.glob(f"{DATABASE}.damaged-*"))) == 1
    outbox.close()


def test_a_database_damaged_in_the_middle_is_seen_when_it_is_opened(outbox, tmp_path):
    kept = record(0, size=10)
    outbox.commit(kept)
    for number in range(1, 200):
        outbox.commit(record(number))
    outbox.close()
    data = bytearray((tmp_path / DATABASE).read_bytes())
    data[3 * 4096 : 6 * 4096] = b"\xa5" * (3 * 4096)
    (tmp_path / DATABASE).write_bytes(data)
    with pytest.raises(UnavailableError, match="free or check the disk"):
        Outbox(tmp_path, ["mqtt"], repair=False)
    assert list(tmp_path.glob(f"{DATABASE}.damaged-*")) == []
    again = Outbox(tmp_path, ["mqtt"])
    again.sweep()
    assert again.next("mqtt") is None
    assert files(tmp_path / "evidence") == [f"{kept.id}.frame.jpg"]  # what is left of it
    again.commit(record(1000))
    assert len(drain(again)) == 1
    again.close()


def test_a_database_that_is_damaged_at_work_costs_no_new_alarm(outbox, tmp_path):
    outbox.commit(record(1))
    with sqlite3.connect(tmp_path / DATABASE) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    with (tmp_path / DATABASE).open("r+b") as file:
        file.write(b"\xa5" * 64 * 4096)  # over all its pages
    outbox.commit(record(7, size=10))
    assert len(list(tmp_path.glob(f"{DATABASE}.damaged-*"))) >= 1
    assert [number for _, _, number in drain(outbox)] == [7]
    assert outbox.recent(ALARM)[0].pictures["frame"].exists()


def test_a_disk_that_fails_without_being_full_costs_no_samples(outbox):
    outbox.commit(record(0, kind=SAMPLE, size=100))
    assert not outbox.make_room(1000)
    assert len(outbox.recent(SAMPLE)) == 1


def test_an_outbox_opens_on_a_disk_that_samples_have_filled(small_disk):
    outbox = Outbox(small_disk, ["mqtt"])
    for number in range(8):
        outbox.commit(record(number, kind=SAMPLE, size=150_000))
    outbox.commit(record(100))
    outbox.close()
    fill(small_disk)
    again = Outbox(small_disk, ["mqtt"])
    assert again.next("mqtt").document["number"] == 100
    again.close()


def test_an_alarm_waits_until_every_sink_has_it(outbox):
    outbox.commit(record(0, kind=HEARTBEAT))
    assert not outbox.waits(ALARM)
    outbox.commit(record(1))
    entry = outbox.next("mqtt")
    assert (entry.kind, outbox.waits(ALARM)) == (ALARM, True)
    outbox.delivered("mqtt", entry.seq)
    assert outbox.waits(ALARM)
    outbox.delivered("webhook", entry.seq)
    assert not outbox.waits(ALARM)


def test_an_archive_of_feedback_goes_last_and_its_file_goes_once_every_sink_has_it(outbox, tmp_path):
    archive = replace(record(0, kind=FEEDBACK), camera="", pictures={"archive": b"PK"})
    for one in (archive, record(1), record(2, kind=HEARTBEAT)):
        outbox.commit(one)
    file = tmp_path / "feedback" / f"{archive.id}.archive.zip"
    outbox.sweep()
    assert [entry.kind for entry in drained(outbox, "mqtt")] == [ALARM, HEARTBEAT, FEEDBACK]
    assert file.read_bytes() == b"PK"
    drained(outbox, "webhook")
    assert not file.exists()
    assert outbox.find(archive.id).document["kind"] == FEEDBACK


def drained(outbox, sink):
    entries = []
    while (entry := outbox.next(sink)) is not None:
        outbox.delivered(sink, entry.seq)
        entries.append(entry)
    return entries


def test_a_zip_that_no_event_mentions_is_swept(outbox, tmp_path):
    stray = tmp_path / "feedback" / "left.archive.zip"
    stray.write_bytes(b"PK")
    outbox.sweep()
    assert not stray.exists()


def test_entries_of_a_kind_come_oldest_first_in_pages(outbox):
    records = [record(number, kind=SAMPLE) for number in range(3)]
    for one in records:
        outbox.commit(one)
    first, second = outbox.oldest(SAMPLE, limit=2)
    (third,) = outbox.oldest(SAMPLE, after=second.seq)
    assert [entry.id for entry in (first, second, third)] == [one.id for one in records]
