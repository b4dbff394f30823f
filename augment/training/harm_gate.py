"""The harm gate: keeps out generated images that cost another class its recall, as the validation images show it.

A class that loses is seldom the cause. Its images went to another class, and that one's generated images go. Where few
validation images show no loss of a single class, all classes together may still show that nothing was gained.

Where faults have boxes the gate reads the gap too, by how much a fault's score falls when the fault is painted over.
Recall alone would refuse what takes away a shortcut, and admit what adds one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from augment.arrays import Labels, Numbers
from augment.evaluation import metrics, spot_measures
from augment.evaluation.null_check import null_check
from augment.methods import CLASSIC
from augment.progress import say
from augment.record_types import Interval
from augment.records import item_seed
from augment.settings import Settings
from augment.training.arms import Arm
from augment.training.predictions import PAINTED, Predictions, read_predictions
from edge_runtime.bundle.heads import SpatialHead, head_from_json

TURNS = 3  # trainings of a gated arm before it gets no generated image at all

Result = TypeVar("Result")


@dataclass(frozen=True)
class HarmGate:
    """Compares an arm with its `rival` by the predictions below the folder `training`."""

    settings: Settings
    training: Path

    def rival(self, arm: str) -> str:
        """Return which arm `arm` is compared with: the baseline, by preference with the same head.

        A class head has no score of the fault, and would make any spatial one look like a gain of the images.
        """
        baseline = self.settings.compare.baseline
        spatial = "+".join(part for part in baseline.split("+") if part != CLASSIC)
        return baseline if CLASSIC in arm.split("+") or spatial not in self.settings.train.arms else spatial

    def recall_losses(self, arm: str) -> tuple[frozenset[str], frozenset[str]]:
        """Return (labels that lost recall with `arm`, labels that took their images)."""
        names, truth, before = self._predicted(self.rival(arm))
        _, _, after = self._predicted(arm)
        losers = losing_classes(self.settings, truth, before, after, len(names))
        counts = [[metrics.confusion(truth, row, len(names)) for row in predicted] for predicted in (before, after)]
        went = np.sum(counts[1], axis=0) - np.sum(counts[0], axis=0)  # (K, K) images, from row to column
        return frozenset(names[label] for label in losers), frozenset(names[went[label].argmax()] for label in losers)

    def losses(self, arm: str) -> tuple[frozenset[str], frozenset[str]]:
        """Return (labels that lost recall or rest less on the fault with `arm`, labels whose images are to blame)."""
        losers, takers = self.recall_losses(arm)
        blurred = frozenset(label for label, gap in self.gaps(arm).items() if gap.high < 0)
        harmed = blurred | self.traced(arm)
        return losers | harmed, takers | harmed

    def traced(self, arm: str) -> frozenset[str]:
        """Return the fault labels whose score rises where healthy pictures hold a method's traces and no fault."""
        trained = self._read(arm)
        head, found = _head(trained[0]), set()
        if head is None:
            return frozenset()
        for name in sorted(set(trained[0].copies) - {PAINTED}):
            hosts, composed = (np.mean([_as_stated(one, of) for one in trained], axis=0) for of in (None, name))
            held = ~np.isnan(composed).any(axis=1)
            for column, kind in enumerate(head.kinds, start=len(head.groups)):
                generator = np.random.default_rng(item_seed(self.settings.seed, "training", f"null/{name}/{kind}"))
                pairs = hosts[held, column], composed[held, column]
                checked = null_check(*pairs, np.flatnonzero(held).astype(str).tolist(), generator)
                if checked.verdict == metrics.FAIL:
                    say(f"arm {arm}, {name}: {checked.sentence}")
                    found |= {label for label, own in head.kind_of.items() if own == kind}
        return frozenset(found)

    def gaps(self, arm: str) -> dict[str, Interval]:
        """Return by how much the gap of each fault label is wider with `arm`; empty where no painted image was judged.

        The gap is the AUC on validation images minus the AUC once their boxes are painted over.
        """
        found = [self._read(name) for name in (self.rival(arm), arm)]
        head = _head(found[0][0])
        if head is None or any(PAINTED not in one.copies for trained in found for one in trained):
            return {}
        first = found[0][0]
        shown = np.array(first.labels)[first.targets]
        pictures = spot_measures.Pictures(shown, head.healthy, np.full(len(shown), np.nan))
        faults = sorted(head.kind_of)
        draws = _one_by_one(self.settings, first.targets, len(found[0]))
        before, after = (
            spot_measures.measure(pictures, spot_measures.questions(head, faults), _spot_scores(head, trained), *draws)
            for trained in found
        )
        changes = spot_measures.differences(before, after, self.settings.train.gate_confidence)
        return {label: change.gap for label, change in changes.items() if change.gap}

    def gains(self, arm: str) -> bool:
        """Return whether the verdict's metric is better with `arm`, or the score of a fault rests more on the fault."""
        if any(gap.low > 0 for gap in self.gaps(arm).values()):
            return True
        means = []
        for name in (self.rival(arm), arm):
            _, truth, predicted = self._predicted(name)
            means.append(np.mean([metrics.metrics(truth, row)[self.settings.compare.metric] for row in predicted]))
        return bool(means[1] > means[0])

    def _predicted(self, arm: str) -> tuple[tuple[str, ...], Labels, Labels]:
        """Return (labels, true classes (N,), predicted classes (S, N)) of an arm's trainings on validation images."""
        found = self._read(arm)
        return found[0].labels, found[0].targets, np.stack([predictions.predicted for predictions in found])

    def _read(self, arm: str) -> list[Predictions]:
        folders = [self.training / arm / f"seed-{seed}" for seed in range(self.settings.train.seeds)]
        return [read_predictions(folder) for folder in folders]


