"""One path for every picture, on the colour bundle."""

from dataclasses import replace

import numpy as np
import pytest

from edge_runtime.bundle.store import open_bundle
from edge_runtime.causes import Cause
from edge_runtime.inference.engines import open_engine
from edge_runtime.inference.evaluator import Evaluator
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
