"""Committees on points whose class is known: wrong labels stand out, also where the generator has a look of its own."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from augment.evaluation.label_check import agreement, embedding_classifier, principal_components, recall_with
from augment.json_objects import from_json
from augment.record_types import GeneratedRecord

DIMENSIONS = 16
LABELS = ("leak", "smoke", "sound")


def points(label: str, count: int, seed: int, look: float = 0.0) -> np.ndarray:
    """Unit vectors about the axis of their class; `look` moves them along an axis that no class uses."""
    rng = np.random.default_rng([seed, LABELS.index(label)])
    found = rng.normal(0, 0.12, (count, DIMENSIONS)).astype(np.float32)
    found[:, LABELS.index(label)] += 1
    found[:, -1] += look
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def records(prefix: str, label: str, count: int, source: str | None = None) -> list[GeneratedRecord]:
    names = [f"{prefix}-{label}-{n}" for n in range(count)]
    sources = [source or f"real-{label}-{n % 5}" for n in range(count)]
    return [
        from_json(GeneratedRecord, {"id": name, "label": label, "group": name, "host": None, "source": start})
        for name, start in zip(names, sources, strict=True)
    ]


@pytest.fixture(scope="module")
def judged():
    """Twenty generated images of each class in a look of their own; of leak, three show smoke and three nothing."""
    training = [record for label in LABELS for record in records("real", label, 12)]
    real = np.concatenate([points(label, 12, 1) for label in LABELS])
    painted = [record for label in LABELS for record in records("made", label, 20)]
    shown = ["leak"] * 14 + ["smoke"] * 3 + ["sound"] * 3 + ["smoke"] * 20 + ["sound"] * 20
    pool = np.concatenate([points(label, 1, 100 + at, look=0.8) for at, label in enumerate(shown)])
    ranks, alternatives = agreement(0, training, real, painted, pool)
    return ranks, alternatives, shown


def test_right_labels_are_the_likeliest_and_wrong_ones_are_not(judged):
    ranks, alternatives, shown = judged
    assert alternatives == shown
    wrong = np.array([at in range(14, 20) for at in range(60)])
    assert (ranks[wrong] > 0).all()
    assert (ranks[~wrong] == 0).all()


def test_an_image_is_not_judged_by_a_classifier_that_learnt_from_its_source():
    """A picture of smoke labelled leak, with a copy under its own label in the training set: the copy may not vouch."""
    training = [record for label in LABELS for record in records("real", label, 12)]
    real = np.concatenate([points(label, 12, 1) for label in LABELS])
    odd = points("smoke", 1, 77)
    real[0] = odd[0]  # real-leak-0, a wrong label in the archive
    copies = records("made", "leak", 6, source="real-leak-0")
    ranks, alternatives = agreement(0, training, real, copies, np.repeat(odd, 6, axis=0))
    assert set(alternatives) == {"smoke"}
    assert (ranks > 0).all()


def test_a_class_that_the_first_set_does_not_know_is_not_judged():
    """The real images of leak look like smoke or like nothing: whoever judged by them would throw out good ones."""
    odd = np.concatenate([points("smoke", 6, 8), points("sound", 6, 9)])
    real = np.concatenate([odd, *(points(label, 40, 1) for label in ("smoke", "sound"))])
    training = records("real", "leak", 12) + records("real", "smoke", 40) + records("real", "sound", 40)
    painted = records("made", "leak", 6) + records("made", "sound", 6)
    pool = np.concatenate([points("sound", 6, 3), points("smoke", 6, 4)])
    ranks, _ = agreement(0, training, real, painted, pool)
    assert (ranks[:6] == 0).all()
    assert (ranks[6:] > 0).all()


def test_nothing_painted_is_nothing_judged():
    training = [record for label in LABELS for record in records("real", label, 12)]
    ranks, alternatives = agreement(
        0, training, np.concatenate([points(label, 12, 1) for label in LABELS]), [], np.empty((0, 16))
    )
    assert (len(ranks), alternatives) == (0, [])


def test_recall_is_that_of_the_held_out_images_and_none_where_there_are_none():
    features = np.concatenate([points(label, 12, 1) for label in LABELS])
    labels = [label for label in LABELS for _ in range(12)]
    held_out = np.concatenate([points("leak", 4, 5), points("sound", 4, 6)])
    truth = ["leak"] * 4 + ["sound"] * 2 + ["leak"] * 2
    assert recall_with(features, labels, held_out, truth) == {"leak": pytest.approx(4 / 6), "smoke": None, "sound": 1.0}
    assert recall_with(features, labels, held_out[:0], []) == dict.fromkeys(LABELS)


@pytest.mark.parametrize("count", [12, 39, 40, 300])
def test_a_classifier_on_the_first_components_answers_as_with_scikit_learns(count, monkeypatch):
    monkeypatch.setattr("augment.evaluation.label_check.DIMENSIONS", 16)
    rng = np.random.default_rng(count)
    targets = np.arange(count) % 3
    rows, asked = (rng.normal(size=(size, 40)) for size in (count, 50))
    rows[:, 0] += targets
    theirs = make_pipeline(
        PCA(min(16, count)), LogisticRegression(C=100.0, max_iter=500, tol=1e-3, class_weight="balanced")
    ).fit(rows, targets)
    ours = embedding_classifier(rows, targets)
    assert np.abs(ours.predict_proba(asked) - theirs.predict_proba(asked)).max() < 1e-8
    assert (ours.predict(asked) == theirs.predict(asked)).all()


def test_components_are_as_many_as_the_rows_vary_along():
    rows = np.repeat(np.eye(3, 30), 4, axis=0)  # three pictures, each four times: two directions
    found = principal_components(rows - rows.mean(axis=0), 16)
    assert found.shape == (30, 2)
    assert found.T @ found == pytest.approx(np.eye(2))


def test_rows_that_are_all_equal_still_have_a_classifier():
    rows = np.ones((4, 8))
    assert principal_components(rows - rows.mean(axis=0), 2).shape == (8, 1)
    classifier = embedding_classifier(rows, np.array([0, 0, 1, 1]))
    assert classifier.predict_proba(rows) == pytest.approx(0.5)
