"""What a station gets from a run, on hand numbers."""

from augment.json_objects import from_json
from augment.record_types import ExportRecord, ExportSummary
from augment.report.stations import for_stations
from augment.report.table import Bar
from tests.augment.report.test_spots import summary


def packed(training: str = "both/seed-1", recall: float = 0.75, **changed: object) -> ExportSummary:
    threshold = {
        "threshold": 0.34, "positives": 17, "needed": 5, "fitted": True, "f1": 0.5, "recall": recall,
        "recall_bound": 0.5, "false_alarms": 2.0, "false_alarms_bound": 3.5,
    }  # fmt: skip
    content = {
        "training": training,
        "network": {"accuracy": 0.853},
        "refused": {},
        "thresholds": {"hotspot": threshold},
    }
    return from_json(ExportSummary, {**content, **changed})


FILES = [
    from_json(ExportRecord, {"id": "fp32", "agreement": 1.0}),
    from_json(ExportRecord, {"id": "int8", "agreement": 0.94}),
]


def test_it_says_how_often_it_is_right_and_whether_an_alarm_rests_on_the_fault():
    found = for_stations(packed(), FILES, summary())
    told = " ".join(found.sentences)
    assert (found.arm, found.seed) == ("both", "1")
    assert "85 of 100 test pictures" in told
    assert "An alarm of hotspot is not shown to rest on the fault" in told
    assert "No size of fault is shown to be seen" in told
    assert "fp32 for 100.0 %, int8 for 94.0 %" in told
    sure = " ".join(for_stations(packed("real/seed-0"), FILES, summary()).sentences)
    assert "An alarm of hotspot rests on the fault itself" in sure
    assert "Faults of about 17 input pixels" in sure


def test_each_fault_has_a_row_with_bounds_and_a_bar():
    (row,) = for_stations(packed(), FILES, summary()).table.rows
    assert list(row) == ["hotspot", "75 % (at least 50 %)", "2.0 (at most 3.5)", "not supported", "0.34", "17"]
    assert isinstance(row[1], Bar)
    assert (row[1].share, row[1].low) == (0.75, 0.5)


def test_a_class_head_and_a_refused_file_are_told_too():
    head = summary(arms={"real": {}, "both": {}})
    found = for_stations(packed(refused={"fp16": "it names 3 of 100 differently"}), [], head)
    assert found.sentences[-1] == "fp16 was not packed: it names 3 of 100 differently."
    assert found.table.rows[0][3] == "not measured"


def test_a_fault_that_is_mostly_missed_is_told():
    told = " ".join(for_stations(packed(recall=0.12), FILES, summary()).sentences)
    assert "It misses most of hotspot: of 100 it finds 12." in told
    assert "misses" not in " ".join(for_stations(packed(), FILES, summary()).sentences)
