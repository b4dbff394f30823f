"""What the logits of several trainings on one test set say about their arms. Pure: logits and records in, JSON out."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from augment.arrays import Labels, Numbers
from augment.evaluation import metrics
from augment.evaluation.metrics import FAULT_OR_NOT, FAULT_RECALL, METRICS, Draws, Resampled
from augment.records import Document, Record, item_seed
from augment.settings import CompareSettings, Settings
from edge_runtime.bundle.decision import DecisionRule
from export.calibration import reliability


@dataclass(frozen=True)
class Truth:
    """What is true of the test images: label names, which are faults, and of each image its class (N,) and group."""

    labels: tuple[str, ...]
    faults: tuple[str, ...]
    targets: Labels
    groups: Sequence[str]

    @property
    def fault_classes(self) -> list[int]:
        """The classes of faults that the test set holds."""
        held = set(self.targets.tolist())
        return [index for index, label in enumerate(self.labels) if label in self.faults and index in held]

    def counts(self) -> dict[str, Any]:
        """Images and groups, in all and per class: few groups mean little evidence, however many images they hold."""
        per_class = {}
        for index, label in enumerate(self.labels):
            rows = np.flatnonzero(self.targets == index).tolist()
            per_class[label] = {"images": len(rows), "groups": len({self.groups[row] for row in rows})}
        return {"images": len(self.targets), "groups": len(set(self.groups)), "per_class": per_class}


def summarise(settings: Settings, training: Document, truth: Truth, logits: Mapping[str, Numbers]) -> dict[str, Any]:
    """Arms, differences and verdict from calibrated logits (N, K) by training id ("arm/seed-n")."""
    section = settings.compare
    of_arm: dict[str, list[Record]] = {}
    for record in training.records:
        of_arm.setdefault(record["arm"], []).append(record)
    found = {arm: np.stack([logits[record["id"]] for record in records]) for arm, records in of_arm.items()}
    seeds = min(len(records) for records in of_arm.values())
    generator = np.random.default_rng(item_seed(settings.seed, "comparison", "bootstrap"))
    draws = metrics.draw(truth.targets, truth.groups, seeds, section.resamples, generator)
    measured = {arm: Arm(truth, values, draws) for arm, values in found.items()}
    differences = {
        arm: _difference(truth, measured[section.baseline], measured[arm], section)
        for arm in measured
        if arm != section.baseline
    }
    adjusted = metrics.holm([found["mcnemar"]["p"] for found in differences.values()])
    for found, p in zip(differences.values(), adjusted, strict=True):
        found["mcnemar"]["p_holm"] = p
    return {
        "baseline": section.baseline,
        "candidate": section.candidate,
        "metric": section.metric,
        "confidence": section.confidence,
        "resamples": section.resamples,
        "labels": list(truth.labels),
        "fault_labels": list(truth.faults),
        "test": truth.counts(),
        "arms": {arm: measured[arm].to_json(section.confidence) for arm in measured},
        "differences": differences,
        "verdict": differences[section.candidate]["verdict"],
        "gate": {arm: _dropped(records) for arm, records in of_arm.items() if _dropped(records)},
    }


def _dropped(trainings: Sequence[Record]) -> list[str]:
    """The labels whose generated images the gate kept out of an arm."""
    return sorted({label for record in trainings for label in record.get("dropped", ())})


class Arm:
    """One arm's predictions (S, N), one row per training, and its metrics on the test set and on all resamples."""

    def __init__(self, truth: Truth, logits: Numbers, draws: Draws) -> None:
        self.truth = truth
        self.predicted: Labels = logits.argmax(axis=2)
        rule = DecisionRule(truth.labels, (), 1.0, {})
        probabilities = [rule.probabilities(row) for row in logits]
        self.pooled: Labels = np.mean(probabilities, axis=0).argmax(axis=1)
        self.reliability = reliability(truth.targets, probabilities)
        self.per_seed = [metrics.metrics(truth.targets, row) for row in self.predicted]
        self.recall = [metrics.class_recall(truth.targets, row, len(truth.labels)) for row in self.predicted]
        self.resampled: Resampled = metrics.resample(
            truth.targets, self.predicted, truth.groups, len(truth.labels), draws
        )
        self.metrics: tuple[str, ...] = METRICS
        if truth.fault_classes:
            self._measure_faults(probabilities, draws)

    def _measure_faults(self, probabilities: Sequence[Numbers], draws: Draws) -> None:
        self.metrics = (*METRICS, FAULT_RECALL, FAULT_OR_NOT)
        held, faults = self.truth.fault_classes, [label in self.truth.faults for label in self.truth.labels]
        is_fault = np.isin(self.truth.targets, held).astype(np.int64)
        said = np.stack([found[:, faults].sum(axis=1) > 0.5 for found in probabilities]).astype(np.int64)
        for found, recall, answers in zip(self.per_seed, self.recall, said, strict=True):
            found[FAULT_RECALL] = float(np.mean([recall[index] for index in held]))
            found[FAULT_OR_NOT] = float((answers == is_fault).mean())
        added = {
            FAULT_RECALL: np.nanmean(self.resampled.recall[:, held], axis=1),
            FAULT_OR_NOT: metrics.resample(is_fault, said, self.truth.groups, 2, draws).metrics["accuracy"],
        }
        self.resampled = Resampled({**self.resampled.metrics, **added}, self.resampled.recall)

    def mean(self, metric: str) -> float:
        return float(np.mean([found[metric] for found in self.per_seed]))

    def mean_recall(self, label: int) -> float:
        return float(np.mean([found[label] for found in self.recall]))

    def held(self) -> list[int]:
        """The classes that the test set holds."""
        return [index for index, recall in enumerate(self.recall[0]) if recall is not None]

    def to_json(self, confidence: float) -> dict[str, Any]:
        recall: dict[str, Any] = dict.fromkeys(self.truth.labels)
        for index in self.held():
            resampled = self.resampled.recall[:, index]
            recall[self.truth.labels[index]] = _interval(self.mean_recall(index), resampled, confidence)
        counts = [metrics.confusion(self.truth.targets, row, len(self.truth.labels)) for row in self.predicted]
        return {
            "seeds": len(self.predicted),
            "metrics": {metric: self._metric(metric, confidence) for metric in self.metrics},
            "recall": recall,
            "reliability": self.reliability,
            "confusion": np.sum(counts, axis=0).tolist(),  # of all seeds together: rows truth, columns prediction
        }

    def _metric(self, metric: str, confidence: float) -> dict[str, Any]:
        per_seed = [found[metric] for found in self.per_seed]
        spread = float(np.std(per_seed, ddof=1)) if len(per_seed) > 1 else None
        whole = _interval(self.mean(metric), self.resampled.metrics[metric], confidence)
        return {**whole, "std": spread, "per_seed": per_seed}


