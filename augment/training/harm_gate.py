"""Do no harm: which generated images cost another class its recall, by the validation images; and is it worth it?

A class that loses is seldom the cause. Its images went to another class, and that one's generated images go. Where few
validation images show no loss of a single class, all classes together may still show that nothing was gained.
"""

from pathlib import Path

import numpy as np

from augment.arrays import Labels
from augment.evaluation import metrics
from augment.records import item_seed
from augment.settings import Settings
from augment.training.predictions import read_predictions


def harm(settings: Settings, training: Path, baseline: str, arm: str) -> tuple[frozenset[str], frozenset[str]]:
    """(labels that lost recall, labels that took their images), given both arms' trainings below `training`."""
    names, truth, before = _predicted(training / baseline, settings.train.seeds)
    _, _, after = _predicted(training / arm, settings.train.seeds)
    losers = harmed(settings, truth, before, after, len(names))
    takers = set()
    for label in losers:
        went = sum(
            (metrics.confusion(truth, new, len(names))[label] - metrics.confusion(truth, old, len(names))[label])
            for old, new in zip(before, after, strict=True)
        )
        takers.add(names[int(np.argmax(went))])
    return frozenset(names[label] for label in losers), frozenset(takers)


def gains(settings: Settings, training: Path, baseline: str, arm: str) -> bool:
    """Whether the metric that decides the verdict is better with `arm` than with `baseline`, on validation images."""
    _, truth, before = _predicted(training / baseline, settings.train.seeds)
    _, _, after = _predicted(training / arm, settings.train.seeds)
    means = [
        np.mean([metrics.metrics(truth, row)[settings.compare.metric] for row in predicted])
        for predicted in (before, after)
    ]
    return bool(means[1] > means[0])


def harmed(settings: Settings, truth: Labels, before: Labels, after: Labels, classes: int) -> list[int]:
    """The classes whose recall fell beyond its interval; `before` and `after` are (S, N) predicted labels."""
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


def _predicted(folder: Path, seeds: int) -> tuple[tuple[str, ...], Labels, Labels]:
    """Return (labels, true classes (N,), predicted classes (S, N)) of an arm's trainings on the validation images."""
    found = [read_predictions(folder / f"seed-{seed}") for seed in range(seeds)]
    return found[0].labels, found[0].targets, np.stack([predictions.predicted for predictions in found])
