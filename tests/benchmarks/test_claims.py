"""Fair measurement: medians of paired ratios, their intervals, and what a claim says of its target."""

import pytest

from benchmarks.claims import (
    Claim,
    Note,
    Samples,
    Spread,
    Table,
    at_least,
    at_most,
    interleave,
    part_from_json,
    part_to_json,
    processor_seconds,
    seconds,
    spread,
)


def test_a_ratio_is_paired_within_each_round_so_that_drift_of_the_machine_cancels():
    drifting = Samples({"ours": [2.0, 4.0, 8.0, 16.0], "bare": [1.0, 2.0, 4.0, 8.0]})
    assert drifting.ratio("ours", "bare") == spread([2.0, 2.0, 2.0, 2.0])
    assert drifting.ratio("ours", "bare").median == drifting.ratio("ours", "bare").low == 2.0


def test_the_interval_holds_the_median_and_lies_within_the_values():
    found = spread([1.0, 2.0, 3.0, 4.0, 100.0])
    assert found.median == 3.0
    assert 1.0 <= found.low < found.median < found.high <= 100.0
    assert found.n == 5


def test_tasks_take_turns_and_the_warm_up_does_not_count():
    calls = []
    tasks = {name: lambda name=name: calls.append(name) or len(calls) for name in ("a", "b")}
    samples = interleave(tasks, rounds=3, warm_up=2)
    assert len(samples.values["a"]) == len(samples.values["b"]) == 3
    assert [set(calls[turn : turn + 2]) for turn in range(0, 10, 2)] == [{"a", "b"}] * 5
    assert min(samples.values["a"] + samples.values["b"]) == 5  # the first four calls warmed up


def test_time_and_processor_time_are_told_in_seconds():
    assert 0 <= seconds(lambda: None)() < 1
    assert processor_seconds(lambda: sum(range(3_000_000)))() > 0


@pytest.mark.parametrize(
    ("target", "value", "passed"),
    [(at_least(2.5), 2.5, True), (at_least(2.5), 2.49, False), (at_most(1.1), 1.1, True), (at_most(1.1), 1.11, False)],
)
def test_a_claim_says_whether_its_median_reaches_the_target(target, value, passed):
    assert Claim(id="a", question="?", measured=Spread(median=value), target=target).passed is passed


def test_a_claim_without_a_target_is_told_and_not_judged():
    assert Claim(id="a", question="?", measured=Spread(median=1.0)).passed is None


@pytest.mark.parametrize(
    "part",
    [
        Claim(id="a", question="?", measured=spread([1.0, 2.0]), target=at_most(2), unit="s", note="so"),
        Table(rows=[["a", "b"], ["1", "2"]]),
        Note(text="why"),
    ],
)
def test_a_part_comes_back_from_its_json(part):
    assert part_from_json(part_to_json(part)) == part
