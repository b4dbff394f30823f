import numpy as np

from augment.evaluation.mending import BOX, LABEL, Judged

LABELS = ("hotspot", "normal", "rust")


def judged(targets, probabilities) -> Judged:
    names = [f"p{row}" for row in range(len(targets))]
    return Judged(LABELS, names, ["val"] * len(names), np.array(targets), np.array(probabilities, float))


def test_the_most_contradicted_label_comes_first_and_right_ones_do_not_come():
    found = judged(
        [0, 0, 1, 1, 1],
        [[0.9, 0.1, 0], [0.8, 0.2, 0], [0.05, 0.95, 0], [0.98, 0.02, 0], [0.88, 0.12, 0]],
    ).doubted()
    assert [(one.id, one.label, one.likelier, one.doubt) for one in found] == [
        ("p3", "normal", "hotspot", LABEL),
        ("p4", "normal", "hotspot", LABEL),
    ]
    assert (found[0].own, found[0].other) == (0.02, 0.98)


def test_a_class_that_is_sure_of_everything_accuses_less():
    # "hotspot" is usually certain of its own; 0.6 is little for it. "rust" is never sure; 0.5 is much for it.
    targets = [0, 0, 1, 2, 2, 1]
    probabilities = [[1, 0, 0], [1, 0, 0], [0.6, 0.4, 0], [0.3, 0.3, 0.4], [0.3, 0.3, 0.4], [0, 0.45, 0.55]]
    assert [(one.id, one.likelier) for one in judged(targets, probabilities).doubted()] == [("p5", "rust")]


def test_a_map_that_peaks_outside_every_box_doubts_the_boxes_of_what_is_taken_for_faulty():
    of = judged([0, 0, 0, 1], [[0.9, 0.1, 0], [0.95, 0.05, 0], [0.1, 0.9, 0], [0.9, 0.1, 0]])
    found = of.pointing_elsewhere(np.array([0, 0, 0, np.nan]), ("hotspot",))
    assert [(one.id, one.doubt) for one in found] == [("p1", BOX), ("p0", BOX)]
    assert of.pointing_elsewhere(np.ones(4), ("hotspot",)) == []
