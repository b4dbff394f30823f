"""What is told of a fault: by hand where the numbers are few, by construction where there are many."""

from itertools import pairwise

import numpy as np
import pytest

from augment.evaluation import metrics, spot_measures
from augment.evaluation.spot_measures import HeldOut, Pictures, Question, Scores
from edge_runtime.bundle.heads import Group, SpatialHead

HEAD = SpatialHead(
    (
        Group("line", "line_normal", {"fault": "line_hotspot"}),
        Group("substation", "sub_normal", {"fault": "sub_hotspot"}),
    ),
    ("fault",),
)
LABELS = ("line_hotspot", "line_normal", "sub_hotspot", "sub_normal")


def measured(labels, scores, painted=None, control=None, points=None, held_out=(), sides=None, resamples=200):
    """Measure one training, whose scores (N,) these are; every picture is a group of its own."""
    labels = np.array(labels)
    count = len(labels)
    blank = np.full(count, np.nan)

    def shaped(values):
        return np.array(blank if values is None else values, float)[None, :, None]

    held = HeldOut(np.array([score for _, score in held_out], float)[:, None], np.array([name for name, _ in held_out]))
    groups = [f"{at:03d}" for at in range(count)]
    targets = np.array([LABELS.index(label) for label in labels])
    draws = metrics.draw(targets, groups, 1, resamples, np.random.default_rng(0))
    pictures = Pictures(labels, HEAD.healthy, np.array(blank if sides is None else sides, float))
    found = Scores(shaped(scores), shaped(painted), shaped(control), shaped(points)[..., 0], [[held]])
    asked = spot_measures.questions(HEAD, ("line_hotspot", "sub_hotspot"))
    return spot_measures.measure(pictures, asked, found, draws, groups)


def test_a_fault_is_asked_about_against_the_healthy_pictures_of_its_own_equipment():
    assert spot_measures.questions(HEAD, ("line_hotspot",)) == {"line_hotspot": Question(0, ("line_normal",))}
    open_head = SpatialHead(
        (Group("a", "a_ok", {"hot": "hot", "oil": "oil"}), Group("b", "b_ok", {"hot": "hot", "oil": "oil"})),
        ("hot", "oil"),
    )
    assert spot_measures.questions(open_head, ("oil",)) == {"oil": Question(1, ("a_ok", "b_ok"))}


def test_auc_counts_pairs_of_the_same_equipment_alone():
    # Of four pairs the fault wins three; the substation's scores would change that, and must not.
    found = measured(["line_hotspot", "line_hotspot", "line_normal", "line_normal", "sub_normal"], [3, 1, 2, 0, 9])
    assert found["line_hotspot"].result([], 0.9).auc.value == pytest.approx(3 / 4)
    assert "sub_hotspot" not in found


def test_thresholds_come_from_held_out_pictures_and_say_what_they_reach_on_the_test():
    # Of ten held-out healthy pictures one may be flagged: those above 8 are.
    held_out = [("line_normal", score) for score in range(10)] + [("sub_normal", 20.0)] * 10
    found = measured(["line_hotspot"] * 4 + ["line_normal"] * 4, [8, 9, 10, 21, 0, 1, 2, 12], held_out=held_out)[
        "line_hotspot"
    ].result([], 0.9)
    own, common = found.recall_at[0], found.recall_common[0]
    assert own.recall.value == pytest.approx(2 / 4 + 1 / 4)
    assert own.reached.value == pytest.approx(3 / 4)
    assert common.recall.value == pytest.approx(1 / 4)  # the substation's scores set the common threshold to 20


def test_without_held_out_pictures_no_recall_is_told():
    found = measured(["line_hotspot", "line_normal"], [1, 0])["line_hotspot"].result([], 0.9)
    assert (list(found.recall_at), list(found.recall_common)) == ([], [])
    assert found.auc.value == 1


def test_pointing_is_told_of_boxed_pictures_and_of_those_found():
    labels = ["line_hotspot"] * 4 + ["line_normal"] * 10
    held_out = [("line_normal", float(score)) for score in range(10)]
    found = measured(labels, [20, 20, 0, 20, *range(10)], points=[1, 0, 0, np.nan, *[np.nan] * 10], held_out=held_out)
    result = found["line_hotspot"].result([], 0.9)
    assert (result.images, result.boxed) == (4, 3)
    assert result.pointing.value == pytest.approx(1 / 3)
    assert result.pointing_found.value == pytest.approx(1 / 2)


def test_recall_by_size_counts_each_boxed_picture_once():
    labels = ["line_hotspot"] * 4 + ["line_normal"] * 10
    held_out = [("line_normal", float(score)) for score in range(10)]
    boxed = [1.0] * 4 + [np.nan] * 10
    found = measured(
        labels, [0, 20, 20, 20, *range(10)], points=boxed, held_out=held_out, sides=[5, 8, 20, 40, *[np.nan] * 10]
    )
    sizes = found["line_hotspot"].result([5, 10, 40], 0.9).by_size
    assert [(size.images, size.recall.value) for size in sizes] == [(2, 0.5), (2, 1.0)]


