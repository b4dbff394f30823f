"""What is counted of the results, and the exit code that follows."""

import io
from pathlib import Path

import pytest

from edge_runtime.bundle.errors import UnavailableError
from edge_runtime.bundle.store import open_bundle
from edge_runtime.classify.results import Result, Tally, make_writer
from edge_runtime.inference.engines import open_engine
from edge_runtime.inference.evaluator import Evaluator
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
