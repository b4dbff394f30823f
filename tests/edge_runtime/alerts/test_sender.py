"""The sending loop with a scripted sink and a clock that the test turns."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from edge_runtime.alerts.outbox import Entry, Outbox
from edge_runtime.alerts.sender import POLL_SECONDS, Sender
from edge_runtime.alerts.sink import TAKEN, Answer, Verdict
from edge_runtime.bundle.errors import UnavailableError
from tests.support.sample_events import delivery_states, record

AWAY = Answer(Verdict.UNREACHABLE, "away")


class Script:
    """Answers as told, by default TAKEN; keeps what was offered as (camera, number)."""

    name = "script"

    def __init__(self) -> None:
        self.offered: list[tuple[str, int]] = []
        self.answer: Callable[[Entry], Answer] = lambda _: TAKEN
        self.refusal: str | None = None
        self.closed = False

    def open(self) -> None:
        if self.refusal is not None:
            raise UnavailableError(self.refusal)

    def send(self, entry: Entry) -> Answer:
        self.offered.append((entry.camera, entry.document["number"]))
        return self.answer(entry)

    def set_camera(self, camera: str, status: Mapping[str, str]) -> None:
        pass

    def close(self) -> None:
        self.closed = True


class Notebook(Outbox):
    """An outbox that remembers what was noted as delivered, and takes no note while its disk is `full`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, ["script"])
        self.noted: list[int] = []
        self.full = False

    def delivered(self, sink: str, seq: int) -> None:
        if self.full:
            raise UnavailableError("full")
        self.noted.append(seq)
        super().delivered(sink, seq)


class Bench:
    """A sender on a real outbox, with time that stands still."""

    def __init__(self, folder: Path) -> None:
        self.outbox, self.sink, self.now = Notebook(folder), Script(), 0.0
        self.sender = Sender(self.outbox, self.sink, monotonic=lambda: self.now, chance=lambda: 0.0)

    def commit(self, *cameras: str) -> None:
        for number, camera in enumerate(cameras):
            self.outbox.commit(record(number, camera))

    def run(self) -> float:
        """Step until there is something to wait for; how long."""
        while (pause := self.sender.step()) == 0:
            pass
        return pause


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    yield made
    made.outbox.close()


def test_everything_is_offered_once_in_order(bench):
    bench.commit("a", "b", "a")
    assert bench.run() == POLL_SECONDS
    assert bench.sink.offered == [("a", 0), ("b", 1), ("a", 2)]
    assert bench.outbox.pending("script") == 0


def test_an_unreachable_sink_is_tried_at_doubling_distances_and_nothing_overtakes(bench):
    bench.commit("a", "b")
    bench.sink.answer = lambda _: AWAY
    pauses = []
    for _ in range(8):
        pauses.append(bench.run())
        bench.now += pauses[-1]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert bench.sink.offered == [("a", 0)] * 8
    assert bench.sender.trouble == "away"
    bench.sink.answer = lambda _: TAKEN
    bench.run()
    assert bench.sink.offered[8:] == [("a", 0), ("b", 1)]
    assert bench.sender.trouble == ""


def test_before_its_time_nothing_is_tried(bench):
    bench.commit("a")
    bench.sink.answer = lambda _: AWAY
    assert bench.run() == 1
    bench.now += 0.75
    assert bench.run() == 0.25
    assert len(bench.sink.offered) == 1


def test_a_sink_that_does_not_open_is_waited_for(bench):
    bench.commit("a")
    bench.sink.refusal = "no route"
    assert [bench.run(), bench.sender.trouble] == [1, "no route"]
    bench.sink.refusal = None
    bench.now += 1
    bench.run()
    assert bench.sink.offered == [("a", 0)]


def test_the_receivers_own_wish_replaces_the_back_off(bench):
    bench.commit("a")
    bench.sink.answer = lambda _: Answer(Verdict.UNREACHABLE, "busy", retry_after=17.0)
    assert bench.run() == 17


def test_a_held_camera_waits_alone_and_keeps_its_order(bench):
    bench.commit("a", "b", "a", "b")
    bench.sink.answer = lambda entry: Answer(Verdict.HELD, "not allowed") if entry.camera == "a" else TAKEN
    assert bench.run() == POLL_SECONDS
    assert bench.sink.offered == [("a", 0), ("b", 1), ("b", 3)]
    assert bench.sender.trouble == "not allowed"
    bench.now = 4.9
    bench.run()
    assert len(bench.sink.offered) == 3
    bench.now = 5.0
    bench.sink.answer = lambda _: TAKEN
    bench.run()
    assert bench.sink.offered[3:] == [("a", 0), ("a", 2)]
    assert bench.sender.trouble == ""


def test_a_camera_that_was_taken_in_between_is_held_briefly_again(bench):
    bench.commit("a", "a", "b")
    bench.sink.answer = lambda entry: Answer(Verdict.HELD, "no") if entry.camera == "a" else TAKEN
    bench.run()
    bench.now = 5.0
    bench.sink.answer = lambda entry: TAKEN if entry.document["number"] == 0 else Answer(Verdict.HELD, "no")
    bench.run()
    bench.now = 10.0  # 5 s again, not 10
    bench.run()
    assert bench.sink.offered == [("a", 0), ("b", 2), ("a", 0), ("a", 1), ("a", 1)]


def test_what_was_taken_is_noted_once(bench):
    bench.commit("a", "a")
    first = bench.outbox.next("script").seq
    answers = iter([TAKEN, AWAY])
    bench.sink.answer = lambda _: next(answers)
    bench.run()
    assert bench.outbox.noted == [first]


def test_a_refused_event_is_parked_with_its_reason_and_blocks_nothing(bench):
    bench.commit("a", "a")
    bench.sink.answer = lambda entry: Answer(Verdict.REFUSED, "bad") if entry.document["number"] == 0 else TAKEN
    bench.run()
    bench.now += 1e6
    bench.run()
    assert bench.sink.offered == [("a", 0), ("a", 1)]
    assert delivery_states(bench.outbox, "script") == {"parked": 1, "delivered": 1}


def test_on_a_full_disk_what_was_taken_is_not_offered_again_and_is_noted_later(bench):
    bench.commit("a", "a")
    bench.outbox.full = True
    bench.run()
    bench.run()
    assert bench.sink.offered == [("a", 0), ("a", 1)]
    assert bench.outbox.pending("script") == 2
    bench.outbox.full = False
    bench.run()
    assert bench.outbox.pending("script") == 0
    assert len(bench.sink.offered) == 2


def test_it_stops_and_closes_the_sink(tmp_path):
    outbox, sink = Outbox(tmp_path, ["script"]), Script()
    sender = Sender(outbox, sink)
    sender.start()
    sender.begin_stop()
    sender.join(5)
    assert (sender.alive, sink.closed) == (False, True)
    outbox.close()
