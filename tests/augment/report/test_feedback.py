"""What the report says of judged alarms, on hand numbers."""

from augment.data.feedback import FeedbackSummary
from augment.json_objects import from_json
from augment.report.feedback import MOST_WEEKS, feedback
from augment.report.table import Bar

SAID = {"anna": "right", "ben": "wrong"}


def judged(week: str, right: int, wrong: int, camera: str = "yard-1", label: str = "oil_leak") -> dict[str, object]:
    counts = {"right": right, "wrong": wrong, "value": 0.0, "low": 0.0, "high": 1.0}
    return {"station": "north", "camera": camera, "label": label, "week": week, **counts}


def summary(**changed: object) -> FeedbackSummary:
    content = {
        "archives": 2,
        "judged": 22,
        "verdicts": {"right": 15, "wrong": 4, "other": 1},
        "labels": {"oil_leak": 15, "healthy": 4},
        "left_out": [{"path": "north/e-9", "reason": "nobody was sure"}],
        "unlabelled": 3,
        "disagreements": [
            {"station": "north", "event": "e-7", "camera": "yard-1", "label": "oil_leak", "said": SAID}
        ],
        "corrected": {"oil_leak": {"healthy": 4, "wet_ground": 1}},
        "precision": [judged("2026-W47", 8, 2), judged("2026-W48", 7, 2), judged("2026-W48", 0, 1, "gate")],
    }  # fmt: skip
    return from_json(FeedbackSummary, {**content, **changed})


def test_precision_stands_by_camera_and_label_over_all_weeks_and_in_each():
    table = feedback(summary()).precision
    assert list(table.head) == ["camera", "alarm", "all weeks", "2026-W47", "2026-W48"]
    gate, yard = table.rows
    assert list(gate) == ["north gate", "oil leak", "0 % (0 of 1)", "none", "0 % (0 of 1)"]
    assert list(yard) == ["north yard-1", "oil leak", "79 % (15 of 19)", "80 % (8 of 10)", "78 % (7 of 9)"]
    assert isinstance(yard[2], Bar)
    assert yard[2].low < 15 / 19 < yard[2].high


def test_sentences_count_what_came_what_was_right_and_what_nobody_judged():
    told = " ".join(feedback(summary()).sentences)
    assert "22 judged alarms came in 2 archives" in told
    assert "15 right, 4 wrong, 1 of another class" in told
    assert "Of 100 alarms that were judged, 75 were right (53 to 89)" in told
    assert "19 of these pictures can be learnt from" in told
    assert "3 hard examples were judged by nobody yet" in told


def test_corrections_and_disagreements_name_who_said_what():
    found = feedback(summary())
    assert [list(row) for row in found.corrected.rows] == [
        ["oil leak", "healthy", "4"],
        ["oil leak", "wet ground", "1"],
    ]
    assert found.disagreements.rows[0][3] == "anna: right; ben: wrong"
    assert found.left_out == ["north/e-9: nobody was sure"]


def test_many_weeks_leave_the_newest_and_nothing_judged_leaves_empty_tables():
    weeks = [judged(f"2026-W{week}", 1, 0) for week in range(10, 30)]
    table = feedback(summary(precision=weeks)).precision
    assert list(table.head)[3:] == [f"2026-W{week}" for week in range(30 - MOST_WEEKS, 30)]
    assert table.rows[0][2] == "100 % (20 of 20)"
    nothing = feedback(summary(precision=[], corrected={}, disagreements=[], judged=0, verdicts={}, labels={}))
    assert not nothing.precision.rows
    assert not nothing.corrected.rows
