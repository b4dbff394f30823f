"""What a second worker brings, and what a killed one costs: `--engine ray` on this machine.

Two benchmarks of `benchmarks/registry.py`. Workers have one thread each, and Ray one logical CPU more than workers.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import ClassVar

import numpy as np
import psutil

from augment.engines.ray_engine import RayEngine
from augment.json_objects import JsonObject
from augment.methods import parse_method
from augment.models.interfaces import Order
from augment.models.registry import Models
from augment.presets import PRESETS
from augment.records import CAPTIONS, CURATION, PROMPTS, SYNTHETIC, Journal, RunFolder
from augment.settings import Settings, load_settings, write_settings
from benchmarks.claims import Claim, Note, Part, Spread, Table, at_least, at_most, interleave
from edge_runtime.bundle.files import sha256_bytes
from tests.support.rendered_run import prepare

BATCHES, BATCH = 16, 4
ROUNDS = 3
DEADLINE = 600.0  # seconds for what another process is to do
PAINTED = 8  # pictures that are painted between the kill of a worker and that of the command


class Timed(JsonObject):
    """A painted picture, and when its batch began and ended: seconds of the machine's clock, which workers share."""

    id: str
    sha256: str
    began: float
    ended: float
    worker: int  # the process
    processor: float  # seconds of the whole batch


@dataclass(frozen=True)
class _Item:
    id: str
    seed: int


@dataclass(frozen=True)
class _Painting:
    """Batches of pictures by the embedded Stable Diffusion, with the settings of the preset."""

    what: ClassVar[str] = "batches painted"
    settings: Settings
    models: Models

    def start(self) -> Callable[[Sequence[_Item]], list[Timed]]:
        painter, method = self.models.painter, parse_method("text2img")

        def painted(batch: Sequence[_Item]) -> list[Timed]:
            began, before = time.time(), time.process_time()
            frames = painter.paint([Order("a broken insulator", item.seed) for item in batch], method, None)
            used = time.process_time() - before
            return [
                Timed(
                    id=item.id,
                    sha256=sha256_bytes(b"" if frame is None else frame.tobytes()),
                    began=began,
                    ended=time.time(),
                    worker=os.getpid(),
                    processor=used,
                )
                for item, frame in zip(batch, frames, strict=True)
            ]

        return painted


def scaling(work: Path, options: Sequence[str]) -> Sequence[Part]:
    """Paint the same batches with one worker and with two, in turns; the rate is of the time in which all paint."""
    os.environ["OMP_NUM_THREADS"] = "1"
    settings = PRESETS["mini"]
    painting = _Painting(settings, Models(settings))
    batches = [[_Item(f"{at}-{row}", BATCH * at + row) for row in range(BATCH)] for at in range(BATCHES)]
    starts: list[float] = []
    used: dict[int, list[float]] = {1: [], 2: []}
    pixels: set[str] = set()

    def rate(workers: int) -> Callable[[], float]:
        def painted() -> float:
            place = work / "scaling"
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            engine = RayEngine(workers)
            began = time.time()
            try:
                found = engine.map(painting, batches, Journal(place / "journal.jsonl", Timed, ""), attrgetter("id"))
            finally:
                engine.close()
            starts.append(min(record.began for record in found.values()) - began)
            used[workers].append(float(np.mean([record.processor for record in found.values()])) / BATCH)
            pixels.add(sha256_bytes("".join(found[name].sha256 for name in sorted(found)).encode()))
            return _rate(list(found.values()))

        return painted

    samples = interleave({"one": rate(1), "two": rate(2)}, ROUNDS, warm_up=0)
    if len(pixels) != 1:
        raise RuntimeError("one worker and two painted different pictures")
    claim = Claim(
        id="scaling",
        question=f"pictures a second of two workers over one, {BATCHES * BATCH} pictures of the embedded Stable "
        "Diffusion, one thread each, while all workers paint",
        measured=samples.ratio("two", "one"),
        target=at_least(1.6),
    )
    rows = [["workers", "pictures a second", "processor seconds a picture, in the worker"]]
    for workers, name in ((1, "one"), (2, "two")):
        rows.append([str(workers), f"{samples.spread(name).median:.2f}", f"{np.median(used[workers]):.3f}"])
    text = (
        f"Ray and the workers were ready {np.median(starts):.1f} s after the command asked for them (median); that is "
        "paid once a stage. Both painted the same pixels. Where a picture takes more processor time with two workers "
        "than with one, the cores share what they compute with, or something else ran; the rest of what is missing "
        "from 2 is Ray's own processes."
    )
    return [claim, Table(rows=rows), Note(text=text)]


