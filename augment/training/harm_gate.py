"""The harm gate: keeps out generated images that cost another class its recall, as the validation images show it.

A class that loses is seldom the cause. Its images went to another class, and that one's generated images go. Where few
validation images show no loss of a single class, all classes together may still show that nothing was gained.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from augment.arrays import Labels
from augment.evaluation import metrics
from augment.records import item_seed
from augment.settings import Settings
from augment.training.arms import Arm
from augment.training.predictions import read_predictions

TURNS = 3  # trainings of a gated arm before it gets no generated image at all

Result = TypeVar("Result")


@dataclass(frozen=True)
class HarmGate:
    """Compares an arm with the baseline of `compare` by the predictions below the folder `training`."""

    settings: Settings
    training: Path

    def recall_losses(self, arm: str) -> tuple[frozenset[str], frozenset[str]]:
        """Return (labels that lost recall with `arm`, labels that took their images)."""
        names, truth, before = self._predicted(self.settings.compare.baseline)
        _, _, after = self._predicted(arm)
        losers = losing_classes(self.settings, truth, before, after, len(names))
        counts = [[metrics.confusion(truth, row, len(names)) for row in predicted] for predicted in (before, after)]
        went = np.sum(counts[1], axis=0) - np.sum(counts[0], axis=0)  # (K, K) images, from row to column
        return frozenset(names[label] for label in losers), frozenset(names[went[label].argmax()] for label in losers)

    def gains(self, arm: str) -> bool:
        """Return whether the metric that decides the verdict is better with `arm` than with the baseline."""
        means = []
        for name in (self.settings.compare.baseline, arm):
            _, truth, predicted = self._predicted(name)
            means.append(np.mean([metrics.metrics(truth, row)[self.settings.compare.metric] for row in predicted]))
        return bool(means[1] > means[0])

    def _predicted(self, arm: str) -> tuple[tuple[str, ...], Labels, Labels]:
        """Return (labels, true classes (N,), predicted classes (S, N)) of an arm's trainings on validation images."""
        folders = [self.training / arm / f"seed-{seed}" for seed in range(self.settings.train.seeds)]
        found = [read_predictions(folder) for folder in folders]
        return found[0].labels, found[0].targets, np.stack([predictions.predicted for predictions in found])


def losing_classes(settings: Settings, truth: Labels, before: Labels, after: Labels, classes: int) -> list[int]:
    """Return the classes whose recall fell beyond its interval; `before` and `after` are (S, N) predicted labels."""
    groups = [str(row) for row in range(len(truth))]
    generator = np.random.default_rng(item_seed(settings.seed, "training", "gate"))
    draws = metrics.draw(truth, groups, len(before), settings.compare.resamples, generator)
    recalls = [metrics.resample(truth, predicted, groups, classes, draws).recall for predicted in (before, after)]
    found = []
    for label in np.unique(truth).tolist():
        own = truth == label
        change = float((after[:, own] == label).mean() - (before[:, own] == label).mean())
        low_high = metrics.interval(change, (recalls[1] - recalls[0])[:, label], settings.train.gate_confidence)
        if low_high.high < 0:
            found.append(label)
    return found


def train_gated(
    arm: Arm, labels: Sequence[str], trained: Callable[[Arm], list[Result]], gate: HarmGate
) -> list[Result]:
    """Train `arm` again and again, each time without the generated images that did harm, until none does.

    First go those of the classes that took another's images, then those of the classes that lost them, at last all. All
    go as well where what is left gains nothing over the baseline. `trained` trains an arm with every seed.
    """
    results: list[Result] = []
    watched = arm.ungated
    for turn in range(TURNS + 1):
        losers, takers = gate.recall_losses(watched)
        if results and not losers:
            break
        more = takers - arm.dropped or losers - arm.dropped
        arm = replace(arm, dropped=arm.dropped | (frozenset(labels) if turn == TURNS else more))
        results = trained(arm)
        watched = arm.name
    if not gate.gains(arm.name):
        results = trained(replace(arm, dropped=frozenset(labels)))
    return results
