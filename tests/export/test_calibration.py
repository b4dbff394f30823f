import math

import numpy as np
import pytest

from edge_runtime.bundle.errors import InputError
from export.calibration import choose_thresholds, fit_temperature, negative_log_likelihood, positives_needed


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
    assert (choice.threshold, choice.positives, choice.needed, choice.fitted) == (0.5, positives, 5, False)
    assert (choice.f1, choice.recall) == (f1, f1)


def chosen_for(target, positives, others):
    """The choice for a label with these scores, among frames of another one with those."""
    targets = np.array([1] * len(positives) + [0] * len(others))
    labels = ("clean", "hot")
    return choose_thresholds(two_columns([*positives, *others]), targets, labels, ("hot",), target)["hot"]


FAULTS = [0.9] * 50 + [0.3] * 9 + [0.1]  # 60 of them; all but one are at 0.3 or above
SOUND = [0.4] * 2 + [0.2] * 10 + [0.01] * 88


@pytest.mark.parametrize(
    ("target", "threshold", "recall", "alarms"),
    [
        (0.0, 0.25, 59 / 60, 2.0),  # the best F1
        (0.8, 0.5, 50 / 60, 0.0),  # the highest that finds 48 of 60
        (0.95, 0.25, 59 / 60, 2.0),  # between 0.3 and the nearest score below
        (0.99, 0.055, 1.0, 12.0),
    ],
)
def test_the_highest_threshold_that_reaches_the_recall(target, threshold, recall, alarms):
    choice = chosen_for(target, FAULTS, SOUND)
    assert choice.threshold == pytest.approx(threshold)
    assert (choice.recall, choice.false_alarms) == (pytest.approx(recall), pytest.approx(alarms))


def test_a_recall_out_of_reach_gives_the_lowest_threshold_and_the_recall_there_is():
    choice = chosen_for(0.9, [0.9] * 6 + [0.001] * 4, [0.0001])
    assert (choice.threshold, choice.recall) == (0.05, 0.6)


def test_bounds_by_hand():
    """With n of n the lower bound is the n-th root of 0.05; none of 100 is at most 1 - 0.05 ** 0.01."""
    choice = chosen_for(0.95, [0.9] * 59, [0.1] * 100)
    assert choice.recall_bound == pytest.approx(0.05 ** (1 / 59))
    assert choice.recall_bound >= 0.95
    assert choice.false_alarms_bound == pytest.approx(100 * (1 - 0.05**0.01))
    assert choice.fitted


def test_bounds_hold_for_nineteen_of_twenty_samples():
    """Of samples whose true recall is 0.8, at most 5 % have a lower bound above it (exactly 4.4 % at 30 frames)."""
    generator = np.random.default_rng(0)
    found = generator.binomial(30, 0.8, 2000)
    bounds = {k: chosen_for(0.0, [0.9] * k + [0.0] * (30 - k), [0.0]).recall_bound for k in set(found.tolist())}
    assert 0.02 < np.mean([bounds[k] > 0.8 for k in found.tolist()]) < 0.06


def test_without_frames_the_bounds_say_nothing():
    choice = chosen_for(0.95, [], [0.1])
    assert (choice.recall, choice.recall_bound) == (None, 0.0)
    choice = chosen_for(0.95, [0.9] * 5, [])
    assert (choice.false_alarms, choice.false_alarms_bound) == (None, 100.0)


@pytest.mark.parametrize(("target", "needed"), [(0.0, 5), (0.3, 5), (0.8, 14), (0.9, 29), (0.95, 59), (0.999, 2995)])
def test_positives_needed_to_show_a_recall(target, needed):
    assert positives_needed(target) == needed
    if needed > 5:
        assert target**needed <= 0.05 < target ** (needed - 1)


def test_a_target_that_the_positives_cannot_show_is_followed_and_marked():
    choice = chosen_for(0.95, [0.9] * 9 + [0.2], [0.1])
    assert choice.threshold == pytest.approx(0.15)
    assert (choice.recall, choice.needed, choice.fitted) == (1.0, 59, False)
    assert choice.recall_bound == pytest.approx(0.05**0.1)


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