def _rate(painted: Sequence[Timed]) -> float:
    """Return the pictures a second while all workers painted; of a batch the part that lies in that time counts."""
    of_worker = [[one for one in painted if one.worker == worker] for worker in {one.worker for one in painted}]
    begin = max(min(one.began for one in own) for own in of_worker)
    end = min(max(one.ended for one in own) for own in of_worker)
    parts = (max(0.0, min(one.ended, end) - max(one.began, begin)) / (one.ended - one.began) for one in painted)
    return sum(parts) / (end - begin)


def worker_killed(work: Path, options: Sequence[str]) -> Sequence[Part]:
    """Kill a worker in each stage and then the command, type it again, and compare with the local engine's run."""
    place = work / "worker-killed"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    runs = {name: prepare(place / name, place / "images") for name in ("local", "ray")}
    for pipeline in runs.values():
        _shorten(pipeline)
    _finish(_command(runs["local"]))
    kills, repeated = _run_and_kill(runs["ray"])
    _finish(_command(runs["ray"], "--engine", "ray", "--workers", "2"))
    unlike, pictures = _unlike(runs["local"].parent, runs["ray"].parent)
    command = Claim(
        id="worker-killed",
        question=f"documents and pictures unlike the local engine's, after {kills} workers and then the command were "
        f"killed (SIGKILL) and it was typed again; {pictures} pictures",
        measured=Spread(median=float(len(unlike))),
        unit="files",
        target=at_most(0),
        note=", ".join(unlike),
    )
    return [command, Note(text=f"Lines that stood in a journal twice when it was looked at: {repeated}.")]


def _shorten(pipeline: Path) -> None:
    """Leave out what no engine takes part in, and paint more."""
    settings = load_settings(pipeline)
    generate = replace(settings.generate, methods=("text2img", "img2img-0.5"), rounds=1, target=12, batch_size=2)
    write_settings(replace(settings, generate=generate), pipeline)


def _command(pipeline: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "augment.cli", "run", str(pipeline), "--until", "curate", *options]


def _finish(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def _run_and_kill(pipeline: Path) -> tuple[int, int]:
    """Start the run, kill a worker in each of three stages, and the command in the last of them.

    Returns how many workers were killed, and how many lines of journals were there twice.
    """
    command = _command(pipeline, "--engine", "ray", "--workers", "2")
    process = psutil.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    repeated = kills = 0
    try:
        for stage in (CAPTIONS, PROMPTS, SYNTHETIC):
            place = pipeline.parent / stage.document
            _wait_for_lines(process, place, 4)
            next(_workers(process)).send_signal(signal.SIGKILL)
            kills += 1
            if stage is SYNTHETIC:
                _wait_for_lines(process, place, len(_lines(place)) + PAINTED)
            lines = _lines(place)
            repeated += len(lines) - len(set(lines))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    return kills, repeated


def _workers(process: psutil.Process) -> Iterator[psutil.Process]:
    """Yield the workers that are at a batch or wait for one; Ray writes into their title what they are."""
    for child in process.children(recursive=True):
        with suppress(psutil.Error):
            if child.cmdline()[0].startswith("ray::MapWorker"):
                yield child


def _lines(place: Path) -> list[str]:
    found = []
    for path in place.glob("journal*.jsonl"):
        with suppress(FileNotFoundError):  # the stage has just ended
            found += path.read_text().rpartition("\n")[0].split("\n")[1:]
    return found


def _wait_for_lines(process: psutil.Popen, place: Path, count: int) -> None:
    limit = time.monotonic() + DEADLINE
    while len(_lines(place)) < count:
        if process.poll() is not None or time.monotonic() > limit:
            raise RuntimeError("the run ended, or took too long, before it could be killed")
        time.sleep(0.02)


def _unlike(one: Path, other: Path) -> tuple[list[str], int]:
    """Return what differs between two runs, documents by their digest and pictures by their bytes; and the pictures."""
    unlike = []
    for stage in (CAPTIONS, PROMPTS, SYNTHETIC, CURATION):
        documents = [RunFolder(run).require(stage) for run in (one, other)]
        if documents[0].digest != documents[1].digest:
            unlike.append(stage.document)
    pictures = [{path.relative_to(run): path for path in run.glob("synthetic/images/*/*")} for run in (one, other)]
    names = sorted(pictures[0].keys() | pictures[1].keys())
    unlike += [
        str(name)
        for name in names
        if name not in pictures[0]
        or name not in pictures[1]
        or pictures[0][name].read_bytes() != pictures[1][name].read_bytes()
    ]
    return unlike, len(names)
