"""What is counted of the results, and the exit code that follows."""

import csv
import io
import json
from pathlib import Path

import pytest

from edge_runtime.bundle.errors import UnavailableError
from edge_runtime.bundle.store import open_bundle
from edge_runtime.classify.results import Result, Tally, make_writer
from edge_runtime.inference.engines import open_engine
from edge_runtime.inference.evaluator import Evaluator
from tests.support import spot_bundle
from tests.support.pictures import GREEN, RED, picture


@pytest.fixture(scope="module")
def evaluator(packed) -> Evaluator:
    bundle = open_bundle(packed)
    return Evaluator(bundle, open_engine(bundle, "cpu", "fp32").engine)


@pytest.mark.parametrize(
    ("names", "code"),
    [((), 11), (("green",), 0), (("green", "red"), 10), (("green", "missing"), 11), (("missing", "red"), 10)],
)
def test_the_exit_code_follows_from_all_results(evaluator, names, code):
    results = {
        "green": Result(Path("green.png"), evaluation=evaluator.evaluate(picture(GREEN))),
        "red": Result(Path("red.png"), evaluation=evaluator.evaluate(picture(RED))),
        "missing": Result(Path("missing.png"), "missing.png does not exist"),
    }
    tally = Tally()
    for name in names:
        tally.add(results[name])
    assert tally.exit_code == code


def test_a_file_name_cannot_command_the_terminal(evaluator):
    stream = io.StringIO()
    make_writer("table", stream, evaluator)(Result(Path("a\x1b[2J\n.png"), "it is \x1b[31mbroken"))
    assert "\x1b" not in stream.getvalue()
    assert stream.getvalue().count("\n") == 1


def test_a_result_that_cannot_be_written_is_a_sentence(evaluator):
    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    with pytest.raises(UnavailableError, match="No space left on device"):
        make_writer("jsonl", Full(), evaluator)(Result(Path("a.png"), "it does not exist"))


def written(style: str, evaluator: Evaluator, *results: Result) -> str:
    stream = io.StringIO()
    write = make_writer(style, stream, evaluator)
    for result in results:
        write(result)
    return stream.getvalue()


@pytest.fixture(scope="module")
def spots(tmp_path_factory) -> Evaluator:
    bundle = open_bundle(spot_bundle.make_bundle(tmp_path_factory.mktemp("spots")))
    return Evaluator(bundle, open_engine(bundle, "cpu", "fp32").engine)


def test_a_line_tells_group_and_evidence_where_a_spatial_head_does(evaluator, spots):
    seen = Result(Path("a.png"), evaluation=spots.evaluate(spot_bundle.scene("line", (4, 8))))
    line = json.loads(written("jsonl", spots, seen))
    assert (line["label"], line["fault"], line["threshold"], line["evidence"]) == ("line_hot", True, 0.5, "boxes")
    assert line["group"] == {"label": "line", "probability": pytest.approx(0.827, abs=1e-3)}
    assert [entry["label"] for entry in line["top"]] == ["line_hot", "line_fine"]
    plain = json.loads(written("jsonl", evaluator, Result(Path("a.png"), evaluation=evaluator.evaluate(picture(RED)))))
    assert (plain["group"], plain["evidence"]) == (None, None)


def test_a_table_of_values_has_the_same_columns_whatever_was_evaluated(spots):
    seen = Result(Path("a.png"), evaluation=spots.evaluate(spot_bundle.scene("line", (4, 8))))
    missing = Result(Path("b.png"), "b.png does not exist")
    for results in ((seen, missing), (missing, seen)):
        rows = list(csv.DictReader(io.StringIO(written("csv", spots, *results))))
        assert {row["path"]: row["group.label"] for row in rows} == {"a.png": "line", "b.png": ""}
    assert written("table", spots, seen).startswith("FAULT  line_hot   0.981  (threshold 0.500)")


@pytest.mark.parametrize("name", ["=HYPERLINK(1)", "+1", "-rf.jpg", "@a", "\t=1", "\r=1", "＝1"])
def test_a_file_name_is_no_formula_in_a_spreadsheet(evaluator, name):
    (row,) = csv.DictReader(io.StringIO(written("csv", evaluator, Result(Path(name), f"{name} is gone")), newline=""))
    shown = name.replace("\r", "\\r")
    assert (row["path"], row["reason"]) == ("'" + shown, f"'{shown} is gone")


def test_a_page_has_its_number_in_every_format(evaluator):
    result = Result(Path("scan.tif"), evaluation=evaluator.evaluate(picture(RED)), page=2)
    assert json.loads(written("jsonl", evaluator, result))["page"] == 2
    assert next(csv.DictReader(io.StringIO(written("csv", evaluator, result))))["page"] == "2"
    assert written("table", evaluator, result).rstrip().endswith("scan.tif page 2")


def test_the_table_says_where_a_map_is_no_evidence(tmp_path):
    bundle = open_bundle(spot_bundle.make_bundle(tmp_path, evidence="pictures"))
    drawn = Evaluator(bundle, open_engine(bundle, "cpu", "fp32").engine)
    fault, fine = (
        Result(Path("a.png"), evaluation=drawn.evaluate(spot_bundle.scene("pole", at))) for at in ((4, 8), None)
    )
    assert "[the map is not evidence: it was trained without boxes]" in written("table", drawn, fault)
    assert "evidence" not in written("table", drawn, fine)
