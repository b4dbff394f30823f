"""Events are selected read-only, newest first, while another process writes."""

import json
import time

import pytest

from edge_runtime.alerts.event_query import EventQuery, Selection
from edge_runtime.alerts.events import ALARM, SAMPLE, Record
from edge_runtime.alerts.outbox import Outbox
from edge_runtime.bundle.errors import UnavailableError
from edge_runtime.clock import iso


def event(number: int, camera: str = "yard", label: str = "rust", kind: str = ALARM, test: bool = False) -> Record:
    """The event of the `number`-th minute."""
    document = {"label": label, "time": iso(1.8e9 + 60 * number), "test": test}
    return Record(f"event-{number}", kind, camera, document, {"frame": b"picture"} if number == 0 else {})


@pytest.fixture
def outbox(tmp_path):
    made = Outbox(tmp_path, ["mqtt"])
    yield made
    made.close()


@pytest.fixture
def query(outbox, tmp_path):
    cameras, labels = ("yard", "gate", "hall"), ("rust", "leak")
    for number in range(12):
        outbox.commit(event(number, cameras[number % 3], labels[number % 2]))
    outbox.commit(event(12, kind=SAMPLE))
    outbox.commit(event(13, test=True))
    return EventQuery(tmp_path)


def numbers(entries) -> list[int]:
    return [int(entry.id.partition("-")[2]) for entry in entries]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Selection(limit=3), [11, 10, 9]),
        (Selection(cameras=["gate"]), [10, 7, 4, 1]),
        (Selection(cameras=["gate", "hall"], labels=["leak"]), [11, 7, 5, 1]),
        (Selection(since=1.8e9 + 600), [11, 10]),
        (Selection(until=1.8e9 + 120), [1, 0]),
        (Selection(tests=True, limit=1), [13]),
        (Selection(kind=SAMPLE), [12]),
        (Selection(labels=["' OR 1=1 --"]), []),
        (Selection(keep=lambda ids: {"event-2", "event-9"} & set(ids)), [9, 2]),
        (Selection(keep=lambda ids: ids, limit=2, before=9), [7, 6]),
        (Selection(keep=lambda ids: ids, cameras=["gate"], limit=1), [10]),
        (Selection(keep=lambda ids: []), []),
    ],
)
def test_what_does_not_fit_is_left_out(query, wanted, found):
    assert numbers(query.select(wanted)) == found


def test_labels_of_alarms_are_read_without_their_documents(query):
    assert query.alarm_labels(1.8e9 + 540) == [("event-9", "leak"), ("event-10", "rust"), ("event-11", "leak")]
    assert len(query.alarm_labels(0)) == 12


def test_pages_follow_each_other_without_a_gap(query):
    first = query.select(Selection(limit=5))
    second = query.select(Selection(limit=50, before=first[-1].seq))
    assert numbers(first + second) == list(range(11, -1, -1))


def test_one_event_is_found_by_its_id_with_pictures_and_deliveries(query, outbox, tmp_path):
    entry = query.by_id("event-0")
    assert entry.document["label"] == "rust"
    assert entry.pictures["frame"].read_bytes() == b"picture"
    assert query.deliveries(entry.seq) == {"mqtt": ("pending", "")}
    outbox.park("mqtt", entry.seq, "refused")
    assert query.deliveries(entry.seq) == {"mqtt": ("parked", "refused")}
    assert query.counts() == {"mqtt": {"parked": 1, "pending": 13}}
    assert query.by_id("event-99") is None


def test_labels_and_the_newest_number_follow_what_is_written(query, outbox):
    assert query.labels() == ("leak", "rust")
    newest = query.newest()
    outbox.commit(event(20, label="hot"))
    assert query.newest() > newest
    assert query.labels() == ("hot", "leak", "rust")


def test_an_outbox_that_is_not_there_is_empty_and_is_not_made(tmp_path):
    query = EventQuery(tmp_path / "state")
    assert (query.select(Selection()), query.by_id("x"), query.labels(), query.newest()) == ([], None, (), 0)
    assert (query.counts(), query.deliveries(1), query.alarm_labels(0)) == ({}, {}, [])
    assert list(tmp_path.iterdir()) == []


def test_an_outbox_that_is_no_database_is_told(tmp_path):
    (tmp_path / "outbox.sqlite3").write_bytes(b"no database" * 100)
    with pytest.raises(UnavailableError, match="cannot be kept or read"):
        EventQuery(tmp_path).select(Selection())


def test_ten_thousand_events_are_searched_quickly(outbox, tmp_path):
    text = json.dumps({"label": "rust", "time": iso(1.8e9), "test": False, "more": "x" * 1500})
    rows = [(f"e{n}", ALARM, -1, "yard", text, "{}", 0) for n in range(10_000)]
    with outbox._database as base:
        base.execute("BEGIN")
        query = "INSERT INTO events (id, kind, rank, camera, document, pictures, bytes) VALUES (?, ?, ?, ?, ?, ?, ?)"
        base.executemany(query, rows)
    began = time.process_time()
    found = EventQuery(tmp_path).select(Selection(limit=50))
    assert EventQuery(tmp_path).select(Selection(labels=["leak"], limit=50)) == []  # all are looked at
    assert EventQuery(tmp_path).select(Selection(keep=lambda ids: [])) == []
    assert time.process_time() - began < 0.5
    assert len(found) == 50
