"""One path for every picture, on the colour bundle."""

from dataclasses import replace

import numpy as np
import pytest

from edge_runtime.bundle.store import open_bundle
from edge_runtime.causes import Cause
from edge_runtime.inference.engines import available_engines, open_engine
from edge_runtime.inference.evaluator import Evaluator
from tests.support import spot_bundle
from tests.support.colour_bundle import LABELS, RULE


@pytest.fixture(scope="module")
def evaluator(packed) -> Evaluator:
    opened = open_bundle(packed)
    return Evaluator(opened, open_engine(opened, "cpu", "fp32", 1).engine)


def test_a_cameras_own_rule_changes_the_verdict_and_never_the_scores(evaluator):
    frame = np.zeros((8, 8, 3), np.uint8)
    frame[:4, :, 1], frame[4:, :, 2] = 255, 255  # half green, half red: normal and rust at one half
    ours = evaluator.evaluate(frame)
    strict = evaluator.evaluate(frame, replace(RULE, thresholds={"rust": 0.6, "leak": 0.9}))
    assert ours.decision.flagged == ("rust",)
    assert strict.decision.flagged == ()
    assert dict(strict.decision.top) == dict(ours.decision.top)


def test_every_label_has_its_own_map(evaluator):
    frame = np.zeros((8, 8, 3), np.uint8)
    frame[:4, :, 1], frame[4:, :, 2] = 255, 255
    evaluation = evaluator.evaluate(frame)
    assert tuple(evaluation.cams) == LABELS
    assert evaluation.cams["normal"][:4].min() > 7 > 0 == evaluation.cams["normal"][4:].max()
    assert evaluation.cams["rust"][4:].min() > 7 > 0 == evaluation.cams["rust"][:4].max()
    assert evaluation.cam is evaluation.cams["rust"]


def test_a_blank_frame_has_no_map(evaluator):
    assert evaluator.evaluate(np.zeros((8, 8, 3), np.uint8)).cam is None


def test_together_or_alone_the_scores_are_the_same(evaluator):
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 255, (20, 30, 3), np.uint8) for _ in range(5)]
    frames[2] = np.zeros((20, 30, 3), np.uint8)  # black: it must not shift the others' answers
    together = evaluator.evaluate_all([(frame, RULE) for frame in frames])
    for frame, evaluation in zip(frames, together, strict=True):
        alone = evaluator.evaluate(frame, RULE)
        assert (evaluation.decision, evaluation.reason) == (alone.decision, alone.reason)
        assert all(np.array_equal(evaluation.cams[label], alone.cams[label]) for label in alone.cams)
    assert together[2].decision is None


class OneBadAnswer:
    """The colour model, which answers the second frame of a call with NaN."""

    name, precision = "cpu", "fp32"

    def __init__(self, engine) -> None:
        self._engine = engine

    def run(self, frames):
        outputs = self._engine.run(frames)
        outputs["logits"][1] = np.nan
        return outputs


def test_an_unusable_answer_to_one_frame_leaves_the_others_as_they_are(evaluator):
    frames = [np.full((8, 8, 3), (0, 255 - row, 40), np.uint8) for row in range(3)]
    for frame in frames:
        frame[:4] = 90
    broken = Evaluator(evaluator.bundle, OneBadAnswer(evaluator.engine))
    first, second, third = broken.evaluate_all([(frame, RULE) for frame in frames])
    assert (second.decision, second.cause) == (None, Cause.MODEL)
    assert "no finite number" in second.reason
    assert first.decision == evaluator.evaluate(frames[0]).decision
    assert third.decision == evaluator.evaluate(frames[2]).decision


def test_an_evaluation_carries_its_cause_and_its_rule(evaluator):
    rule = replace(RULE, temperature=2.0)
    (black,) = evaluator.evaluate_all([(np.zeros((8, 8, 3), np.uint8), rule)])
    assert (black.cause, black.rule) == (Cause.BLACK, rule)
    assert "black" in black.reason


@pytest.fixture(scope="module", params=["cpu", "openvino"])
def spots(request, tmp_path_factory) -> Evaluator:
    if request.param not in available_engines():
        pytest.skip(f"the engine {request.param} is not installed here")
    opened = open_bundle(spot_bundle.make_bundle(tmp_path_factory.mktemp("spots")))
    return Evaluator(opened, open_engine(opened, request.param, "fp32", 1).engine)


@pytest.mark.parametrize(("group", "other"), [("line", "pole"), ("pole", "line")])
def test_a_spot_is_a_fault_of_the_group_that_is_seen(spots, group, other):
    with_spot = spots.evaluate(spot_bundle.scene(group, (4, 8)))
    assert (with_spot.decision.label, with_spot.decision.group) == (f"{group}_hot", group)
    assert with_spot.decision.probability == pytest.approx(1 / (1 + np.exp(-255 / 32 + 4)), abs=1e-6)
    assert with_spot.cam.shape == (4, 8)
    assert np.argwhere(with_spot.cam > 0.5).tolist() == [[1, 2], [1, 3]]
    assert np.array_equal(with_spot.cams[f"{other}_hot"], with_spot.cam)
    without = spots.evaluate(spot_bundle.scene(group))
    assert (without.decision.label, without.decision.fault) == (f"{group}_fine", False)
    assert without.cam.max() < 0.1


def test_bars_lend_a_blank_picture_no_detail(spots):
    assert spots.evaluate(np.full((40, 20, 3), 90, np.uint8)).cause is Cause.COVERED
    assert spots.evaluate(np.zeros((40, 20, 3), np.uint8)).cause is Cause.BLACK


class Counting:
    """Notes how many views each call of an engine gets."""

    def __init__(self, engine) -> None:
        self.name, self.precision, self._engine = engine.name, engine.precision, engine
        self.calls = []

    def run(self, frames):
        self.calls.append(len(frames))
        return self._engine.run(frames)


def test_all_tiles_of_all_frames_go_in_one_call_and_each_frame_gets_one_verdict(tmp_path):
    spec = replace(spot_bundle.SPEC, tiles=(1, 2))
    opened = open_bundle(spot_bundle.make_bundle(tmp_path, spec))
    engine = Counting(open_engine(opened, "cpu", "fp32", 1).engine)
    evaluator = Evaluator(opened, engine)
    height, width = spec.canvas
    rows = [(spot_bundle.scene("pole", spot, height, width), opened.manifest.decision) for spot in ((4, 40), None)]
    found, healthy = evaluator.evaluate_all(rows)
    assert engine.calls == [4]
    assert (found.decision.label, healthy.decision.label) == ("pole_hot", "pole_fine")
    assert found.cam.shape == (height // 4, width // 4)
    assert np.argwhere(found.cam > 0.5).tolist() == [[1, 10], [1, 11]]
    assert found.decision == evaluator.evaluate(rows[0][0]).decision
