"""How many frames a call of the engine gets, and how many cores."""

from dataclasses import dataclass, field

import pytest
from click.testing import CliRunner

from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.store import open_bundle
from edge_runtime.classify import cli
from edge_runtime.classify.inputs import Inputs
from edge_runtime.classify.runner import BatchRunner
from edge_runtime.inference.engines import Engine, load_engine
from edge_runtime.inference.evaluator import TOGETHER, Evaluator
from tests.support.pictures import GREEN, RED, picture, write

WORKERS = 2
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
    for number in range(40):
        write(tmp_path / f"{number:02}.png", picture(RED if number % 3 else GREEN))
    bundle = open_bundle(packed)
    calls = CountedCalls(load_engine(bundle, "cpu", "fp32"))
    results = list(BatchRunner(Evaluator(bundle, calls), WORKERS).run(Inputs([tmp_path])))
    assert [result.path.stem for result in results] == [f"{number:02}" for number in range(40)]
    assert [result.evaluation.decision.label for result in results[:4]] == ["normal", "rust", "rust", "normal"]
    assert set(calls.frames) == {1, MOST}
    assert sum(calls.frames) == 40


@pytest.mark.parametrize(
    ("arguments", "workers", "threads"),
    [
        (["one.png"], 1, 4),
        (["one.png", "two.png"], 4, 1),
        (["."], 4, 1),
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
    (tmp_path / "notes.txt").write_text("no picture")
    asked = []

    def stop(folder, engine, precision, callers, threads):
        asked.append((callers, threads))
        raise InputError("seen enough")

    monkeypatch.setattr(cli, "cores", lambda: 4)
    monkeypatch.setattr(cli, "open_evaluator", stop)
    CliRunner().invoke(cli.main, arguments)
    assert asked == [(workers, threads)]
