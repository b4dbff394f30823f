"""Where the time goes: each stage apart, and the whole over the bare engine."""

import time
from dataclasses import dataclass, field

import numpy as np

from .bundle.golden import load_golden
from .bundle.preprocess import Frame
from .evaluate import Evaluator
from .results import Result

RAW_ROUNDS = 30


@dataclass
class Bench:
    """Milliseconds per evaluated input. `raw` is the engine alone on one frame, measured before the run."""

    raw: list[float]
    decode: list[float] = field(default_factory=list)
    preprocess: list[float] = field(default_factory=list)
    infer: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    mark: float = field(default_factory=time.perf_counter)

    def add(self, result: Result) -> None:
        """Count a result that has just been written; the whole is the time since the one before, writing included."""
        now = time.perf_counter()
        whole_ms, self.mark = (now - self.mark) * 1000, now
        evaluation = result.evaluation
        if evaluation is None or evaluation.infer_ms is None or result.decode_ms is None:
            return
        self.decode.append(result.decode_ms)
        self.preprocess.append(evaluation.preprocess_ms)
        self.infer.append(evaluation.infer_ms)
        self.whole.append(whole_ms)

    def report(self) -> str:
        """A small table: median and 99th percentile in ms, and how far the whole is from the bare engine."""
        if not self.whole:
            return "bench: nothing was evaluated, so there is nothing to time"
        stages = {"decode": self.decode, "preprocess": self.preprocess, "infer": self.infer}
        stages |= {"end to end": self.whole, "raw engine": self.raw}
        lines = [f"{'ms':<12}{'p50':>9}{'p99':>9}{'n':>7}"]
        for name, times in stages.items():
            lines.append(f"{name:<12}{np.percentile(times, 50):>9.2f}{np.percentile(times, 99):>9.2f}{len(times):>7}")
        lines.append(f"end to end over raw engine: {np.median(self.whole) / np.median(self.raw):.2f}x")
        return "\n".join(lines)


def start_bench(evaluator: Evaluator) -> Bench:
    """Time the engine alone on the first golden frame."""
    frame: Frame = load_golden(evaluator.bundle).frames[:1]
    return Bench([_timed_run(evaluator, frame) for _ in range(RAW_ROUNDS)])


def _timed_run(evaluator: Evaluator, frame: Frame) -> float:
    started = time.perf_counter()
    evaluator.engine.run(frame)
    return (time.perf_counter() - started) * 1000
