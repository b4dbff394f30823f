"""The floor: what a linear classifier on ready-made image features reaches with the same real pictures.

It takes seconds and needs no generated image and no trained network, so whatever is trained must be better.
"""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from augment.arrays import Labels, Vectors
from augment.evaluation.label_check import JUDGED_AT_ONCE, MOST_TAUGHT, evenly
from augment.evaluation.metrics import metrics
from augment.record_types import ComparisonSummary, Floor

ITERATIONS = 2000


def floor_of(vectors: Vectors, targets: Labels, test: Vectors, truth: Labels, embedder: str) -> Floor:
    """Fit a balanced logistic regression on features (N, D) and measure it on those of the test pictures (M, D).

    Of very many pictures it learns from a part, as large a one of each class.
    """
    classifier = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=ITERATIONS))
    rows = evenly(targets, MOST_TAUGHT)
    classifier.fit(vectors[rows], targets[rows])
    starts = range(0, max(1, len(test)), JUDGED_AT_ONCE)  # each part is scaled as a copy
    found = metrics(truth, np.concatenate([classifier.predict(test[at : at + JUDGED_AT_ONCE]) for at in starts]))
    return Floor(embedder=embedder, accuracy=found["accuracy"], macro_f1=found["macro_f1"])


def below_floor(summary: ComparisonSummary) -> str:
    """Say which arms stay below the floor in accuracy or macro F1; empty where none does, or no floor is known."""
    floor, lines = summary.floor, []
    if floor is None:
        return ""
    for name, key in (("accuracy", "accuracy"), ("macro F1", "macro_f1")):
        value = getattr(floor, key)
        if below := [arm for arm, found in summary.arms.items() if found.metrics[key].value < value]:
            arms = "all arms" if len(below) == len(summary.arms) else ", ".join(below)
            lines.append(f"{arms} in {name} ({100 * value:.1f} %)")
    if not lines:
        return ""
    return (
        f"below the floor, a linear classifier on features of {floor.embedder} and no generated image: "
        f"{'; '.join(lines)}"
    )
