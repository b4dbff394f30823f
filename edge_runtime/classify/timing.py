"""Where the time goes: each stage apart, the whole over the bare engine, and one engine beside the other."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from ..bundle.errors import RarefaultError
from ..bundle.golden import load_golden
from ..bundle.preprocess import Frame
from ..bundle.store import Bundle
from ..inference.engines import Engine, available_engines, open_engine
from ..inference.evaluator import Evaluator
from .results import Result

WARM_UP = 2  # rounds that are not counted
RAW_SECONDS = 1.0  # of the engine alone, before and after the run


@dataclass
class Bench:
    """Milliseconds per evaluated input, and how many a second the engine alone manages with as many workers."""

    engine: Engine
    frame: Frame  # (1, H, W, 3)
    workers: int
    raw: list[float] = field(default_factory=list)
    raw_rates: list[float] = field(default_factory=list)
    decode: list[float] = field(default_factory=list)
    preprocess: list[float] = field(default_factory=list)
    infer: list[float] = field(default_factory=list)
    started: float = 0.0
    ended: float = 0.0

    def measure_raw(self) -> None:
        """Let every worker run the engine on one frame for a while."""
        until = time.perf_counter() + RAW_SECONDS
        times: list[float] = []

        def work() -> None:
            while (started := time.perf_counter()) < until:
                self.engine.run(self.frame)
                times.append((time.perf_counter() - started) * 1000)

        threads = [threading.Thread(target=work) for _ in range(self.workers)]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.raw += times
        self.raw_rates.append(len(times) / (time.perf_counter() - began))
        self.started = time.perf_counter()

    def add(self, result: Result) -> None:
        """Count a result that has just been written."""
        self.ended = time.perf_counter()
        evaluation = result.evaluation
        if evaluation is None or evaluation.infer_ms is None or result.decode_ms is None:
            return
        self.decode.append(result.decode_ms)
        self.preprocess.append(evaluation.preprocess_ms)
        self.infer.append(evaluation.infer_ms)

    def report(self) -> str:
        """A small table: median and 99th percentile in ms, and how far the whole is from the bare engine."""
        if not self.infer:
            return "bench: nothing was evaluated, so there is nothing to time"
        rate = len(self.infer) / (self.ended - self.started)
        self.measure_raw()
        stages = {"decode": self.decode, "preprocess": self.preprocess, "infer": self.infer, "raw engine": self.raw}
        lines = [f"{'ms':<12}{'p50':>9}{'p99':>9}{'n':>7}"]
        for name, times in stages.items():
            lines.append(f"{name:<12}{np.percentile(times, 50):>9.2f}{np.percentile(times, 99):>9.2f}{len(times):>7}")
        best = max(self.raw_rates)
        lines.append(
            f"{rate:.1f} images a second end to end, the engine alone {best:.1f}, {self.workers} at once each: "
            f"{rate / best:.2f} of what is possible"
        )
        return "\n".join(lines)


def start_bench(evaluator: Evaluator, workers: int) -> Bench:
    """Time the engine alone on the first golden frame; from here on the run is timed."""
    bench = Bench(evaluator.engine, load_golden(evaluator.bundle, 1).frames, workers)
    bench.measure_raw()
    return bench


def compare_engines(bundle: Bundle, rounds: int = 20, threads: int = 0) -> str:
    """A table of every engine and precision that runs here, on one golden frame at a time."""
    frame = load_golden(bundle, 1).frames
    tasks: dict[str, Callable[[], object]] = {}
    lines = []
    for name in available_engines():
        for precision in bundle.manifest.precisions:
            try:
                engine = open_engine(bundle, name, precision, threads=threads).engine
            except RarefaultError as error:
                lines.append(f"{name} {precision}: {error}")
            else:
                tasks[f"{name} {precision}"] = partial(engine.run, frame)
    head = f"{'ms a frame':<20}{'p50':>9}{'p99':>9}{'n':>7}"
    for name, times in alternate(tasks, rounds).items():
        lines.append(f"{name:<20}{np.percentile(times, 50):>9.2f}{np.percentile(times, 99):>9.2f}{len(times):>7}")
    return "\n".join([head, *lines])


def alternate(tasks: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each task, `rounds` times; they take turns in an order that changes, so noise hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    order = np.random.default_rng(0)
    for turn in range(WARM_UP + rounds):
        for name in order.permutation(list(tasks)).tolist():
            started = time.perf_counter()
            tasks[name]()
            if turn >= WARM_UP:
                times[name].append((time.perf_counter() - started) * 1000)
    return times
