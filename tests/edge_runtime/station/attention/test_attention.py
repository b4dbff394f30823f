"""The attention list on clocks that the test moves: who told what, how long it holds, and what takes it back."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edge_runtime.bundle.errors import InputError
from edge_runtime.clock import EARLIEST, Instant
from edge_runtime.station.attention import attention as module
from edge_runtime.station.attention.attention import ALL_LABELS, DATABASE, DAY, HOUR, Attention, Mark

T = EARLIEST + 300 * DAY  # the wall clock at the start


class Clocks:
    """Both clocks of a box; `pass_` lets time pass, `reboot` begins a new monotonic clock."""

    def __init__(self) -> None:
        self.wall, self.monotonic = T, 5000.0

    def __call__(self) -> Instant:
        return Instant(self.monotonic, self.wall)

    def pass_(self, seconds: float) -> None:
        self.wall, self.monotonic = self.wall + seconds, self.monotonic + seconds

    def reboot(self, seconds: float, wall: float | None = None) -> None:
        """Be off for `seconds`; with `wall` the clock stands there afterwards."""
        self.wall, self.monotonic = self.wall + seconds if wall is None else wall, 30.0


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def attention(tmp_path: Path, clocks: Clocks) -> Iterator[Attention]:
    with closing(Attention(tmp_path, clocks, "boot-1")) as made:
        yield made


def test_a_snooze_holds_for_its_label_until_its_end_and_says_whose_it_is(attention, clocks):
    entry = attention.snooze("yard", "rust", T + 600, "anna")
    current = attention.current()
    assert current.snoozed("yard", "rust") == Mark(entry.id, T + 600, "anna")
    assert current.snoozed("yard", "leak") is None
    assert current.snoozed("gate", "rust") is None
    assert current.maintenance == {}
    clocks.pass_(599)
    assert attention.current().snoozed("yard", "rust") is not None
    clocks.pass_(1)
    assert attention.current().snoozed("yard", "rust") is None


def test_of_a_snooze_of_all_labels_and_one_of_a_label_the_longer_holds(attention, clocks):
    attention.snooze("yard", ALL_LABELS, T + 600, "anna")
    attention.snooze("yard", "rust", T + 60, "bo")
    assert attention.current().snoozed("yard", "rust").by == "anna"
    assert attention.current().snoozed("yard", "leak").by == "anna"


def test_the_newest_maintenance_of_a_camera_holds_and_an_end_ends_it_whoever_began_it(attention, clocks):
    attention.maintenance("yard", T + 6 * HOUR, "anna")
    entry = attention.maintenance("yard", T + 2 * HOUR, "bo")
    assert attention.current().maintenance == {"yard": Mark(entry.id, T + 2 * HOUR, "bo")}
    clocks.pass_(60)
    attention.end(entry.id, "anna")
    assert attention.current().maintenance == {}, "the longer one before must not come back"
    assert [(e.kind, e.by, e.seconds) for e in attention.history(1)] == [("maintenance", "anna", 0.0)]


def test_undo_takes_back_the_last_entries_of_this_person_alone_one_by_one(attention):
    attention.maintenance("yard", T + HOUR, "anna")
    attention.snooze("gate", "rust", T + HOUR, "bo")
    attention.acknowledge("event-1", "anna")
    assert attention.undo("anna").event == "event-1"
    assert attention.acknowledged(["event-1"]) == {}
    assert attention.undo("anna").camera == "yard"
    assert attention.current().maintenance == {}
    assert attention.undo("anna") is None
    assert attention.current().snoozed("gate", "rust").by == "bo"


def test_undo_of_an_end_lets_the_maintenance_hold_again(attention):
    entry = attention.maintenance("yard", T + HOUR, "anna")
    attention.end(entry.id, "bo")
    attention.undo("bo")
    assert attention.current().maintenance["yard"].by == "anna"


def test_an_alarm_was_acknowledged_by_who_saw_it_first(attention, clocks):
    attention.acknowledge("event-1", "anna")
    clocks.pass_(5)
    attention.acknowledge("event-1", "bo")
    found = attention.acknowledged(["event-1", "event-2"])
    assert [(event, seen.by, seen.wall) for event, seen in found.items()] == [("event-1", "anna", T)]
    assert attention.acknowledged([]) == {}


@pytest.mark.parametrize(
    ("kind", "hours"), [("snooze", 24.1), ("maintenance", 7 * 24.1), ("snooze", 0), ("maintenance", -1)]
)
def test_an_end_that_is_past_or_too_far_ahead_is_refused_with_the_bound(attention, kind, hours):
    act = {"snooze": lambda until: attention.snooze("yard", "rust", until, "anna")}.get(
        kind, lambda until: attention.maintenance("yard", until, "anna")
    )
    with pytest.raises(InputError, match=f"a {kind} would end .* hours from now; give an end between now and"):
        act(T + hours * HOUR)
    assert attention.history() == []


def test_what_is_nobodys_or_has_no_end_or_is_endless_text_is_refused(attention):
    with pytest.raises(InputError, match="nobody is named"):
        attention.acknowledge("event-1", "")
    with pytest.raises(InputError, match="entry 7 is no snooze and no maintenance"):
        attention.end(7, "anna")
    entry = attention.acknowledge("event-1", "anna")
    with pytest.raises(InputError, match="is no snooze"):
        attention.end(entry.id, "anna")
    with pytest.raises(InputError, match="has 201 characters"):
        attention.acknowledge("e" * 201, "anna")


def test_a_jump_of_the_wall_clock_neither_ends_nor_lengthens_what_holds(attention, clocks):
    attention.maintenance("yard", T + HOUR, "anna")
    clocks.wall += 365 * DAY
    assert attention.current().maintenance["yard"].until == pytest.approx(T + 365 * DAY + HOUR, abs=30)
    clocks.wall -= 2 * 365 * DAY
    clocks.pass_(HOUR - 1)
    assert "yard" in attention.current().maintenance
    clocks.pass_(1)
    assert attention.current().maintenance == {}


def again(attention: Attention, tmp_path: Path, clocks: Clocks) -> dict[str, Mark]:
    """What is under maintenance after a reboot."""
    with closing(Attention(tmp_path, clocks, "boot-2")) as opened:
        return dict(opened.current().maintenance)


def test_across_a_reboot_the_wall_clock_tells_when_it_ends(attention, tmp_path, clocks):
    attention.maintenance("yard", T + HOUR, "anna")
    clocks.reboot(HOUR / 2)
    assert again(attention, tmp_path, clocks)["yard"].until == T + HOUR
    clocks.pass_(HOUR / 2)
    assert again(attention, tmp_path, clocks) == {}


def test_after_a_reboot_with_a_clock_that_was_lost_or_runs_behind_nothing_holds_for_longer_than_it_was_given(
    attention, tmp_path, clocks
):
    attention.maintenance("yard", T + HOUR, "anna")
    clocks.reboot(0, wall=0.0)
    assert again(attention, tmp_path, clocks) == {}, "a clock before the entry says nothing, so alarms are not marked"
    clocks.reboot(0, wall=T + 1)  # off for a week, and the clock woke where it had stopped
    assert "yard" in again(attention, tmp_path, clocks)
    clocks.monotonic += HOUR  # and stands still
    assert again(attention, tmp_path, clocks) == {}


def test_a_damaged_list_is_set_aside_and_begun_anew(attention, tmp_path, clocks):
    attention.close()
    (tmp_path / DATABASE).write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 32)
    with closing(Attention(tmp_path, clocks, "boot-1")) as opened:
        opened.acknowledge("event-1", "anna")
        assert len(opened.history()) == 1
    assert list(tmp_path.glob(f"{DATABASE}.damaged-*"))


def test_the_oldest_entries_go_so_that_the_list_does_not_grow_for_ever(attention, monkeypatch):
    monkeypatch.setattr(module, "KEPT", 5)
    for number in range(9):
        attention.acknowledge(f"event-{number}", "anna")
    assert [entry.event for entry in attention.history()] == [f"event-{number}" for number in range(8, 3, -1)]


def test_many_threads_write_at_once_and_nothing_is_lost(attention):
    def work(person: str) -> None:
        for number in range(10):
            attention.acknowledge(f"{person}-{number}", person)

    threads = [threading.Thread(target=work, args=(person,)) for person in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(attention.history(1000)) == 40


def test_the_service_never_looks_through_the_entries_that_are_no_concern_of_its(attention, tmp_path):
    with closing(sqlite3.connect(tmp_path / DATABASE)) as base:
        plan = [row[3] for row in base.execute(f"EXPLAIN QUERY PLAN {module._NEWEST}")]
    scans = [step for step in plan if step.startswith("SCAN")]
    assert scans == ["SCAN entries USING COVERING INDEX by_camera"], plan
