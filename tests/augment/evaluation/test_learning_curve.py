"""The learning curve on points that get easier to tell apart with every image, or never."""

import numpy as np
import pytest

from augment.evaluation import learning_curve
from augment.evaluation.learning_curve import ENOUGH, MORE_THAN, PHOTOGRAPH, TOO_FEW

LABELS = ("blur", "easy", "noise", "rare")


@pytest.fixture(scope="module")
def measured():
    """`easy` lies apart, `blur` overlaps it a little, `noise` has no place of its own, `rare` has two images."""
    rng = np.random.default_rng(0)
    counts = (24, 24, 24, 2)
    targets = np.repeat(np.arange(4), counts)
    features = rng.normal(0, 1.0, (len(targets), 24)).astype(np.float32)
    features[targets == 1, 0] += 9
    features[targets == 0, 1] += 2.5
    groups = [str(row) for row in range(len(targets))]
    return learning_curve.learning_curve(features, targets, groups, LABELS, 3, 0.9)


def test_classes_are_told_apart_by_what_they_need(measured):
    says = {label: found.says for label, found in measured.classes.items()}
    assert says["easy"] == ENOUGH
    assert says["rare"] == TOO_FEW
    assert says["noise"] in (PHOTOGRAPH, MORE_THAN)
    assert measured.classes["noise"].photograph > 24
    assert measured.classes["easy"].photograph == 0
    assert measured.classes["rare"].photograph is None


def test_sizes_are_those_of_the_folds_and_recall_rises(measured):
    assert measured.classes["blur"].images == [4, 9, 14, 18]
    assert measured.classes["blur"].now == 24
    assert measured.macro_recall[-1] > measured.macro_recall[0]
    assert measured.shares == [0.25, 0.5, 0.75, 1.0]


def test_the_advice_follows_the_power_law():
    images = [10, 20, 40, 80]
    recall = 1 - 2 * np.array(images, float) ** -0.5  # 0.9 needs 400
    found = learning_curve._advice(images, recall, 100, 0.9)
    assert found == (PHOTOGRAPH, pytest.approx(300, rel=0.02))
    assert learning_curve._advice(images, recall, 100, 0.99) == (MORE_THAN, 900)
    assert learning_curve._advice(images, np.full(4, 0.3), 100, 0.9) == (MORE_THAN, 900)


def test_a_curve_that_hardly_rises_overflows_nothing():
    recall = np.array([0.48776942, 0.50056712, 0.49970354, 0.485164])
    with np.errstate(all="raise"):
        found = learning_curve._advice([41, 83, 124, 166], recall, 221, 0.9)
    assert found == (MORE_THAN, 1989)


def test_the_same_seed_gives_the_same_curve_and_one_class_gives_none():
    rng = np.random.default_rng(1)
    features, targets = rng.normal(size=(40, 8)).astype(np.float32), np.arange(40) % 2
    groups = [str(row // 2) for row in range(40)]
    first, second = (learning_curve.learning_curve(features, targets, groups, "ab", 5, 0.9) for _ in range(2))
    assert first == second
    alone = learning_curve.learning_curve(features, np.zeros(40, int), groups, "a", 5, 0.9)
    assert alone.classes["a"].recall == [None] * 4


def test_components_of_all_images_give_nearly_the_curve_of_the_components_of_each_fold(monkeypatch):
    rng = np.random.default_rng(4)
    targets = np.arange(300) % 3
    features = rng.normal(0, 1.0, (300, 150)).astype(np.float32)
    features[np.arange(300), targets] += 3
    groups = [str(row) for row in range(300)]
    curves = []
    for many in (5000, 200):
        monkeypatch.setattr(learning_curve, "MANY", many)
        curves.append(learning_curve.learning_curve(features, targets, groups, LABELS[:3], 3, 0.9).macro_recall)
    assert curves[1] == pytest.approx(curves[0], abs=0.05)
