import numpy as np

from augment.labelling.order import UNKNOWN, Pictures, ordered
from edge_runtime.labelling.items import CONTRADICTED, RARE, SPREAD, UNBOXED, UNCERTAIN, UNLABELLED

LABELS = ("rust", "sound")
SURE_SOUND, SURE_RUST, UNSURE = [0.05, 0.95], [0.95, 0.05], [0.45, 0.55]


def pictures(targets, probabilities=None, groups=None, boxed=None, faults=("rust",)) -> Pictures:
    count = len(targets)
    chances = None if probabilities is None else np.array(probabilities, float)
    held = np.ones(count, bool) if boxed is None else np.array(boxed, bool)
    return Pictures(LABELS, faults, np.array(targets), groups or [str(n) for n in range(count)], held, chances)


def test_contradicted_labels_come_first_then_faults_without_box_then_unsure_ones_then_the_rest():
    found = ordered(
        pictures(
            targets=[1, 1, 0, 0, 1, 1],
            probabilities=[SURE_SOUND, SURE_RUST, SURE_RUST, SURE_RUST, UNSURE, SURE_SOUND],
            boxed=[0, 0, 0, 1, 0, 0],
        )
    )
    assert [turn.row for turn in found] == [1, 2, 4, 3, 0, 5]
    assert [turn.reason for turn in found][:3] == [CONTRADICTED, UNBOXED, UNCERTAIN]
    assert (found[0].rival, found[0].chance) == ("rust", 0.95)
    assert found[2].rival == "rust"


def test_one_of_each_burst_comes_before_the_second_of_any():
    groups = ["burst"] * 4 + ["other", "third"]
    found = ordered(pictures([1] * 6, [[0.4, 0.6]] * 6, groups))
    assert [groups[turn.row] for turn in found[:3]] == ["burst", "other", "third"]
    assert len({turn.row for turn in found}) == 6


def test_without_any_classifier_rare_labels_come_first():
    found = ordered(pictures([1] * 9 + [0]))
    assert (found[0].row, found[0].reason) == (9, RARE)
    assert {turn.reason for turn in found[1:]} == {SPREAD}


def test_pictures_without_labels_are_ordered_by_doubt_and_told_as_such():
    found = ordered(pictures([UNKNOWN] * 3, [SURE_SOUND, UNSURE, SURE_SOUND]))
    assert [(turn.row, turn.reason) for turn in found] == [(1, UNCERTAIN), (0, UNLABELLED), (2, UNLABELLED)]
    assert [turn.reason for turn in ordered(pictures([UNKNOWN] * 2))] == [UNLABELLED] * 2


def test_a_fault_without_a_box_is_asked_for_once_only():
    found = ordered(pictures([0, 1], [UNSURE, UNSURE], boxed=[0, 0]))
    assert sorted(turn.row for turn in found) == [0, 1]
