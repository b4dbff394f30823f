"""What a judged picture shows, by what persons said; all of it can be told on paper."""

import pytest

from augment.data.fault_groups import resolve
from augment.feedback.truths import Labels, corrected, disagreements, judged_precision, truths, verdict_counts
from edge_runtime.judgements.records import Verdict, judge_event
from tests.support.judged_events import alarm_document

LABELS = ["line", "line_hot", "pole", "pole_hot"]
GROUPS = resolve(LABELS, ("line_hot", "pole_hot"), {"line": ("line", "line_hot"), "pole": ("pole", "pole_hot")}, {})


def said(number, verdict, true_label="", judge="anna", boxes=(), label="line_hot", **event):
    return judge_event(alarm_document(number, label=label, **event), verdict, judge, "operator", true_label, boxes)


def example(number, time="2026-11-23T02:10:00.000Z", camera="north", **more):
    return {"event": f"event-{number}", "file": f"pictures/{number}.jpg", "station": "hill", "time": time} | {
        "camera": camera,
        **more,
    }


def only(judgements, shown=None, labels=None):
    (truth,) = truths(
        {"hill event-1": judgements}, {"hill event-1": shown or example(1)}, labels or Labels(LABELS, GROUPS)
    )
    return truth


def test_right_is_the_models_label_wrong_the_healthy_one_of_its_group_and_other_what_was_named():
    assert only([said(1, Verdict.RIGHT)]).record.label == "line_hot"
    assert only([said(1, Verdict.WRONG)]).record.label == "line"
    assert only([said(1, Verdict.WRONG, label="pole_hot")]).record.label == "pole"
    record = only([said(1, Verdict.OTHER, "pole_hot", boxes=[(0.1, 0.2, 0.3, 0.4)])]).record
    assert (record.label, record.boxes, record.model_label) == ("pole_hot", ((0.1, 0.2, 0.3, 0.4),), "line_hot")
    assert (record.station, record.judges, record.probability, record.model) == ("hill", ["anna"], 0.91, "a" * 64)


@pytest.mark.parametrize(
    ("judgement", "reason"),
    [
        (said(1, Verdict.UNSURE), "nobody can tell"),
        (said(1, Verdict.OTHER, "rust"), "rust, which is no class of this run"),
        (said(1, Verdict.RIGHT, label="crack"), "crack, which is no class"),
        (said(1, Verdict.WRONG, label="crack"), "which healthy class it shows is unclear"),
    ],
)
def test_what_cannot_be_named_is_listed_and_not_added(judgement, reason):
    truth = only([judgement])
    assert truth.record is None
    assert reason in truth.reason


def test_without_groups_the_group_that_the_model_saw_says_what_is_healthy():
    loose = Labels(LABELS, resolve(LABELS, ("line_hot", "pole_hot"), {}, {}))
    assert only([said(1, Verdict.WRONG)], labels=loose).record is None
    seen = example(1, group={"label": "pole", "probability": 0.9})
    assert only([said(1, Verdict.WRONG)], seen, loose).record.label == "pole"


def test_judges_who_disagree_teach_nothing_and_are_told():
    judged = {"hill event-1": [said(1, Verdict.RIGHT), said(1, Verdict.WRONG, judge="ben")]}
    (truth,) = truths(judged, {"hill event-1": example(1)}, Labels(LABELS, GROUPS))
    assert truth.reason == "judges disagree: anna says right, ben says wrong"
    assert dict(disagreements(judged)[0].said) == {"anna": "right", "ben": "wrong"}
    assert verdict_counts(judged) == {}


def test_a_judgement_without_its_picture_is_listed():
    (truth,) = truths({"hill event-1": [said(1, Verdict.RIGHT)]}, {}, Labels(LABELS, GROUPS))
    assert "picture has not come" in truth.reason


def test_frames_of_one_camera_within_ten_minutes_are_one_burst():
    times = ["02:00:00", "02:09:00", "02:18:00", "02:29:00"]
    examples = {f"hill event-{at}": example(at, f"2026-11-23T{time}.000Z") for at, time in enumerate(times)}
    examples["hill event-9"] = example(9, "2026-11-23T02:01:00.000Z", camera="south")
    judged = {key: [said(int(key[-1]), Verdict.RIGHT)] for key in examples}
    groups = {truth.event: truth.record.group for truth in truths(judged, examples, Labels(LABELS, GROUPS))}
    assert groups["event-0"] == groups["event-1"] == groups["event-2"]
    assert len(set(groups.values())) == 3


def test_precision_and_corrections_are_counted():
    judged = {f"hill event-{at}": [said(at, Verdict.WRONG if at else Verdict.RIGHT)] for at in range(4)}
    (row,) = judged_precision(judged)
    assert (row.station, row.camera, row.label, row.week, row.right, row.wrong) == (
        *("hill", "north", "line_hot", "2026-W48"),
        *(1, 3),
    )
    examples = {key: example(int(key[-1])) for key in judged}
    records = [truth.record for truth in truths(judged, examples, Labels(LABELS, GROUPS))]
    assert corrected(records) == {"line_hot": {"line": 3}}


def test_times_with_and_without_a_zone_make_bursts_by_the_moment_that_they_name():
    times = ["2026-11-23T03:01:00+01:00", "2026-11-23T02:00:00", "2026-11-23T02:09:00.000Z", "yesterday", "0001-01-01"]
    examples = {f"hill event-{at}": example(at, time) for at, time in enumerate(times)}
    judged = {key: [said(int(key[-1]), Verdict.RIGHT)] for key in examples}
    groups = [truth.record.group for truth in truths(judged, examples, Labels(LABELS, GROUPS))]
    assert groups[0] == groups[1] == groups[2]
    assert len(set(groups)) == 3
