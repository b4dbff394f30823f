"""What undoes an update on probation, on numbers that can be counted by hand."""

from dataclasses import replace

import pytest

from edge_runtime.causes import Cause
from edge_runtime.station.updating.probation import LEAST_JUDGED, LEAST_VIEWS, Measures, Probation
from edge_runtime.updates.settings import UpdatesSection
from tests.support.sample_events import judged_view

RED, GREEN = (0, 0, 255), (0, 255, 0)
MINUTE = 60.0
SECTION = UpdatesSection(probation_minutes=30.0, most_alarms=5.0, most_latency=2.0)


def view(colour: tuple[int, int, int] = GREEN, infer_ms: float = 20.0):
    made = judged_view(colour)
    return replace(made, evaluation=replace(made.evaluation, infer_ms=infer_ms))


def measured(flagged: int, views: int = LEAST_VIEWS, infer_ms: float = 20.0) -> Measures:
    measures = Measures()
    measures.add([view(RED if place < flagged else GREEN, infer_ms) for place in range(views)], 0)
    return measures


def probation(before: Measures | None = None, daily_alarms: int = 0) -> Probation:
    return Probation(SECTION, before or Measures(), daily_alarms, 0.0)


def test_it_is_over_after_its_time_and_a_quiet_model_has_stood_it():
    trial = probation(measured(0))
    trial.measures.add([view()] * LEAST_VIEWS, 0)
    assert not trial.over(30 * MINUTE - 1)
    assert trial.over(30 * MINUTE)
    assert trial.failure(30 * MINUTE) is None


def test_blind_cameras_prove_nothing():
    trial = probation()
    trial.measures.add([view()] * (LEAST_JUDGED - 1), 0)
    assert not trial.over(300 * MINUTE)
    assert trial.summary == "9 of at least 10 views are judged"
    trial.measures.add([view()], 0)
    assert trial.over(300 * MINUTE)
    assert not trial.summary


def test_one_answer_that_is_none_is_enough():
    trial = probation()
    bad = replace(view(), evaluation=replace(view().evaluation, decision=None, cause=Cause.MODEL, reason="NaN"))
    trial.measures.add([view(), bad], 0)
    assert trial.failure(1.0).reason.value == "probation_nan"


@pytest.mark.parametrize(
    ("alarms", "daily", "minutes", "undone"),
    [
        (2, 0, 1, False),  # fewer than three say nothing
        (3, 0, 30, True),
        (5, 48, 30, False),  # two an hour before: five times that in half an hour are five
        (6, 48, 30, True),
        (6, 48, 60, False),
    ],
)
def test_alarms_are_compared_with_the_day_before(alarms, daily, minutes, undone):
    trial = probation(daily_alarms=daily)
    trial.measures.add([], alarms)
    found = trial.failure(minutes * MINUTE)
    assert (found is not None) is undone
    assert found is None or found.reason.value == "probation_alarms"


@pytest.mark.parametrize(
    ("before", "now", "undone"),
    [(0, 50, True), (5, 45, True), (6, 50, False), (0, 44, False)],
)
def test_a_model_that_sees_a_fault_in_nearly_every_frame_is_undone_where_the_one_before_saw_few(before, now, undone):
    trial = probation(measured(before))
    trial.measures = measured(now)
    assert (trial.failure(1.0) is not None) is undone


@pytest.mark.parametrize(
    ("before", "now", "undone"),
    [(40.0, 81.0, True), (40.0, 79.0, False), (1.0, 49.0, False)],  # under fifty milliseconds nothing is too slow
)
def test_a_model_that_is_much_slower_is_undone(before, now, undone):
    trial = probation(measured(0, infer_ms=before))
    trial.measures = measured(0, infer_ms=now)
    found = trial.failure(1.0)
    assert (found is not None) is undone
    assert found is None or found.reason.value == "probation_latency"


def test_after_a_restart_only_what_needs_no_comparison_is_found():
    trial = probation()
    trial.measures = measured(LEAST_VIEWS, infer_ms=900.0)
    assert trial.failure(1.0) is None
