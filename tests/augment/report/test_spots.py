"""What the report says of an arm whose score rests on the fault, and of one whose score does not."""

from dataclasses import replace

from augment import record_types as types
from augment.json_objects import from_json
from augment.report import spots

LABELS = ["hotspot", "normal"]


def around(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.05, "high": value + 0.05}


def fault(supported: bool, boxed: bool = True) -> dict[str, object]:
    at = [{"specificity": share, "reached": around(share - 0.01), "recall": around(0.8)} for share in (0.9, 0.95)]
    evidence = {name: around(0.7) for name in ("painted_auc", "gap", "twin", "keep", "control_keep", "pointing")}
    return {
        "images": 40,
        "boxed": 40 if boxed else 0,
        "auc": around(0.9),
        "recall_at": at,
        "recall_common": at,
        **(evidence if boxed else {}),
        "by_size": [{"low": 8, "high": 20, "images": 40, "recall": around(0.6)}] if boxed else [],
        "supported": supported,
        "why": f"hotspot: {'' if supported else 'not '}supported: because",
    }


def summary(before: bool = True, after: bool = False, **changed: object) -> types.ComparisonSummary:
    seen = {"pixels": 17.2, "share": 0.06, "recall": 0.7, "recall_bound": 0.55, "images": 30, "cell": 16}
    arms = {
        "real": {"spots": {"faults": {"hotspot": fault(before)}, "smallest_fault": seen}},
        "both": {"spots": {"faults": {"hotspot": fault(after)}}},
    }
    content = {
        "baseline": "real",
        "candidate": "both",
        "labels": LABELS,
        "fault_labels": LABELS[:1],
        "arms": arms,
        "differences": {"both": {"lost_support": ["hotspot"] if before and not after else []}},
    }
    return from_json(types.ComparisonSummary, {**content, **changed})


def test_a_comparison_of_class_heads_says_nothing_of_it():
    assert spots.by_arm(summary(arms={"real": {}, "both": {}})) == {}


def test_each_arm_says_what_its_score_rests_on_and_how_small_a_fault_may_be():
    text = spots.sentences(summary())
    assert text[0] == "real: hotspot: supported: because."
    assert "about 17 input pixels, 6.0 % of the frame's shorter side" in text[1]
    assert "of 30 of about that size 70 % are found, at least 55 %. A cell of the map is 16 pixels." in text[1]
    assert text[2] == "both: hotspot: not supported: because."
    assert "no size of fault is shown to be seen" in text[3]
    assert text[4].startswith("both loses the support of hotspot, which real has")
    assert len(spots.sentences(summary(after=True))) == 4


def test_tables_have_a_cell_for_every_column():
    found = summary()
    for table in (spots.evidence_table(found), spots.recall_table(found), spots.size_table(found)):
        assert [len(row) for row in table.rows] == [len(table.head)] * 2
        assert [row[:2] for row in table.rows] == [["hotspot", "real"], ["hotspot", "both"]]
    assert spots.evidence_table(found).rows[1][2] == "not supported"
    assert spots.evidence_table(found).rows[0][6] == "+70.0 (+65.0 to +75.0)"
    assert spots.recall_table(found).rows[0][2] == "80.0 % (75.0 to 85.0); 89.0 % (84.0 to 94.0)"


def test_what_needs_boxes_is_told_as_not_measured():
    arm = {"spots": {"faults": {"hotspot": fault(False, boxed=False)}}}
    found = summary(arms={"real": arm, "both": arm})
    assert spots.evidence_table(found).rows[0][5:10] == [spots.NOTHING] * 5
    assert spots.size_table(found).rows == []


def test_pictures_to_look_at_again_are_numbered_as_on_the_sheet():
    label = types.Suspect(
        id="a.jpg", split="val", label="normal", doubt="label", likelier="hotspot", own=0.04, other=0.96, place=[3, 4]
    )
    box = replace(label, id="b.jpg", label="hotspot", doubt="box", likelier="hotspot")
    rows = spots.mending_table([label, box]).rows
    assert rows[0] == ["1", "a.jpg", "val", "normal", "rather hotspot", "4 % against 96 %"]
    assert rows[1][:5] == ["2", "b.jpg", "val", "hotspot", "its map peaks outside every box"]
