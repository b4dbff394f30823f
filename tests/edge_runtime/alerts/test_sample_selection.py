"""Which frames are kept: probabilities and counts that can be worked out by hand."""

import numpy as np
import pytest

from edge_runtime.alerts.events import JudgedView
from edge_runtime.alerts.sample_selection import DISAGREEING, RARE, SETTLED, UNCERTAIN, SampleSelector
from edge_runtime.alerts.settings import SamplesSection
from edge_runtime.bundle.decision import Decision
from edge_runtime.inference.blank_check import Health
from edge_runtime.inference.evaluator import Evaluation
from tests.support.colour_bundle import RULE

NOTHING = frozenset[str]()


def decided(normal: float, rust: float, leak: float) -> Decision:
    return RULE.decide(np.log(np.maximum([normal, rust, leak], 1e-9)))  # thresholds: rust 0.4, leak 0.9


def view(camera: str, decision: Decision, captured: float) -> JudgedView:
    evaluation = Evaluation(RULE, Health(0, 0, 0), 0.0, 0.0, decision)
    return JudgedView(camera, np.zeros((1, 1, 3), np.uint8), evaluation, captured)


CLEAR, RUST = decided(1.0, 0.0, 0.0), decided(0.2, 0.8, 0.0)


@pytest.fixture
def picker() -> SampleSelector:
    return SampleSelector(SamplesSection(uncertain_margin=0.15, rare_share=0.02, interval=300.0))


def test_a_plain_frame_is_let_go(picker):
    assert picker.reason(view("yard", CLEAR, 0.0), NOTHING) is None


@pytest.mark.parametrize(("rust", "kept"), [(0.2, False), (0.26, True), (0.39, True)])
def test_near_a_threshold_is_uncertain(picker, rust, kept):
    assert picker.reason(view("yard", decided(1 - rust, rust, 0.0), 0.0), NOTHING) == (UNCERTAIN if kept else None)


def test_a_frame_against_the_votes_disagrees(picker):
    assert picker.reason(view("yard", RUST, 0.0), NOTHING) == DISAGREEING
    assert picker.reason(view("gate", RUST, 0.0), frozenset({"rust"})) is None
    assert picker.reason(view("gate", CLEAR, 0.0), frozenset({"rust"})) == DISAGREEING


def test_one_frame_per_interval_camera_and_reason(picker):
    unsure = decided(0.7, 0.3, 0.0)
    assert picker.reason(view("yard", unsure, 0.0), NOTHING) == UNCERTAIN
    assert picker.reason(view("yard", unsure, 299.0), NOTHING) is None
    assert picker.reason(view("gate", unsure, 299.0), NOTHING) == UNCERTAIN
    assert picker.reason(view("yard", RUST, 299.0), NOTHING) == DISAGREEING
    assert picker.reason(view("yard", unsure, 300.0), NOTHING) == UNCERTAIN


def test_a_label_is_rare_once_enough_has_been_seen(picker):
    rust_alarm = frozenset({"rust"})
    assert picker.reason(view("yard", RUST, 0.0), rust_alarm) is None  # the first frame says nothing about rarity
    for _ in range(SETTLED - 2):
        picker.reason(view("yard", CLEAR, 0.0), NOTHING)
    assert picker.reason(view("yard", RUST, 0.0), rust_alarm) == RARE  # 2 of 200, below 2 %
    for place in range(10):
        reason = picker.reason(view("yard", RUST, 1000.0 * (place + 1)), rust_alarm)
        assert reason == (RARE if place < 2 else None)  # 3 of 201, 4 of 202, then 5 of 203 and above 2 %
