"""Where the time of `edge-classify` goes: each stage apart, and the whole over the bare engine and over the bound.

The bound is what reading, resizing and one engine call cost a single thread with nothing else to do, in processor
milliseconds a picture; as many pictures a second as that allows on every worker's core is all that can be had.
"""

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from ..bundle.golden import load_golden
from ..bundle.preprocess import Frames
from ..inference.compare_engines import time_row
from ..inference.engines import Engine
from ..inference.evaluator import Evaluator
from ..media.image_files import read_image
from .results import Result

RAW_SECONDS = 1.0  # of the engine alone, before and after the run
BOUND_SECONDS = 2.0  # of the bound, after the run


@dataclass
class Bench:
    """Milliseconds per evaluated input, and how many a second the engine alone manages with as many workers."""

    evaluator: Evaluator
    frame: Frames  # the views (T, H, W, 3) of one frame
    workers: int
    raw: list[float] = field(default_factory=list)
    raw_rates: list[float] = field(default_factory=list)
    decode: list[float] = field(default_factory=list)
    preprocess: list[float] = field(default_factory=list)
    infer: list[float] = field(default_factory=list)
    pictures: list[Path] = field(default_factory=list)  # still ones that were evaluated
    started: float = 0.0
    ended: float = 0.0
    processor_began: float = 0.0  # seconds of all threads of this process
    processor_ended: float = 0.0

    @property
    def engine(self) -> Engine:
        """The engine that answers."""
        return self.evaluator.engine

    def measure_raw(self) -> None:
        """Run the engine on one frame in every worker for a while."""
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
        self.started, self.processor_began = time.perf_counter(), time.process_time()

    def add(self, result: Result) -> None:
        """Count a result that has just been written."""
        self.ended, self.processor_ended = time.perf_counter(), time.process_time()
        evaluation = result.evaluation
        if evaluation is None or evaluation.infer_ms is None or result.decode_ms is None:
            return
        self.decode.append(result.decode_ms)
        self.preprocess.append(evaluation.preprocess_ms)
        self.infer.append(evaluation.infer_ms)
        if result.part == "":
            self.pictures.append(result.path)

    def report(self) -> str:
        """Return a small table: median and 99th percentile in ms, and how far the whole is from the bare engine."""
        if not self.infer:
            return "bench: nothing was evaluated, so there is nothing to time"
        rate = len(self.infer) / (self.ended - self.started)
        spent = (self.processor_ended - self.processor_began) * 1000 / len(self.infer)
        self.measure_raw()
        stages = {"decode": self.decode, "preprocess": self.preprocess, "infer": self.infer, "raw engine": self.raw}
        lines = [f"{'ms':<12}{'p50':>9}{'p99':>9}{'n':>7}"]
        lines += [time_row(name, times, 12) for name, times in stages.items()]
        best = max(self.raw_rates)
        lines.append(
            f"{rate:.1f} images a second end to end, the engine alone {best:.1f}, {self.workers} at once each: "
            f"{rate / best:.2f} of what is possible"
        )
        if bound := self.measure_bound():
            lines.append(
                f"reading, resizing and one engine call in one thread take {bound:.2f} ms of processor a picture, the "
                f"run took {spent:.2f}: {bound / spent:.3f} of the bound, by the clock "
                f"{rate * bound / 1000 / self.workers:.3f}"
            )
        return "\n".join(lines)

    def measure_bound(self) -> float | None:
        """Return the bound in processor milliseconds a picture, of the first that were evaluated; None without any."""
        spec = self.evaluator.bundle.manifest.input
        until = time.perf_counter() + BOUND_SECONDS
        spent: list[float] = []
        for path in self.pictures:
            began = time.process_time()
            self.engine.run(spec.views(read_image(path, spec).frame))
            spent.append((time.process_time() - began) * 1000)
            if time.perf_counter() > until:
                break
        return sum(spent) / len(spent) if spent else None


def start_bench(evaluator: Evaluator, workers: int) -> Bench:
    """Time the engine alone on the first golden frame; from here on the run is timed."""
    bench = Bench(evaluator, load_golden(evaluator.bundle, 1).flat, workers)
    bench.measure_raw()
    return bench
