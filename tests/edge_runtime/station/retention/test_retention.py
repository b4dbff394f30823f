"""Files of a real outbox under a clock that the test moves: what is old goes, wherever it lies, and nothing else."""

import io
import json
import threading
import zipfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from edge_runtime.alerts.events import ALARM, SAMPLE, Record
from edge_runtime.alerts.outbox import Outbox
from edge_runtime.alerts.sink import payload
from edge_runtime.clock import Instant, iso
from edge_runtime.station.retention.retention import DATABASE, Retention, files_below, retained
from tests.support.sample_events import record, wait_until

DAY, W = 86400.0, 1_800_000_000.0
DAYS = 3


class Box:
    """A station's folder with an outbox for one sink, and clocks: `pass_` lets days pass."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.outbox = folder, Outbox(folder, ["mqtt"])
        self.monotonic, self.wall, self.boot, self.synced = 1000.0, W, "boot-1", True

    def now(self) -> Instant:
        return Instant(self.monotonic, self.wall)

    def pass_(self, days: float) -> "Box":
        self.monotonic, self.wall = self.monotonic + days * DAY, self.wall + days * DAY
        return self

    def sweep(self, days: float = DAYS) -> list[str]:
        """Sweep as a service that has just started; the files that are left."""
        synced = lambda: self.synced  # noqa: E731
        with closing(Retention(self.folder, days, self.outbox, self.now, synced, self.boot)) as retention:
            retention.sweep()
        return sorted(files_below(self.folder))

    def commit(self, kind: str = ALARM, clock: str = "synced") -> Record:
        made = record(1, kind=kind, size=100)
        made = replace(made, document={**made.document, "recorded": iso(self.wall), "clock": clock})
        self.outbox.commit(made)
        return made


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path)
    yield made
    made.outbox.close()


def put(box: Box, name: str, data: bytes = b"x") -> None:
    path = box.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def test_pictures_scores_and_archives_go_after_their_days_and_the_younger_stay(box):
    old = [box.commit(), box.commit(SAMPLE)]
    put(box, "scores/a.bin")
    put(box, "feedback/sub/b.txt")
    assert len(box.sweep()) == 4
    box.pass_(2)
    young = box.commit()
    assert len(box.sweep()) == 5
    box.pass_(0.99)
    assert len(box.sweep()) == 5
    box.pass_(0.02)
    assert box.sweep() == [f"evidence/{young.id}.frame.jpg"]
    assert box.outbox.kept_bytes() == 100
    assert box.outbox.recent(SAMPLE) == []
    assert {entry.id for entry in box.outbox.recent(ALARM)} == {old[0].id, young.id}


def test_an_event_that_was_not_delivered_leaves_without_its_picture(box):
    made = box.commit()
    box.sweep()
    box.pass_(DAYS)
    box.sweep()
    entry = box.outbox.next("mqtt")
    assert entry.id == made.id
    assert (
        "data"
        in json.loads(payload(replace(entry, pictures={"frame": Path(__file__)}), ["frame"]))["pictures"]["frame"]
    )
    assert "data" not in json.loads(payload(entry, ["frame"]))["pictures"]["frame"]
    box.outbox.delivered("mqtt", entry.seq)
    box.commit(SAMPLE)
    box.pass_(1)
    box.sweep()
    box.pass_(DAYS)
    box.sweep()
    assert box.outbox.next("mqtt") is None, "a sample is nothing without its picture"


@pytest.mark.parametrize("synced", [True, False])
def test_a_wall_clock_that_jumps_by_years_deletes_nothing_and_delays_nothing(box, synced):
    box.synced = synced
    box.commit()
    box.sweep()
    box.wall += 5 * 365 * DAY
    assert len(box.sweep()) == 1
    box.wall -= 10 * 365 * DAY
    box.pass_(DAYS - 0.01)
    assert len(box.sweep()) == 1
    box.pass_(0.02)
    assert box.sweep() == []


def test_after_a_reboot_a_clock_that_nothing_disciplines_deletes_nothing(box):
    box.commit()
    box.sweep()
    box.boot, box.monotonic, box.synced = "boot-2", 30.0, False
    box.wall += 365 * DAY
    assert len(box.sweep()) == 1
    box.pass_(DAYS)
    assert box.sweep() == []


def test_a_box_that_was_off_for_days_deletes_as_soon_as_its_clock_is_right_again(box):
    box.commit()
    box.sweep()
    box.boot, box.monotonic, box.synced = "boot-2", 30.0, False
    box.wall += DAYS * DAY
    assert len(box.sweep()) == 1
    box.synced = True
    assert box.sweep() == []


def test_where_the_setting_is_new_events_tell_their_age_if_their_clock_was_right(box):
    box.wall = W - 30 * DAY
    box.commit()
    box.commit(clock="stepped")
    put(box, "evidence/orphan.frame.jpg")
    box.wall = W
    kept = box.sweep()
    assert len(kept) == 2, "the clock of one could not be trusted, and of the orphan nothing is known"
    box.pass_(DAYS)
    assert box.sweep() == []


def test_where_the_setting_is_new_and_the_clock_is_not_right_all_counts_from_now(box):
    box.wall = W - 30 * DAY
    box.commit()
    box.wall, box.synced = W, False
    assert len(box.sweep()) == 1


def archive(*events: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as members:
        members.writestr("feedback.json", json.dumps({"examples": [{"event": event} for event in events]}))
    return data.getvalue()


def test_an_archive_is_as_old_as_the_oldest_picture_in_it(box):
    first = box.commit()
    box.sweep()
    box.pass_(2)
    second = box.commit()
    put(box, "feedback/one.archive.zip", archive(first.id, second.id))
    put(box, "feedback/two.archive.zip", archive(second.id, "nobody-knows"))
    put(box, "feedback/three.archive.zip", b"no archive")
    assert len(box.sweep()) == 5
    box.pass_(1)
    assert box.sweep() == sorted(
        [f"evidence/{second.id}.frame.jpg", "feedback/three.archive.zip", "feedback/two.archive.zip"]
    )


def test_a_damaged_memory_is_begun_anew_and_deletes_nothing_early(box):
    box.commit(clock="free")
    box.sweep()
    (box.folder / DATABASE).write_bytes(b"nothing of a database" * 1000)
    for end in ("-wal", "-shm"):
        (box.folder / f"{DATABASE}{end}").unlink(missing_ok=True)
    box.pass_(DAYS)
    assert len(box.sweep()) == 1


def test_a_file_that_cannot_be_deleted_is_tried_again(box, monkeypatch):
    box.commit()
    box.sweep()
    box.pass_(DAYS)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(PermissionError("no")))
        with pytest.raises(PermissionError):
            box.sweep()
    assert box.sweep() == []


def test_the_thread_sweeps_at_once_and_ends_with_its_block_and_without_the_setting_there_is_none(box):
    made = box.commit(clock="free")
    with retained(box.folder, 0, box.outbox):
        assert not [thread for thread in threading.enumerate() if thread.name == "retention"]
    with retained(box.folder, 1e-9, box.outbox):
        wait_until((box.folder / DATABASE).exists)
    with retained(box.folder, 1e-9, box.outbox):
        wait_until(lambda: not list(files_below(box.folder)))
    assert not [thread for thread in threading.enumerate() if thread.name == "retention"]
    assert [entry.id for entry in box.outbox.recent(ALARM)] == [made.id]


def test_a_disk_that_fails_is_told_once_and_ends_nothing(box, caplog):
    (box.folder / DATABASE).mkdir()
    with retained(box.folder, 1, box.outbox):
        wait_until(lambda: "what is older than retention_days cannot be deleted" in caplog.text)
