import numpy as np
import pytest

from augment.labelling.order import UNKNOWN
from augment.labelling.out_of_fold import by_embedding, by_run, joined, of_decision
from augment.settings import Settings
from edge_runtime.bundle.decision import Decision


def clouds(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Two classes that an embedding tells apart: (N, 4) vectors and (N,) targets."""
    rng = np.random.default_rng(0)
    targets = np.arange(count) % 2
    return (rng.normal(0, 0.1, (count, 4)) + targets[:, None] * [1, 0, 0, 0]).astype(np.float32), targets


def test_a_wrong_label_does_not_persuade_the_classifier_that_judges_it():
    vectors, targets = clouds(40)
    wrong = targets.copy()
    wrong[7] = 1 - wrong[7]
    found = by_embedding(vectors, wrong, [str(n) for n in range(40)], 2, seed=0)
    assert found[7, targets[7]] > 0.5
    assert np.allclose(found.sum(axis=1), 1)


def test_a_whole_group_is_judged_without_itself():
    """Twins under one wrong label would confirm each other; they lie in one fold, so neither does."""
    vectors, targets = clouds(40)
    vectors[8] = vectors[7]
    wrong = targets.copy()
    wrong[[7, 8]] = 1 - targets[7]
    groups = [str(n) for n in range(40)]
    groups[8] = groups[7]
    found = by_embedding(vectors, wrong, groups, 2, seed=0)
    assert found[7, targets[7]] > 0.5


def test_pictures_without_label_are_judged_by_all_that_have_one_and_one_class_judges_nothing():
    vectors, targets = clouds(40)
    truth = targets[3]
    targets = targets.copy()
    targets[3] = UNKNOWN
    assert by_embedding(vectors, targets, [str(n) for n in range(40)], 2, seed=0)[3, truth] > 0.9
    assert by_embedding(vectors, np.zeros(40, int), [str(n) for n in range(40)], 2, seed=0) is None


def test_what_is_known_better_takes_the_place_of_the_quick_classifier():
    base = np.array([[0.5, 0.5], [0.5, 0.5]])
    assert joined(["a", "b"], base, {"b": np.array([0.1, 0.9])}).tolist() == [[0.5, 0.5], [0.1, 0.9]]
    assert joined(["a", "b"], None, {"b": np.array([0.1, 0.9])}).tolist() == [[0.5, 0.5], [0.1, 0.9]]
    assert joined(["a"], None, {}) is None


def test_a_decision_becomes_chances_that_add_up():
    decision = Decision("hot", 0.6, True, 0.5, (("hot", 0.6), ("fine", 0.2)), ("hot",), {})
    assert of_decision(decision, ["fine", "hot", "other"]) == pytest.approx([0.25, 0.75, 0])


def test_a_run_that_has_not_begun_says_nothing(tmp_path):
    assert by_run(tmp_path, Settings(), ["a"]) == ({}, set())
