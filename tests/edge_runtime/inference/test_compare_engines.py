"""Times of every engine, side by side."""

from edge_runtime.bundle.store import open_bundle
from edge_runtime.inference import compare_engines as module
from edge_runtime.inference.compare_engines import alternate, compare_engines


def test_every_engine_and_precision_has_a_row_and_one_that_fails_its_reason(packed):
    table = compare_engines(open_bundle(packed), rounds=3, names=("abacus", "cpu")).splitlines()
    assert [line.partition(", there are")[0] for line in table[1:3]] == [
        "abacus fp32: the engine abacus is not here",
        "abacus fp16: the engine abacus is not here",
    ]
    assert [line.split()[:2] for line in table[3:]] == [["cpu", "fp32"], ["cpu", "fp16"]]
    assert all(line.split()[-1] == "3" for line in table[3:])


def test_tasks_take_turns_and_the_first_rounds_do_not_count():
    calls = []
    times = alternate({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=4)
    assert {name: len(found) for name, found in times.items()} == {"a": 4, "b": 4}
    assert len(calls) == 2 * (4 + module.WARM_UP)
    assert all({*calls[turn : turn + 2]} == {"a", "b"} for turn in range(0, len(calls), 2))
