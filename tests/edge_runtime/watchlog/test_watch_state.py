"""Who is watched: times in seconds, by hand."""

import pytest

from edge_runtime.causes import Cause
from edge_runtime.watchlog.watch_state import LATE_SECONDS, WatchState


@pytest.fixture
def watch_state() -> WatchState:
    return WatchState({"yard": 0.5})  # a verdict every 2 s, late after 4 + 3


def test_a_camera_with_verdicts_is_watched(watch_state):
    watch_state.judged("yard", 100.0)
    assert watch_state.blind("yard", None, 50, 104) == (None, 100)


def test_what_the_camera_says_of_itself_comes_first(watch_state):
    watch_state.judged("yard", 100.0)
    assert watch_state.blind("yard", Cause.FROZEN, 99, 100) == (Cause.FROZEN, 99)


def test_frames_without_verdicts_are_an_overload_since_the_last_one(watch_state):
    watch_state.judged("yard", 100.0)
    assert watch_state.blind("yard", None, 50, 104 + LATE_SECONDS) == (None, 100)
    assert watch_state.blind("yard", None, 50, 104.1 + LATE_SECONDS) == (Cause.OVERLOADED, 100)
    watch_state.judged("yard", 110.0)
    assert watch_state.blind("yard", None, 50, 111) == (None, 110)


def test_a_camera_that_came_back_has_time_for_its_first_verdict(watch_state):
    watch_state.judged("yard", 100.0)
    assert watch_state.blind("yard", None, 500, 506) == (None, 500)
    assert watch_state.blind("yard", None, 500, 508) == (Cause.OVERLOADED, 500)


def test_frames_that_cannot_be_judged_name_their_own_cause(watch_state):
    watch_state.unfit("yard", Cause.MODEL)
    assert watch_state.blind("yard", None, 50, 55) == (None, 50)
    assert watch_state.blind("yard", None, 50, 60) == (Cause.MODEL, 50)
    watch_state.judged("yard", 61)
    assert watch_state.blind("yard", None, 50, 80) == (Cause.OVERLOADED, 61)


def test_under_maintenance_neither_condition_nor_verdicts_count(watch_state):
    watch_state.judged("yard", 100.0)
    watch_state.maintain(["yard"], 101.0)
    assert watch_state.blind("yard", Cause.FROZEN, 99, 102) == (Cause.MAINTENANCE, 101)
    watch_state.maintain(["yard"], 103.0)
    assert watch_state.blind("yard", None, 50, 300) == (Cause.MAINTENANCE, 101)


def test_what_began_under_maintenance_counts_from_its_end(watch_state):
    watch_state.maintain(["yard"], 100.0)
    watch_state.maintain([], 200.0)
    assert watch_state.blind("yard", Cause.STALLED, 150, 201) == (Cause.STALLED, 200)
    assert watch_state.blind("yard", Cause.BLACK, 220, 230) == (Cause.BLACK, 220)
    assert watch_state.blind("yard", None, 120, 201) == (Cause.OVERLOADED, 200)
    watch_state.judged("yard", 199.0)
    assert watch_state.blind("yard", None, 120, 201) == (None, 200)
