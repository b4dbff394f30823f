"""The table of `edge-classify --bench`: counted results, and the engine alone."""

from pathlib import Path

import cv2
import numpy as np

from edge_runtime.bundle.store import open_bundle
from edge_runtime.classify.results import Result
from edge_runtime.classify.timing import start_bench
from edge_runtime.inference.engines import open_engine
from edge_runtime.inference.evaluator import Evaluator


def evaluator(packed) -> Evaluator:
    bundle = open_bundle(packed)
    return Evaluator(bundle, open_engine(bundle, "cpu", "fp32").engine)


def test_every_stage_of_the_evaluated_inputs_is_counted(packed, tmp_path):
    judge = evaluator(packed)
    bench = start_bench(judge, workers=2)
    frame = np.full((8, 8, 3), (0, 64, 32), np.uint8)
    frame[:, :4] = 0  # one flat tone would count as blank
    evaluation = judge.evaluate(frame)
    cv2.imwrite(str(tmp_path / "a.png"), frame)
    bench.add(Result(tmp_path / "a.png", evaluation=evaluation, decode_ms=1.5))
    bench.add(Result(Path("b.png"), "b.png does not exist"))
    assert (bench.decode, bench.preprocess, bench.infer) == (
        [1.5],
        [evaluation.preprocess_ms],
        [evaluation.infer_ms],
    )
    report = bench.report().splitlines()
    rows = {line[:12].strip(): line.split()[-1] for line in report[1:5]}
    assert list(rows) == ["decode", "preprocess", "infer", "raw engine"]
    assert rows["decode"] == "1"
    assert "of the bound" in report[6]


def test_where_nothing_was_evaluated_there_is_nothing_to_time(packed):
    assert "nothing was evaluated" in start_bench(evaluator(packed), workers=1).report()