def test_an_arm_that_sees_the_spot_is_supported_and_one_that_sees_the_place_is_not():
    generator = np.random.default_rng(1)
    labels = ["line_hotspot"] * 40 + ["line_normal"] * 40
    normal = generator.normal(0, 1, 40)
    faults = generator.normal(2, 1, 40)
    blank = np.full(40, np.nan)
    held_out = [("line_normal", score) for score in generator.normal(0, 1, 40)]
    scores = np.concatenate([faults, normal])

    def with_painted(painted):
        copies = np.concatenate([painted, blank])
        control = np.concatenate([faults, blank])
        boxed = np.concatenate([np.ones(40), blank])
        return measured(labels, scores, copies, control, boxed, held_out)["line_hotspot"].result([], 0.95)

    sees, does_not = with_painted(generator.normal(0, 1, 40)), with_painted(faults + generator.normal(0, 0.1, 40))
    assert sees.supported
    assert "rests on the fault" in sees.why
    assert sees.gap.value == pytest.approx(sees.boxed_auc.value - sees.painted_auc.value)
    assert sees.keep.value < 0.3 < 0.99 < sees.control_keep.value
    assert not does_not.supported
    assert "the score does not rest on the fault" in does_not.why
    assert does_not.auc.value == sees.auc.value > 0.8  # whatever the AUC


def test_a_fault_without_boxes_is_told_as_not_known():
    result = measured(["line_hotspot", "line_normal"], [1, 0])["line_hotspot"].result([], 0.9)
    assert not result.supported
    assert result.why == (
        "line hotspot: not supported: no test picture of it has a box, so what its score rests on is not known"
    )


def test_differences_are_paired():
    labels = ["line_hotspot"] * 5 + ["line_normal"] * 5
    generator = np.random.default_rng(2)
    scores = generator.normal(0, 1, 10)
    one, other = measured(labels, scores), measured(labels, 2 * scores + 1)  # the same order
    change = spot_measures.differences(one, other, 0.95)["line_hotspot"]
    assert (change.auc.low, change.auc.value, change.auc.high) == (0, 0, 0)
    assert change.gap is None


@pytest.mark.parametrize(
    ("place", "points"),
    [((50, 50), True), ((35, 40), True), ((29, 50), False), ((70, 70), False), ((64, 66), True)],
)
def test_a_map_points_at_a_box_within_ten_pixels(place, points):
    assert spot_measures.points_at(place, [(40, 40, 20, 20), (500, 500, 5, 5)]) is points


def test_a_peak_is_the_centre_of_its_cell():
    found = np.zeros((3, 4))
    found[1, 3] = 1
    assert spot_measures.peak(found) == pytest.approx((3.5 / 4, 1.5 / 3))


def test_the_smallest_fault_is_the_median_of_the_last_bin_that_is_seen():
    sides = np.concatenate([np.linspace(5, 9, 20), np.linspace(11, 19, 20), np.linspace(21, 60, 20)])
    found = np.concatenate([np.arange(20) < 10, np.arange(20) < 18, np.ones(20, bool)])
    smallest = spot_measures.smallest_fault(sides, sides / 288, found, 16.0)
    assert 11 < smallest.pixels < 19
    assert smallest.share == pytest.approx(smallest.pixels / 288, abs=1e-3)
    assert smallest.recall_bound >= 0.5
    assert (smallest.cell, smallest.images) == (16.0, 15)


def test_no_size_is_told_that_a_handful_of_pictures_would_show():
    assert spot_measures.smallest_fault(np.array([30.0] * 3), np.array([0.1] * 3), np.ones(3, bool), 16.0) is None
    assert spot_measures.smallest_fault(np.array([]), np.array([]), np.array([], bool), 16.0) is None
    twenty = np.full(20, 30.0)
    assert spot_measures.smallest_fault(twenty, twenty / 288, np.ones(20, bool), 16.0).pixels == 30


def test_bins_hold_about_as_many_pictures_each():
    sides = np.array([*np.geomspace(4, 100, 40), np.nan])
    edges = spot_measures.size_bins(sides)
    assert len(edges) == 5
    counts = [spot_measures.in_bin(sides, *pair, last=pair[1] == edges[-1]).sum() for pair in pairwise(edges)]
    assert counts == [10, 10, 10, 10]


def test_a_class_head_scores_by_the_log_odds_of_its_faults_together():
    probabilities = np.array([[0.2, 0.5, 0.1, 0.2]])
    scores = spot_measures.class_fault_scores(np.log(probabilities), LABELS, HEAD)
    assert scores == pytest.approx(np.log(0.3 / 0.7))
