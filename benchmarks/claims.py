"""What a benchmark measures, and how it is measured so that a busy machine does not decide it.

A benchmark is a function `measure(work: Path, options: Sequence[str]) -> Sequence[Part]`, named in
`benchmarks/registry.py`. It returns claims, tables and notes in the order in which they stand in docs/BENCHMARKS.md:

    samples = interleave({"ours": seconds(ours), "bare": seconds(bare)}, rounds=9)
    ratio = samples.ratio("ours", "bare")
    return [Claim(id="call", question="the runtime's call over a bare one", measured=ratio, target=at_most(1.02))]

`work` is a folder that stays between runs, for what need not be made twice; `options` is what followed `--` on the
command line. A benchmark prints what it does meanwhile, raises for what it cannot do, and takes at most some minutes.

Times of a shared machine drift, so a claim is a ratio of runs that take turns: each round gives one ratio, and the
claim is their median with a bootstrap interval.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from augment.json_objects import JsonObject, as_plain, from_json

RESAMPLES = 2000
AT_LEAST, AT_MOST = "at least", "at most"


class Target(JsonObject):
    """What a claim has to reach; `direction` is AT_LEAST or AT_MOST."""

    value: float
    direction: str


class Spread(JsonObject):
    """A median of `n` values with the 95 % bootstrap interval of that median; an old figure may have no interval."""

    median: float
    low: float | None = None
    high: float | None = None
    n: int = 1


class Claim(JsonObject):
    """One figure beside what it should be; without a target it is told and not judged."""

    id: str
    question: str
    measured: Spread
    unit: str = "times"
    target: Target | None = None
    command: str = ""  # where it is another than the benchmark's
    note: str = ""

    @property
    def passed(self) -> bool | None:
        """Whether the median reaches the target; None without a target."""
        if self.target is None:
            return None
        if self.target.direction == AT_LEAST:
            return self.measured.median >= self.target.value
        return self.measured.median <= self.target.value


class Table(JsonObject):
    """Figures that are no claim; `rows` hold text, the first row is the head."""

    rows: Sequence[Sequence[str]]


class Note(JsonObject):
    """A paragraph: what a figure means, the profile of a miss, what was tried."""

    text: str


Part = Claim | Table | Note


def at_least(value: float) -> Target:
    return Target(value=value, direction=AT_LEAST)


def at_most(value: float) -> Target:
    return Target(value=value, direction=AT_MOST)


@dataclass(frozen=True)
class Samples:
    """What each task gave in each round."""

    values: Mapping[str, Sequence[float]]

    def spread(self, name: str) -> Spread:
        """The median of one task over the rounds."""
        return spread(self.values[name])

    def ratio(self, name: str, baseline: str) -> Spread:
        """The median of value / baseline, each ratio from one round."""
        pairs = zip(self.values[name], self.values[baseline], strict=True)
        return spread([value / base for value, base in pairs])


def spread(values: Sequence[float]) -> Spread:
    """Return the median of `values` with its 95 % percentile bootstrap interval."""
    array = np.asarray(values, dtype=float)
    draws = np.random.default_rng(0).choice(array, (RESAMPLES, len(array)))
    low, high = np.quantile(np.median(draws, axis=1), (0.025, 0.975))
    return Spread(median=float(np.median(array)), low=float(low), high=float(high), n=len(array))


def interleave(tasks: Mapping[str, Callable[[], float]], rounds: int, warm_up: int = 1) -> Samples:
    """Run all tasks in turns, `rounds` times after `warm_up` rounds that do not count; each returns its own figure.

    The order changes every round, so that what else the machine does hits all alike.
    """
    values: dict[str, list[float]] = {name: [] for name in tasks}
    order = np.random.default_rng(0)
    for turn in range(warm_up + rounds):
        for name in order.permutation(list(tasks)).tolist():
            value = tasks[name]()
            if turn >= warm_up:
                values[name].append(value)
    return Samples(values)


def seconds(task: Callable[[], object]) -> Callable[[], float]:
    """Make of any task one for `interleave` that returns the seconds it took."""

    def timed() -> float:
        started = time.perf_counter()
        task()
        return time.perf_counter() - started

    return timed


def processor_seconds(task: Callable[[], object]) -> Callable[[], float]:
    """Make of any task one for `interleave` that returns processor seconds: own threads and ended children."""

    def timed() -> float:
        started = os.times()
        task()
        ended = os.times()
        return sum(ended[:4]) - sum(started[:4])

    return timed


KINDS: Mapping[str, type[Part]] = {"claim": Claim, "table": Table, "note": Note}


def part_to_json(part: Part) -> dict[str, object]:
    """Return a part as a JSON object that says of which kind it is; a claim also says whether it was reached."""
    kind = next(name for name, of in KINDS.items() if isinstance(part, of))
    judged = {"passed": part.passed} if isinstance(part, Claim) and part.target else {}
    return {"kind": kind, **as_plain(part), **judged}


def part_from_json(content: Mapping[str, object]) -> Part:
    """Read what `part_to_json` returned."""
    fields = {name: value for name, value in content.items() if name not in ("kind", "passed")}
    return from_json(KINDS[str(content["kind"])], fields)
