"""Scores with known traces: the check finds those that matter and lets pass what is chance or a hair."""

import numpy as np
import pytest

from augment.evaluation.null_check import null_check


def check(change, pictures=80, per_group=2):
    rng = np.random.default_rng(0)
    hosts = rng.normal(size=pictures)
    composed = hosts + change(rng, pictures)
    groups = [str(row // per_group) for row in range(pictures)]
    return null_check(hosts, composed, groups, np.random.default_rng(1))


def test_pictures_that_equal_their_hosts_are_even_and_pass():
    found = check(lambda rng, count: np.zeros(count))
    assert (found.share.value, found.share.low, found.share.high) == (0.5, 0.5, 0.5)
    assert found.auc.value == pytest.approx(0.5)
    assert found.verdict == "PASS"
    assert found.sentence.startswith("of 80 held-out healthy pictures composed with amplitude zero 50 % [50, 50] score")
    assert found.sentence.endswith("composing alone does not raise the score")


def test_a_trace_that_raises_every_score_fails_with_its_interval():
    found = check(lambda rng, count: np.full(count, 1.0))
    assert found.share.value == 1
    assert 0.65 < found.auc.low < found.auc.value < found.auc.high < 0.9
    assert found.verdict == "FAIL"
    assert "the score rests on traces of composing" in found.sentence


def test_noise_a_hair_and_lower_scores_pass():
    assert check(lambda rng, count: rng.normal(0, 0.5, count)).verdict == "PASS"
    hair = check(lambda rng, count: np.full(count, 1e-6))
    assert (hair.share.value, hair.verdict) == (1, "PASS")
    assert check(lambda rng, count: np.full(count, -1.0)).verdict == "PASS"


def test_few_groups_decide_nothing_and_unequal_lists_are_refused():
    found = check(lambda rng, count: np.full(count, 1.0), pictures=80, per_group=10)
    assert found.verdict == "INCONCLUSIVE"
    assert found.sentence.startswith("8 groups of held-out healthy pictures are too few")
    with pytest.raises(ValueError, match="2 hosts, 1 composed pictures and 2 groups are no pairs"):
        null_check(np.zeros(2), np.zeros(1), ["a", "b"], np.random.default_rng(0))
