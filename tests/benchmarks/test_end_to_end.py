"""What is said of several folds together."""

import numpy as np

from benchmarks.end_to_end import FROZEN, WHOLE, over_folds


def test_the_pictures_of_all_folds_count_alike():
    faulty = np.array([True] * 30 + [False] * 70)
    half_seen, all_seen = faulty & (np.arange(100) % 2 == 0), faulty
    small, unseen = np.array([True, False]), np.array([False, False])
    each, two = [str(place) for place in range(100)], ["100", "101"]
    told = {
        FROZEN: [(faulty, half_seen, each), (small, unseen, two)],
        WHOLE: [(faulty, all_seen, each), (small, unseen, two)],
    }
    frozen, whole, gained = over_folds(told)
    assert frozen.startswith("frozen, 102 pictures: 84.3 % (")  # 15 + 1 of 102 are wrong
    assert whole.startswith("whole, 102 pictures: 99.0 % (")
    assert gained.startswith("whole minus frozen: +14.7 (")


def test_equal_answers_differ_by_nothing():
    faulty = np.array([True, False] * 10)
    told = {run: [(faulty, faulty, ["a", "b"] * 10)] for run in (FROZEN, WHOLE)}
    assert over_folds(told)[-1] == "whole minus frozen: +0.0 (+0.0 to +0.0) points"