def _difference(truth: Truth, baseline: Arm, arm: Arm, section: CompareSettings) -> dict[str, Any]:
    """`arm` minus `baseline` on the same resamples. McNemar compares the labels that averaged probabilities give."""
    changes = {}
    for metric in arm.metrics:
        change = arm.resampled.metrics[metric] - baseline.resampled.metrics[metric]
        changes[metric] = _interval(arm.mean(metric) - baseline.mean(metric), change, section.confidence)
    recall: dict[str, Any] = dict.fromkeys(truth.labels)
    for index in arm.held():
        change = arm.resampled.recall[:, index] - baseline.resampled.recall[:, index]
        value = arm.mean_recall(index) - baseline.mean_recall(index)
        recall[truth.labels[index]] = _interval(value, change, section.confidence)
    only_baseline, only_arm, p = metrics.mcnemar_test(truth.targets, baseline.pooled, arm.pooled)
    decisive = changes[section.metric]
    return {
        "metrics": changes,
        "recall": recall,
        "harmed": [label for label, change in recall.items() if change and change["high"] < 0],
        "mcnemar": {"only_baseline_right": only_baseline, "only_arm_right": only_arm, "p": p},
        "verdict": metrics.verdict(metrics.Interval(**decisive)),
    }


def _interval(value: float, resampled: Numbers, confidence: float) -> dict[str, float]:
    return asdict(metrics.interval(value, resampled, confidence))
