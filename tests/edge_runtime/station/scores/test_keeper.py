"""The keeper, told what the loop tells it: scores on disk, and cameras that drift in status and metrics."""

import time

import pytest

pytest.importorskip("prometheus_client", reason="the extra `station` is not installed")

from edge_runtime.bundle.store import open_bundle
from edge_runtime.inference.blank_check import Health
from edge_runtime.station.metrics import Metrics
from edge_runtime.station.scores.drift import LEARNED_HOURS
from edge_runtime.station.scores.keeper import ScoreKeeper
from edge_runtime.station.scores.score_store import read_scores
from tests.support.colour_bundle import RULE
from tests.support.scored_views import rules_of, rust, scored_view

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
    for hour in range(500_000, 500_000 + LEARNED_HOURS + 30):
        mean = 100.0 if hour < 500_000 + LEARNED_HOURS else 200.0
        for number in range(12):
            view = scored_view(RULE, rust(0.01), hour * 3600.0 + number * 200, health=Health(mean, 30.0, 400.0))
            keeper._drift.note([view], hour * 3600.0 + number * 200)
    keeper.tick(0.0)
    (told,) = keeper.document()
    assert (told["camera"], told["measure"], told["side"]) == ("yard", "brightness", "above")
    assert 'rarefault_camera_drift{camera="yard"} 1.0' in metrics.text().decode()
    assert 'rarefault_camera_drift{camera="gate"} 0.0' in metrics.text().decode()
