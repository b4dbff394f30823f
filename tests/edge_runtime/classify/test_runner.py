"""How many frames a call of the engine gets, and how many cores."""

import queue
import threading
from dataclasses import dataclass, field

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.store import open_bundle
from edge_runtime.classify import cli
from edge_runtime.classify.inputs import InputFile, Inputs
from edge_runtime.classify.runner import BatchRunner, _Job
from edge_runtime.inference.engines import Engine, load_engine
from edge_runtime.inference.evaluator import TOGETHER, Evaluator
from tests.support.pictures import GREEN, RED, picture, write

MOST = TOGETHER["openvino", "int8"]


@dataclass
class CountedCalls:
    """The colour model, which passes for one whose first call with a new number of frames takes long."""

    engine: Engine
    name: str = "openvino"
    precision: str = "int8"
    frames: list[int] = field(default_factory=list)

    def run(self, frames):
        self.frames.append(len(frames))
        return self.engine.run(frames)


def test_frames_go_to_the_engine_singly_or_as_many_as_are_best(packed, tmp_path):
    """Also where some of those that wait cannot be read, show nothing, or have more pages than others."""
    pictures = [write(tmp_path / f"{number:02}.png", picture(RED if number % 3 else GREEN)) for number in range(20)]
    write(pictures[5], np.zeros((64, 64, 3), np.uint8))
    pictures[10].write_bytes(b"no picture")
    pages = [Image.fromarray(picture(colour)[..., ::-1]) for colour in (RED, GREEN)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    bundle = open_bundle(packed)
    calls = CountedCalls(load_engine(bundle, "cpu", "fp32"))
    runner = BatchRunner(Evaluator(bundle, calls))
    jobs = [_Job(task) for task in runner._tasks(InputFile(path) for path in [*pictures, tmp_path / "pages.tif"])]
    waiting = queue.SimpleQueue()
    for job in [*jobs, None]:
        waiting.put(job)
    runner._work(waiting, threading.Event())
    results = [result for job in jobs for result in job.done.result(0)]
    labels = [result.evaluation.decision.label if result.reason is None else "" for result in results]
    expected = ["normal" if number % 3 == 0 else "rust" for number in range(20)]
    expected[5] = expected[10] = ""
    assert labels == [*expected, "rust", "normal"]
    assert set(calls.frames) == {1, MOST}
    assert sum(calls.frames) == 20


def test_results_come_in_the_order_of_the_inputs(packed, tmp_path):
    for number in range(40):
        write(tmp_path / f"{number:02}.png", picture(RED))
    bundle = open_bundle(packed)
    evaluator = Evaluator(bundle, CountedCalls(load_engine(bundle, "cpu", "fp32")))
    results = BatchRunner(evaluator, workers=2).run(Inputs([tmp_path]))
    assert [result.path.stem for result in results] == [f"{number:02}" for number in range(40)]


@pytest.mark.parametrize(
    ("arguments", "workers", "threads"),
    [
        (["one.png"], 1, 4),
        (["one.png", "two.png"], 4, 1),
        (["."], 4, 1),
        (["-"], 4, 1),
        (["gone.png"], 4, 1),
        (["notes.txt"], 4, 1),
        (["one.png", "--threads", "2"], 2, 1),
        (["one.png", "--bench"], 4, 1),
    ],
)
def test_a_single_picture_has_all_cores(tmp_path, monkeypatch, arguments, workers, threads):
    monkeypatch.chdir(tmp_path)
    for name in ("one.png", "two.png"):
        write(tmp_path / name, picture(RED))
    (tmp_path / "-").write_bytes((tmp_path / "one.png").read_bytes())  # which is no file, but a list to be read
    (tmp_path / "notes.txt").write_text("no picture")
    asked = []

    def stop(folder, engine, precision, callers, threads):
        asked.append((callers, threads))
        raise InputError("seen enough")

    monkeypatch.setattr(cli, "cores", lambda: 4)
    monkeypatch.setattr(cli, "open_evaluator", stop)
    CliRunner().invoke(cli.main, arguments)
    assert asked == [(workers, threads)]
