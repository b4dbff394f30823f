"""The keeper, told what the loop tells it: scores on disk, and cameras that drift in status and metrics."""

import time

import pytest

pytest.importorskip("prometheus_client", reason="the extra `station` is not installed")

from edge_runtime.alerts.votes import CameraRule, VoteRule
from edge_runtime.bundle.decision import DecisionRule
from edge_runtime.bundle.store import open_bundle
from edge_runtime.station.metrics import Metrics
from edge_runtime.station.scores.keeper import ScoreKeeper
from edge_runtime.station.scores.score_store import read_scores
from tests.support.colour_bundle import RULE
from tests.support.scored_views import grown_dark, rules_of, rust, scored_view

VIEWS = [("yard", ""), ("gate", "")]


def test_another_model_begins_another_file_of_scores(packed, tmp_path):
    bundle, rules = open_bundle(packed), rules_of(("yard", "gate"))
    keeper = ScoreKeeper(tmp_path, 1 << 30, bundle, rules, VIEWS, Metrics())
    keeper.judged([scored_view(RULE, rust(0.2), time.monotonic())])
    keeper.take_over(bundle, rules)
    keeper.judged([scored_view(RULE, rust(0.3), time.monotonic(), "gate")])
    keeper.stop()
    assert [round(float(block.chances[0, 0]), 3) for block in read_scores(tmp_path)] == [0.2, 0.3]
    assert keeper.document() == []


def test_a_camera_that_drifts_is_told_in_status_and_metrics(packed, tmp_path):
    metrics = Metrics()
    keeper = ScoreKeeper(tmp_path, 0, open_bundle(packed), rules_of(("yard", "gate")), VIEWS, metrics)
    grown_dark(keeper._drift)
    keeper.tick(0.0)
    (told,) = keeper.document()
    assert (told["camera"], told["measure"], told["side"]) == ("yard", "brightness", "below")
    assert 'rarefault_camera_drift{camera="yard"} 1.0' in metrics.text().decode()
    assert 'rarefault_camera_drift{camera="gate"} 0.0' in metrics.text().decode()


def test_a_model_that_knows_no_fault_is_kept_and_watched_all_the_same(packed, tmp_path):
    plain = DecisionRule(RULE.labels, ())
    rules = {"yard": CameraRule(plain, VoteRule())}
    keeper = ScoreKeeper(tmp_path, 1 << 30, open_bundle(packed), rules, VIEWS[:1], Metrics())
    keeper.judged([scored_view(plain, rust(0.2), time.monotonic())])
    keeper.stop()
    assert keeper.document() == []
