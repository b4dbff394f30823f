"""Which frames are kept: probabilities and counts that can be worked out by hand."""

import numpy as np
import pytest

from edge_runtime.alerts.sample_selection import DISAGREEING, RARE, SETTLED, UNCERTAIN, SampleSelector
from edge_runtime.bundle.decision import Decision
from edge_runtime.station.settings import SamplesSection
from tests.support.colour_bundle import RULE

NOTHING = frozenset[str]()


def said(normal: float, rust: float, leak: float) -> Decision:
    return RULE.decide(np.array([normal, rust, leak]))  # bars: rust 0.4, leak 0.9


CLEAR, RUST = said(1.0, 0.0, 0.0), said(0.2, 0.8, 0.0)


@pytest.fixture
def picker() -> SampleSelector:
    return SampleSelector(SamplesSection(uncertain_margin=0.15, rare_share=0.02, interval=300.0))


def test_a_plain_frame_is_let_go(picker):
    assert picker.reason("yard", CLEAR, RULE, NOTHING, 0.0) is None


@pytest.mark.parametrize(("rust", "kept"), [(0.2, False), (0.26, True), (0.39, True)])
def test_near_a_threshold_is_uncertain(picker, rust, kept):
    assert picker.reason("yard", said(1 - rust, rust, 0.0), RULE, NOTHING, 0.0) == (UNCERTAIN if kept else None)


def test_a_frame_against_the_votes_disagrees(picker):
    assert picker.reason("yard", RUST, RULE, NOTHING, 0.0) == DISAGREEING
    assert picker.reason("gate", RUST, RULE, frozenset({"rust"}), 0.0) is None
    assert picker.reason("gate", CLEAR, RULE, frozenset({"rust"}), 0.0) == DISAGREEING


def test_one_frame_per_interval_camera_and_reason(picker):
    unsure = said(0.7, 0.3, 0.0)
    assert picker.reason("yard", unsure, RULE, NOTHING, 0.0) == UNCERTAIN
    assert picker.reason("yard", unsure, RULE, NOTHING, 299.0) is None
    assert picker.reason("gate", unsure, RULE, NOTHING, 299.0) == UNCERTAIN
    assert picker.reason("yard", RUST, RULE, NOTHING, 299.0) == DISAGREEING
    assert picker.reason("yard", unsure, RULE, NOTHING, 300.0) == UNCERTAIN


def test_a_label_is_rare_once_enough_has_been_seen(picker):
    rust_alarm = frozenset({"rust"})
    assert picker.reason("yard", RUST, RULE, rust_alarm, 0.0) is None  # the first frame says nothing about rarity
    for _ in range(SETTLED - 2):
        picker.reason("yard", CLEAR, RULE, NOTHING, 0.0)
    assert picker.reason("yard", RUST, RULE, rust_alarm, 0.0) == RARE  # 2 of 200, below 2 %
    for place in range(10):
        reason = picker.reason("yard", RUST, RULE, rust_alarm, 1000.0 * (place + 1))
        assert reason == (RARE if place < 2 else None)  # 3 of 201, 4 of 202, then 5 of 203 and above 2 %
