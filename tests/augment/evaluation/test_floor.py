"""The floor: what features alone reach, and which arms stay below it."""

from types import SimpleNamespace

import numpy as np
import pytest

from augment.evaluation.floor import below_floor, floor_of
from augment.record_types import Floor


def test_features_that_part_the_classes_reach_all_and_features_of_noise_about_half():
    generator = np.random.default_rng(0)
    targets, truth = np.repeat([0, 1], 40), np.repeat([0, 1], 100)
    apart = floor_of(
        generator.normal(targets[:, None], 0.1, (80, 3)), targets, truth[:, None] + np.zeros(3), truth, "x"
    )
    assert (apart.accuracy, apart.macro_f1, apart.embedder) == (1.0, 1.0, "x")
    noise = floor_of(generator.normal(0, 1, (80, 3)), targets, generator.normal(0, 1, (200, 3)), truth, "x")
    assert 0.35 < noise.accuracy < 0.65


def test_a_rare_class_weighs_as_much_as_a_common_one():
    rows = np.array([[0.0]] * 95 + [[0.6]] * 5)
    found = floor_of(rows, np.array([0] * 95 + [1] * 5), np.array([[0.0], [0.6]]), np.array([0, 1]), "x")
    assert found.macro_f1 == 1.0


def summary(floor, **arms):
    def arm(accuracy, macro_f1):
        return SimpleNamespace(
            metrics={"accuracy": SimpleNamespace(value=accuracy), "macro_f1": SimpleNamespace(value=macro_f1)}
        )

    return SimpleNamespace(floor=floor, arms={name: arm(*values) for name, values in arms.items()})


FLOOR = Floor(embedder="lite0", accuracy=0.8, macro_f1=0.7)


@pytest.mark.parametrize(
    ("arms", "said"),
    [
        ({"real": (0.8, 0.7), "both": (0.9, 0.9)}, ""),
        (
            {"real": (0.7, 0.6), "both": (0.7, 0.6)},
            "image: all arms in accuracy (80.0 %); all arms in macro F1 (70.0 %)",
        ),
        ({"real": (0.8, 0.6), "both": (0.9, 0.9)}, "image: real in macro F1 (70.0 %)"),
    ],
)
def test_the_arms_below_the_floor_are_named(arms, said):
    assert below_floor(summary(FLOOR, **arms)).endswith(said)
    assert below_floor(summary(None, **arms)) == ""
