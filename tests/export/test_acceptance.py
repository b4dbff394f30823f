"""When a file is too bad to be packed."""

import numpy as np
import pytest

from edge_runtime.bundle.decision import DecisionRule
from export.acceptance import Accuracy, measure_accuracy, refusal

RULE = DecisionRule(("sound", "hot"), ("hot",), 1.0, {"hot": 0.5})


def accuracy(sound: float, hot: float, hot_images: int = 20, overall: float = 0.9) -> Accuracy:
    recall = {"sound": sound, "hot": hot}
    return Accuracy(overall, (sound + hot) / 2, 0.0, {"sound": 1000, "hot": hot_images}, recall)


def test_accuracy_by_hand():
    logits = np.array([[2.0, 0.0], [0.0, 2.0], [2.0, 0.0], [2.0, 0.0]])
    found = measure_accuracy(RULE, logits, np.array([0, 0, 0, 1]))
    assert found.accuracy == 0.5
    assert found.recall == {"sound": pytest.approx(2 / 3), "hot": 0.0}
    assert found.macro_recall == pytest.approx(1 / 3)
    assert found.images == {"sound": 3, "hot": 1}
    assert found.calibration_error == pytest.approx(1 / (1 + np.exp(-2)) - 0.5)


def test_a_label_without_a_test_image_counts_for_nothing():
    found = measure_accuracy(RULE, np.array([[2.0, 0.0]]), np.array([0]))
    assert (found.macro_recall, list(found.recall)) == (1.0, ["sound"])
    assert refusal(found, found, ("hot",)) is None


@pytest.mark.parametrize(("loss", "refused"), [(0.0, False), (0.0099, False), (0.02, True)])
def test_half_a_point_of_macro_recall_may_go(loss, refused):
    reason = refusal(accuracy(0.9, 0.9), accuracy(0.9 - loss, 0.9), ("hot",))
    assert (reason is not None) == refused
    assert reason is None or "its macro recall on the test set is 89.0 %, the network's is 90.0 %" in reason


def test_a_fault_may_not_lose_more_than_chance_leaves_it_even_where_the_mean_rises():
    network = accuracy(0.5, 0.9)  # 18 of 20: at least 71.7 % with 95 % confidence
    assert refusal(network, accuracy(0.9, 0.75), ("hot",)) is None
    assert "it finds 70.0 % of hot on the test set, the network 90.0 % (at least 71.7 %)" in refusal(
        network, accuracy(0.9, 0.70), ("hot",)
    )
    assert refusal(network, accuracy(0.9, 0.70), ()) is None


def test_half_a_point_of_accuracy_may_go_even_where_a_rare_class_gains():
    reason = refusal(accuracy(0.9, 0.9), accuracy(0.9, 0.95, overall=0.89), ("hot",))
    assert "its accuracy on the test set is 89.0 %, the network's is 90.0 %" in reason


def test_among_few_pictures_two_may_go():
    def few(right):
        return Accuracy(right / 40, 0.9, 0.0, {"sound": 20, "hot": 20}, {"sound": 0.9, "hot": 0.9})

    assert refusal(few(36), few(34), ()) is None
    assert "its accuracy on the test set is 82.5 %" in refusal(few(36), few(33), ())