def _spot_scores(head: SpatialHead, trained: Sequence[Predictions]) -> spot_measures.Scores:
    """Return the fault scores of validation images and of their painted copies; thresholds and places play no part."""
    as_is, painted = (
        np.stack([_as_stated(found, of)[:, len(head.groups) :] for found in trained]) for of in (None, PAINTED)
    )
    boxed = np.where(np.isnan(painted[:, :, 0]), np.nan, 1.0)
    return spot_measures.Scores(as_is, painted, np.full_like(painted, np.nan), boxed, [[] for _ in trained])


def _head(predictions: Predictions) -> SpatialHead | None:
    """Return the spatial head that said it, None of a class head."""
    head = head_from_json(predictions.head or {"kind": "class"}, predictions.labels)
    return head if isinstance(head, SpatialHead) else None


def _as_stated(predictions: Predictions, of: str | None) -> Numbers:
    """Return the scores (N, M) of validation images, or of their copies."""
    return np.asarray(predictions.scores if of is None else predictions.copies[of], np.float64)


def _one_by_one(settings: Settings, truth: Labels, seeds: int) -> tuple[metrics.Draws, list[str]]:
    """Return resamples of validation images, each for itself, and the groups that they are."""
    groups = [str(row) for row in range(len(truth))]
    generator = np.random.default_rng(item_seed(settings.seed, "training", "gate"))
    return metrics.draw(truth, groups, seeds, settings.compare.resamples, generator), groups


def losing_classes(settings: Settings, truth: Labels, before: Labels, after: Labels, classes: int) -> list[int]:
    """Return the classes whose recall fell beyond its interval; `before` and `after` are (S, N) predicted labels."""
    draws, groups = _one_by_one(settings, truth, len(before))
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
        losers, takers = gate.losses(watched)
        if results and not losers:
            break
        more = takers - arm.dropped or losers - arm.dropped
        arm = replace(arm, dropped=arm.dropped | (frozenset(labels) if turn == TURNS else more))
        results = trained(arm)
        watched = arm.name
    if not gate.gains(arm.name):
        results = trained(replace(arm, dropped=frozenset(labels)))
    return results
