"""Judged views with scores that a test chooses, as a station's rule decides on them."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from edge_runtime.alerts.events import JudgedView
from edge_runtime.alerts.votes import CameraRule, VoteRule, camera_rule
from edge_runtime.bundle.decision import Rule
from edge_runtime.inference.blank_check import Health
from edge_runtime.inference.evaluator import Evaluation
from edge_runtime.station.scores.drift import LEARNED_HOURS, DriftWatch, _measured
from tests.support.colour_bundle import RULE

MODEL = {"name": "colours", "version": "1", "digest": "c" * 64}
FRAME = np.zeros((8, 8, 3), np.uint8)
MAP = np.zeros((2, 2), np.float32)
HEALTH = Health(100.0, 30.0, 400.0)


def rules_of(
    cameras: tuple[str, ...], votes: VoteRule | None = None, thresholds: Mapping[str, float] | None = None
) -> dict[str, CameraRule]:
    """The colour bundle's rule for each camera."""
    return {camera: camera_rule(RULE, votes or VoteRule(), thresholds or {}) for camera in cameras}


def scored_view(
    rule: Rule, scores: object, captured: float, camera: str = "yard", region: str = "", health: Health = HEALTH
) -> JudgedView:
    """A view on which `rule` has decided by the `scores` of its head."""
    decision = rule.decide(np.asarray(scores, np.float64))
    evaluation = Evaluation(rule, health, 0.0, 0.0, decision, dict.fromkeys(rule.labels, MAP))
    return JudgedView(camera, FRAME, evaluation, captured, region)


def rust(chance: float) -> list[float]:
    """Logits of the colour bundle that give rust this chance, and leak hardly any."""
    return [0.0, float(np.log(chance / (1 - chance))), -20.0]


def show_hours(
    watch: DriftWatch, hours: range, mean: float = 100.0, chance: float = 0.01, detail: float = 400.0
) -> None:
    """Twelve frames of `yard` in each of the hours since 1970."""
    view = scored_view(RULE, rust(chance), 0.0, health=Health(mean, 30.0, detail))
    for hour in hours:
        for number in range(12):
            captured = hour * 3600.0 + number * 200
            watch.note([replace(view, captured=captured)], captured)


def teach_hours(watch: DriftWatch, hours: range) -> None:
    """The medians of hours of `yard` as `show_hours` shows them, without a file on disk for each hour."""
    view = scored_view(RULE, rust(0.01), 0.0)
    for name, value in _measured(view).items():
        for hour in hours:
            watch._series["yard", ""][name].add(hour, value)


def grown_dark(watch: DriftWatch, first: int = 500_000) -> None:
    """A week that is learned, and a darker day of `yard`."""
    teach_hours(watch, range(first, first + LEARNED_HOURS))
    show_hours(watch, range(first + LEARNED_HOURS, first + LEARNED_HOURS + 30), mean=40.0)
