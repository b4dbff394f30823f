"""Folds and draws of a comparison: halves of one give the whole, and every picture keeps its own fold's threshold."""

import numpy as np
import pytest

from augment.evaluation import spot_measures
from augment.evaluation.arm_comparison import ArmAnswers, SpotTest, Truth, summarise
from augment.evaluation.pooling import Compared, join_folds, stack_draws
from augment.evaluation.spot_measures import HeldOut, Pictures, Scores
from augment.record_types import SmallestFault, TrainedArm
from augment.settings import CompareSettings, Settings
from edge_runtime.bundle.heads import Group, SpatialHead

HEAD = SpatialHead((Group("line", "normal", {"fault": "hotspot"}),), ("fault",))
LABELS = ("hotspot", "normal")
HELD_OUT = HeldOut(np.arange(10.0)[:, None], np.array(["normal"] * 10))
ARMS = ("real+classic", "real")


def compared(ids, held_out=HELD_OUT, smallest=None, shift=0.0):
    """Pictures by number: even ones are hotspots with a box, and score their number."""
    numbers = np.array([int(name) for name in ids])
    targets = numbers % 2
    truth = Truth(LABELS, ("hotspot",), targets, [f"g{number}" for number in numbers])
    values = numbers[None, :, None] + shift
    boxed = np.where(targets == 0, 1.0, np.nan)
    scores = Scores(values, values * boxed[None, :, None] - 5, values * boxed[None, :, None], boxed[None], [[held_out]])
    chance = np.clip(values[0] / 20, 0.01, 0.99)
    probabilities = np.hstack([chance, 1 - chance])
    answers = ArmAnswers.by_argmax(truth, np.log(probabilities)[None])
    spots = SpotTest(
        pictures=Pictures(np.array(LABELS)[targets], HEAD.healthy, np.where(targets == 0, 8.0, np.nan)),
        questions=spot_measures.questions(HEAD, ("hotspot",)),
        scores=dict.fromkeys(ARMS, scores),
        smallest=dict.fromkeys(ARMS, smallest),
    )
    return Compared(ids, truth, dict.fromkeys(ARMS, answers), spots)


def summary(whole):
    section = CompareSettings(baseline=ARMS[0], candidate=ARMS[1], resamples=100)
    trainings = [TrainedArm(id=arm, arm=arm, seed=0) for arm in ARMS]
    return summarise(Settings(compare=section), trainings, whole.truth, whole.answers, whole.spots)


def names(numbers):
    return [f"{number:02d}" for number in numbers]


def test_folds_give_what_the_whole_gives():
    whole = compared(names(range(20)))
    joined = join_folds([compared(names(range(1, 20, 3))), compared(names([n for n in range(20) if n % 3 != 1]))])
    assert joined.ids == whole.ids
    assert summary(joined) == summary(whole)


def test_each_picture_has_the_threshold_of_its_own_fold():
    """Nothing of the second fold lies above its threshold; of the first one half of the hotspots do, 10 to 18."""
    high = HeldOut(HELD_OUT.scores + 100, HELD_OUT.labels)
    joined = join_folds([compared(names(range(20))), compared(names(range(20, 40)), held_out=high)])
    found = summary(joined).arms["real"].spots.faults["hotspot"].recall_common[0]
    assert found.specificity == 0.9
    assert found.recall.value == pytest.approx(5 / 20)


def test_draws_are_trainings_of_their_own():
    stacked = stack_draws([compared(names(range(20))), compared(names(range(20)), shift=2.0)])
    result = summary(stacked).arms["real"]
    assert result.seeds == 2
    assert result.spots.faults["hotspot"].recall_common[0].recall.value == pytest.approx((5 + 6) / 20)


def test_the_smallest_fault_is_the_most_cautious_one():
    seen = [SmallestFault(pixels=p, share=0.1, recall=0.9, recall_bound=0.6, images=10, cell=16) for p in (8, 20)]
    first, second = (
        compared(names(numbers), smallest=own) for numbers, own in zip(([0, 1], [2, 3]), seen, strict=True)
    )
    assert join_folds([first, second]).spots.smallest["real"] == seen[1]
    assert join_folds([first, compared(names([2, 3]))]).spots.smallest["real"] is None
