"""One engine beside the other: every engine and precision that runs a bundle here, timed in turns."""

import time
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from ..bundle.errors import RarefaultError
from ..bundle.golden import load_golden
from ..bundle.store import Bundle
from .engines import available_engines, open_engine

WARM_UP = 2  # rounds that are not counted


def compare_engines(bundle: Bundle, rounds: int = 20, names: tuple[str, ...] | None = None) -> str:
    """Return a table of the time that each engine of `names` (default: all installed here) takes in each precision.

    The engines run one golden frame at a time, all its tiles in one call, `rounds` times each; one that cannot run gets
    a row with the reason.
    """
    frame = load_golden(bundle, 1).flat
    tasks: dict[str, Callable[[], object]] = {}
    lines = [f"{'ms a frame':<20}{'p50':>9}{'p99':>9}{'n':>7}"]
    for name in available_engines() if names is None else names:
        for precision in bundle.manifest.precisions:
            try:
                engine = open_engine(bundle, name, precision).engine
            except RarefaultError as error:
                lines.append(f"{name} {precision}: {error}")
            else:
                tasks[f"{name} {precision}"] = partial(engine.run, frame)
    return "\n".join([*lines, *(time_row(name, times, 20) for name, times in alternate(tasks, rounds).items())])


def time_row(name: str, times: list[float], width: int) -> str:
    """Return one row of a table of times in ms: name, median, 99th percentile, count."""
    return f"{name:<{width}}{np.percentile(times, 50):>9.2f}{np.percentile(times, 99):>9.2f}{len(times):>7}"


def alternate(tasks: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return milliseconds of each task, `rounds` times; the order changes every round, so that noise hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    order = np.random.default_rng(0)
    for turn in range(WARM_UP + rounds):
        for name in order.permutation(list(tasks)).tolist():
            started = time.perf_counter()
            tasks[name]()
            if turn >= WARM_UP:
                times[name].append((time.perf_counter() - started) * 1000)
    return times
