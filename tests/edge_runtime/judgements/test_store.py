"""The store of judgements: what is said, undone and disagreed on, and what no program may change."""

import sqlite3
import threading
from contextlib import closing

import pytest

from edge_runtime.judgements.records import Verdict, judge_event
from edge_runtime.judgements.store import DATABASE, Judgements
from tests.support.judged_events import alarm_document


@pytest.fixture
def store(tmp_path):
    with closing(Judgements(tmp_path)) as opened:
        yield opened


def said(store, number, verdict=Verdict.RIGHT, judge="anna", true_label="", **event):
    judgement = judge_event(alarm_document(number, **event), verdict, judge, "operator", true_label)
    store.add(judgement)
    return judgement


def test_the_newest_judgement_of_an_event_counts_and_undo_brings_the_one_before_back(store):
    first, second = said(store, 1), said(store, 1, Verdict.WRONG)
    assert store.latest(["event-1", "event-2"]) == {"event-1": second}
    assert store.undo("anna") == second
    assert store.latest(["event-1"]) == {"event-1": first}
    assert store.undo("anna") == first
    assert store.latest(["event-1"]) == {}
    assert store.undo("anna") is None


def test_undo_takes_back_nothing_of_another_person(store):
    mine = said(store, 1)
    said(store, 2, judge="ben")
    assert store.undo("anna") == mine
    assert set(store.latest(["event-1", "event-2"])) == {"event-2"}


def test_a_judgement_that_comes_twice_is_kept_once(store):
    judgement = said(store, 1)
    store.add(judgement)
    assert len(store.waiting()) == 1


def test_undo_is_an_entry_and_nothing_is_deleted(store):
    judgement = said(store, 1)
    store.undo("anna")
    kept, undo = store.waiting()
    assert (kept.judgement, kept.undoes) == (judgement, "")
    assert (undo.judgement, undo.undoes) == (None, judgement.id)


def test_neither_judgements_nor_audit_lines_can_be_changed_or_deleted(store, tmp_path):
    said(store, 1)
    store.audit("anna", "127.0.0.1", "judged right", "event-1")
    with closing(sqlite3.connect(tmp_path / DATABASE, isolation_level=None)) as database:
        for change in ("UPDATE entries SET judge = 'x'", "DELETE FROM entries", "UPDATE audit SET who = 'x'"):
            with pytest.raises(sqlite3.IntegrityError, match="never"):
                database.execute(change)
        with pytest.raises(sqlite3.IntegrityError, match="never deleted"):
            database.execute("DELETE FROM audit")
    assert [(line.who, line.what) for line in store.audit_lines()] == [("anna", "judged right")]


def test_precision_counts_each_event_once_by_camera_label_and_week(store):
    for number in range(4):
        said(store, number)
    said(store, 4, Verdict.WRONG)
    said(store, 4, Verdict.WRONG, "ben")
    said(store, 5, Verdict.UNSURE)
    said(store, 6, time="2026-11-30T02:00:00.000Z")
    first, second = store.precision()
    assert (first.camera, first.label, first.week, first.right, first.wrong) == ("north", "oil_leak", "2026-W48", 4, 1)
    assert first.value == 0.8
    assert (second.week, second.right) == ("2026-W49", 1)
    assert [count.right for count in store.precision(since="2026-11-29")] == [1]
    assert [(count.week, count.right) for count in store.precision(by_week=False)] == [("", 5)]


def test_threads_that_judge_at_once_lose_nothing(store):
    threads = [
        threading.Thread(target=lambda who=who: [said(store, number, judge=f"judge-{who}") for number in range(10)])
        for who in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(store.waiting()) == 40
