import math

import numpy as np
import pytest

from edge_runtime.bundle.errors import InputError
from export.calibration import choose_thresholds, fit_temperature, negative_log_likelihood


def test_likelihood_by_hand():
    logits = np.array([[0.0, 2 * math.log(3)]])
    assert negative_log_likelihood(logits, np.array([1]), 2.0) == pytest.approx(-math.log(0.75))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_a_known_temperature_is_recovered(temperature):
    """Labels are drawn from softmax(x); the logits seen are x * temperature."""
    generator = np.random.default_rng(0)
    clean = generator.normal(0, 2, (20_000, 4))
    chances = np.exp(clean) / np.exp(clean).sum(1, keepdims=True)
    targets = (chances.cumsum(1) < generator.random((len(clean), 1))).sum(1)
    assert fit_temperature(clean * temperature, targets) == pytest.approx(temperature, rel=0.03)


def test_where_nothing_is_wrong_the_temperature_stops_at_its_bound():
    assert fit_temperature(np.eye(3) * 2, np.arange(3)) == pytest.approx(0.25, rel=1e-3)


def two_columns(scores):
    return np.column_stack([1 - np.array(scores), scores])


def test_threshold_by_hand():
    """Positives from 0.30 up, negatives up to 0.22 but for one at 0.35: best F1 is 10/11, between 0.22 and 0.30."""
    scores = [0.30, 0.40, 0.60, 0.70, 0.80, 0.35, 0.22, 0.10, 0.01]
    targets = np.array([1, 1, 1, 1, 1, 0, 0, 0, 0])
    choice = choose_thresholds(two_columns(scores), targets, ("clean", "hot"), ("hot",))["hot"]
    assert choice.threshold == pytest.approx(0.26)
    assert choice.f1 == pytest.approx(10 / 11)
    assert (choice.positives, choice.fitted) == (5, True)


def test_of_equal_thresholds_the_highest_is_taken():
    scores = [0.9, 0.9, 0.9, 0.9, 0.9, 0.1, 0.2]
    choice = choose_thresholds(two_columns(scores), np.array([1, 1, 1, 1, 1, 0, 0]), ("clean", "hot"), ("hot",))["hot"]
    assert (choice.threshold, choice.f1) == (0.5, 1.0)


def test_a_hopeless_positive_does_not_drag_the_threshold_to_nothing():
    scores = [0.001, 0.001, 0.001, 0.001, 0.001, 0.0001]
    choice = choose_thresholds(two_columns(scores), np.array([1, 1, 1, 1, 1, 0]), ("clean", "hot"), ("hot",))["hot"]
    assert choice.threshold >= 0.05


@pytest.mark.parametrize(("positives", "f1"), [(4, 1.0), (0, None)])
def test_too_few_positives_keep_the_default_and_say_so(positives, f1):
    scores = [0.9] * positives + [0.1] * 5
    targets = np.array([1] * positives + [0] * 5)
    choice = choose_thresholds(two_columns(scores), targets, ("clean", "hot"), ("hot",))["hot"]
    assert choice.to_json() == {"threshold": 0.5, "positives": positives, "f1": f1, "fitted": False}


@pytest.mark.parametrize(
    ("scores", "targets", "sentence"),
    [
        (np.zeros((0, 2)), np.zeros(0, int), "calibration needs"),
        (np.zeros((2, 2)), np.zeros(3, int), "calibration needs"),
        (np.array([[np.nan, 0]]), np.array([0]), "no finite number"),
        (np.zeros((1, 2)), np.array([2]), "outside 0..1"),
    ],
)
def test_unusable_scores_are_a_sentence(scores, targets, sentence):
    with pytest.raises(InputError, match=sentence):
        fit_temperature(scores, targets)
