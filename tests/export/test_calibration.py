import math

import numpy as np
import pytest

from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.heads import ClassHead, Group, Pooling, SpatialHead
from export.calibration import (
    choose_thresholds,
    fit_rule,
    fit_sigmoid,
    fit_temperature,
    negative_log_likelihood,
    positives_needed,
)


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


LABELS = ("line", "line_hot", "mast", "mast_hot", "mast_rust")
SPATIAL_FAULTS = ("line_hot", "mast_hot", "mast_rust")
HEAD = SpatialHead(
    (Group("line", "line", {"hot": "line_hot"}), Group("mast", "mast", {"hot": "mast_hot", "rust": "mast_rust"})),
    ("hot", "rust"),
    Pooling("top", 4),
)


def spatial_scores(count=4000, seed=0):
    """Scores (N, 4) whose true probability of a kind is sigmoid(2 * score - 1), and targets drawn from it."""
    generator = np.random.default_rng(seed)
    line = generator.random(count) < 0.5
    scores = generator.normal(0, 1.5, (count, 4))
    scores[:, 0], scores[:, 1] = np.where(line, 1.0, -1.0), 0.0
    chance = 1 / (1 + np.exp(-(2 * scores[:, 2:] - 1)))
    shown = generator.random((count, 2)) < chance
    rust = shown[:, 1] & ~shown[:, 0] & ~line
    targets = np.select([line & shown[:, 0], line, shown[:, 0], rust], [1, 0, 3, 4], 2)
    return scores, targets


def test_a_known_sigmoid_is_recovered():
    scores, targets = spatial_scores()
    scale, offset = fit_sigmoid(scores[:, 2], np.isin(targets, [1, 3]))
    assert (scale, offset) == (pytest.approx(2, rel=0.1), pytest.approx(-1, rel=0.1))
    moved, shifted = fit_sigmoid(scores[:, 2] * 10 + 50, np.isin(targets, [1, 3]))
    assert (moved, shifted) == (pytest.approx(scale / 10, rel=1e-3), pytest.approx(offset - 5 * scale, rel=1e-3))


def test_platts_targets_keep_a_perfect_score_from_certainty():
    """Five of five are parted without a mistake: the likeliest chances are Platt's 6/7 and 1/7, and no more."""
    scale, offset = fit_sigmoid(np.array([1.0] * 5 + [-1.0] * 5), np.arange(10) < 5)
    assert 1 / (1 + np.exp(-(scale + offset))) == pytest.approx(6 / 7, abs=1e-3)
    assert 1 / (1 + np.exp(scale - offset)) == pytest.approx(1 / 7, abs=1e-3)


def test_a_score_that_means_the_opposite_is_flattened_and_not_turned_round():
    scale, _ = fit_sigmoid(np.linspace(-2, 2, 40), np.arange(40) < 20)
    assert scale == pytest.approx(0.05 / np.linspace(-2, 2, 40).std())


def test_scores_that_hardly_differ_are_calibrated_as_well():
    scores, positive = np.linspace(-2.01, -2, 40), np.arange(40) >= 20
    scale, offset = fit_sigmoid(scores, positive)
    chances = 1 / (1 + np.exp(-(scale * scores + offset)))
    assert (chances >= 0.5).tolist() == positive.tolist()


@pytest.mark.parametrize("positive", [[False] * 4, [True] * 4])
def test_without_two_kinds_of_frames_there_is_no_sigmoid_to_fit(positive):
    assert fit_sigmoid(np.arange(4.0), np.array(positive)) == (1.0, 0.0)


def test_the_labels_of_a_kind_share_its_threshold_and_tell_their_own_recall():
    scores, targets = spatial_scores()
    rule, choices = fit_rule(HEAD, scores, targets, LABELS, SPATIAL_FAULTS)
    assert rule.thresholds["line_hot"] == rule.thresholds["mast_hot"] != rule.thresholds["mast_rust"]
    for label in SPATIAL_FAULTS:
        kind, place = HEAD.kind_of[label], LABELS.index(label)
        chance = 1 / (1 + np.exp(-(rule.scale[kind] * scores[:, 2 + HEAD.kinds.index(kind)] + rule.offset[kind])))
        flagged = chance >= rule.thresholds[label]
        others = ~np.isin(targets, [LABELS.index(other) for other in SPATIAL_FAULTS if HEAD.kind_of[other] == kind])
        assert choices[label].positives == (targets == place).sum()
        assert choices[label].recall == pytest.approx(flagged[targets == place].mean())
        assert choices[label].false_alarms == pytest.approx(100 * flagged[others].mean())


def test_rules_decide_what_their_probabilities_say():
    scores, targets = spatial_scores(400)
    rule, _ = fit_rule(HEAD, scores, targets, LABELS, SPATIAL_FAULTS)
    likeliest = [LABELS[place] for place in rule.probabilities(scores).argmax(axis=1)]
    assert likeliest == [rule.decide(row).label for row in scores]


@pytest.mark.parametrize("specificity", [0.5, 0.9, 0.99])
def test_the_lowest_threshold_that_is_quiet_enough(specificity):
    scores, targets = spatial_scores()
    rule, choices = fit_rule(HEAD, scores, targets, LABELS, SPATIAL_FAULTS, specificity=specificity)
    quiet = 1 - choices["mast_rust"].false_alarms / 100
    negatives = (targets != 4).sum()
    assert specificity <= quiet <= specificity + 1.5 / negatives or rule.thresholds["mast_rust"] == 0.05


def test_specificity_by_hand():
    """Ten sound frames at 0.1 to 1.0, one of which may be flagged: between the 0.9 and the 0.95 of a fault."""
    scores = [0.95, 0.97, 0.99, 0.4, 0.3, *(tenth / 10 for tenth in range(1, 11))]
    targets = np.array([1] * 5 + [0] * 10)
    choice = choose_thresholds(two_columns(scores), targets, ("clean", "hot"), ("hot",), specificity=0.9)["hot"]
    assert choice.threshold == pytest.approx(0.925)
    assert (choice.recall, choice.false_alarms) == (0.6, 10.0)


def test_a_label_of_several_groups_does_not_fit_their_temperature():
    """One fault label for both groups: its frames do not say which group they show."""
    head = SpatialHead((Group("a", "a", {"hot": "hot"}), Group("b", "b", {"hot": "hot"})), ("hot",), Pooling("max", 1))
    scores = np.array([[1.0, 0.0, -2.0]] * 8 + [[0.0, 1.0, -2.5]] * 8 + [[9.0, -9.0, 2.0]] * 8)
    targets = np.repeat([0, 1, 2], 8)
    rule, _ = fit_rule(head, scores, targets, ("a", "b", "hot"), ("hot",))
    assert rule.group_temperature == pytest.approx(0.25, rel=1e-3)  # as sure as may be, by the sixteen others
    assert fit_rule(head, scores[16:], targets[16:], ("a", "b", "hot"), ("hot",))[0].group_temperature == 1.0


def test_recall_and_specificity_at_once_are_a_sentence():
    with pytest.raises(InputError, match=r"a recall of 0.9 and a specificity of 0.9 were asked for"):
        fit_rule(ClassHead(("a", "b")), np.zeros((2, 2)), np.array([0, 1]), ("a", "b"), ("b",), 0.9, 0.9)
