"""Many cameras on few cores: `python -m benchmarks.station_speed --bundle DIR [--cameras 16] [--seconds 60]`.

Claims: the frames that are judged are at most 3 s old (99th percentile), those passed over are counted, memory is flat,
and a judged frame takes at most 1.10 times the engine's own call, decoding apart. Video files of 25 frames a second
are read in camera processes, the loop is the service's own. Frame and engine are timed side by side in the loop: the
engine by its calls, the frame by everything that the loop does but waiting, divided by the frames it judged. The
same is said in processor time of the whole process, which other work on the machine disturbs less.
"""

import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

import click
import cv2
import numpy as np
import psutil

from edge_runtime.alerts.settings import SamplesSection
from edge_runtime.bundle.decision import Rule
from edge_runtime.bundle.preprocess import Frame
from edge_runtime.bundle.store import open_bundle
from edge_runtime.cameras.camera_group import CameraGroup
from edge_runtime.cameras.settings import CameraSettings, plan_cameras
from edge_runtime.inference.engines import open_engine
from edge_runtime.inference.evaluator import Evaluation, Evaluator
from edge_runtime.station.assemble import assemble, open_notifier
from edge_runtime.station.service import Service
from edge_runtime.station.settings import HttpSection, StationSection, StationSettings

RATE = 25.0  # frames a second of the files
WARM_SECONDS = 5.0
START_SECONDS = 20.0  # that the camera processes may take to start, while the film runs
OLDEST, DEAREST = 3.0, 1.10  # seconds; times the engine's call


class TimedEvaluator(Evaluator):
    """Adds up what the engine takes."""

    infer_ms: list[float] = []  # noqa: RUF012  of one run of the benchmark
    processor: list[float] = []  # noqa: RUF012  seconds of the engine's calls

    def evaluate_all(self, frames: list[tuple[Frame, Rule]]) -> list[Evaluation]:  # type: ignore[override]
        evaluations = super().evaluate_all(frames)
        self.infer_ms.extend(e.infer_ms for e in evaluations if e.infer_ms is not None)
        return evaluations

    def _answers(self, shown):
        started = time.process_time()
        try:
            return super()._answers(shown)
        finally:
            self.processor.append(time.process_time() - started)


class TimedCameras(CameraGroup):
    """Knows how old the frames were that it gave, and how long it waited."""

    waited = 0.0
    given: list[float] = []  # noqa: RUF012  times of capture

    def newest(self, timeout, most=None):
        found = super().newest(timeout, most)
        self.given = [seen.captured for seen in found]
        return found

    def _wait(self, seconds: float) -> None:
        started = time.monotonic()
        super()._wait(seconds)
        self.waited += time.monotonic() - started


@click.command()
@click.option("--bundle", "folder", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--cameras", "count", type=click.IntRange(min=1), default=16, show_default=True)
@click.option("--seconds", type=click.FloatRange(min=1), default=60.0, show_default=True)
@click.option("--size", type=(int, int), default=(1280, 720), show_default=True, help="Width and height in pixels.")
@click.option("--precision", default="auto", show_default=True)
def main(folder: Path, count: int, seconds: float, size: tuple[int, int], precision: str) -> None:
    """Watch, measure, print."""
    cv2.setNumThreads(1)  # as the service does
    with tempfile.TemporaryDirectory(prefix="station-speed-") as place:
        video = film(Path(place) / "film.avi", size, seconds + START_SECONDS + WARM_SECONDS)
        names = [f"camera-{number}" for number in range(count)]
        settings = StationSettings(
            StationSection("speed", Path(place) / "state", folder, precision=precision, test_alarm_hours=0),
            tuple(CameraSettings(name, str(video)) for name in names),
            http=HttpSection(port=0),
            samples=SamplesSection(bytes=0),
        )
        plans = plan_cameras(settings.camera)
        bundle = open_bundle(folder)
        engine = open_engine(bundle, "auto", precision, threads=settings.station.cores).engine
        evaluator = TimedEvaluator(bundle, engine)
        device = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
        print(f"{device}; {count} cameras of {size[0]} x {size[1]}, {engine.name} {engine.precision}")
        with open_notifier(settings) as notifier, TimedCameras(plans) as cameras:
            service = assemble(settings, plans, evaluator, notifier)
            service.cameras = cameras
            good = measure(service, cameras, evaluator, seconds)
    raise SystemExit(not good)


def measure(service: Service, cameras: TimedCameras, evaluator: TimedEvaluator, seconds: float) -> bool:
    """Whether both claims hold."""
    began = time.monotonic()
    while time.monotonic() - began < WARM_SECONDS:
        service.step()
    before, memory = cameras.states(), [held()]
    evaluator.infer_ms.clear()
    evaluator.processor.clear()
    cameras.waited, started, ages, processor = 0.0, time.monotonic(), [], time.process_time()
    while (now := time.monotonic()) - started < seconds:
        service.step()
        ages += [time.monotonic() - captured for captured in cameras.given]
        if now - started > len(memory) * seconds / 10:
            looked, cost = time.monotonic(), time.process_time()
            memory.append(held())  # takes as long as a frame, and is no part of the loop
            cameras.waited += time.monotonic() - looked
            processor += time.process_time() - cost
    busy, after = time.monotonic() - started - cameras.waited, cameras.states()
    spent, engine = time.process_time() - processor, sum(evaluator.processor)
    frame, raw = busy / len(ages) * 1000, statistics.mean(evaluator.infer_ms)
    p99 = float(np.quantile(ages, 0.99))
    skipped = sum(state.skipped - before[name].skipped for name, state in after.items())
    print(f"{len(ages)} frames judged in {seconds:.0f} s; {skipped} decoded ones passed over, "
          f"and counted; loop busy {100 * busy / seconds:.0f} %")  # fmt: skip
    print(f"age when judged: median {statistics.median(ages):.2f} s, p99 {p99:.2f} s, largest {max(ages):.2f} s")
    print(f"a judged frame {frame:.1f} ms, the engine's call {raw:.1f} ms: {frame / raw:.3f}")
    print(
        f"in processor time {1000 * spent / len(ages):.1f} and {1000 * engine / len(ages):.1f} ms: {spent / engine:.3f}"
    )
    print(f"not watched: {[name for name, state in after.items() if state.cause]}; load {os.getloadavg()[0]:.1f}")
    print(f"memory of the station in MB: {', '.join(f'{megabytes:.1f}' for megabytes in memory)}")
    return p99 <= OLDEST and frame / raw <= DEAREST


def held() -> float:
    return float(psutil.Process().memory_full_info().uss / 2**20)


def film(path: Path, size: tuple[int, int], seconds: float) -> Path:
    """A scene in which something always moves."""
    width, height = size
    rng = np.random.default_rng(0)
    scene = cv2.resize(rng.integers(20, 200, (18, 32, 3), np.uint8), size, interpolation=cv2.INTER_CUBIC)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), RATE, size)
    for number in range(int(seconds * RATE)):
        frame = cv2.add(scene, rng.integers(0, 8, scene.shape, np.uint8))
        left = int(number % (10 * RATE) / (10 * RATE) * width * 0.9)
        cv2.rectangle(frame, (left, height // 3), (left + width // 10, height // 3 * 2), (40, 60, 220), -1)
        writer.write(frame)
    writer.release()
    return path


if __name__ == "__main__":
    main()
