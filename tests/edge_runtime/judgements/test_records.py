"""Judgements as records: what is one, and what nobody may pass off as one."""

import pytest

from edge_runtime.bundle.errors import InputError
from edge_runtime.judgements.records import Verdict, disagree, drawn_boxes, judge_event, read_judgement, week_of
from tests.support.judged_events import alarm_document


def test_a_judgement_says_what_the_model_had_said_and_comes_back_from_json():
    judgement = judge_event(
        alarm_document(1, region="pump"),
        Verdict.OTHER,
        "anna",
        "operator",
        "hotspot",
        [(0.1, 0.2, 0.3, 0.4)],
        "see\nit",
    )
    assert (judgement.event, judgement.camera, judgement.region) == ("event-1", "north", "pump")
    assert (judgement.label, judgement.probability, judgement.model) == ("oil_leak", 0.91, "a" * 64)
    assert read_judgement(judgement.to_json()) == judgement


def test_a_test_alarm_is_not_judged():
    with pytest.raises(InputError, match="test of the station"):
        judge_event(alarm_document(1, test=True), Verdict.RIGHT, "anna", "operator")


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "maybe"},
        {"verdict": "other"},
        {"true_label": "hotspot"},
        {"boxes": [[0.5, 0.5, 0.6, 0.1]]},
        {"boxes": [[0.5, 0.5, 0.0, 0.1]]},
        {"boxes": [[0.1, 0.1, 0.1]]},
        {"boxes": [[0.1, 0.1, 0.1, float("nan")]]},
        {"boxes": [[0.1, 0.1, 0.1, 0.1]] * 65},
        {"boxes": "everywhere"},
        {"probability": 1.1},
        {"probability": 10**400},
        {"probability": True},
        {"judge": ""},
        {"judge": "an\x1b[2Jna"},
        {"note": "x" * 1001},
        {"label": 5},
        {"time": "yesterday"},
        {"event": None},
    ],
)
def test_what_cannot_be_a_judgement_is_refused(change):
    good = judge_event(alarm_document(1), Verdict.RIGHT, "anna", "operator").to_json()
    with pytest.raises(InputError):
        read_judgement({**good, **change})


def test_judges_disagree_where_they_say_different_things_and_the_last_boxes_count():
    first, last = (0.1, 0.2, 0.3, 0.4), (0.5, 0.5, 0.2, 0.2)
    anna = judge_event(alarm_document(1), Verdict.RIGHT, "anna", "operator", boxes=[first])
    ben = judge_event(alarm_document(1), Verdict.RIGHT, "ben", "operator", boxes=[last])
    cleo = judge_event(alarm_document(1), Verdict.OTHER, "cleo", "operator", "rust")
    dora = judge_event(alarm_document(1), Verdict.OTHER, "dora", "operator", "soot")
    assert [disagree(said) for said in ([anna], [anna, ben], [anna, cleo], [cleo, dora])] == [False, False, True, True]
    assert drawn_boxes([anna, ben, cleo]) == (last,)
    assert drawn_boxes([cleo]) == ()


def test_weeks_are_those_of_iso_8601():
    assert week_of("2027-01-01T00:00:00.000Z") == "2026-W53"
