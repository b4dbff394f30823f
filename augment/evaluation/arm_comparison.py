"""Compare arms by the answers of their trainings on one test set. Pure: answers and records in, the summary out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from augment import record_types as types
from augment.arrays import Labels, Numbers
from augment.evaluation import metrics, spot_measures
from augment.evaluation.metrics import FAULT_OR_NOT, FAULT_RECALL, METRICS, Draws, Resampled
from augment.json_objects import from_json
from augment.records import item_seed
from augment.settings import CompareSettings, Settings
from edge_runtime.bundle.decision import DecisionRule, Rule
from export.calibration import reliability

Logits: TypeAlias = npt.NDArray[np.floating[Any]]
Training = TypeVar("Training", bound=types.TrainedArm)


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

    def counts(self) -> types.HeldOutCounts:
        """Count images and groups, in all and per class: few groups mean little evidence, however many their images."""
        per_class = {}
        for index, label in enumerate(self.labels):
            rows = np.flatnonzero(self.targets == index).tolist()
            per_class[label] = types.ImageCounts(images=len(rows), groups=len({self.groups[row] for row in rows}))
        return types.HeldOutCounts(images=len(self.targets), groups=len(set(self.groups)), per_class=per_class)


@dataclass(frozen=True)
class ArmAnswers:
    """What the S trainings of one arm say of the test images.

    `predicted` (S, N) are classes, `faulty` (S, N) whether a fault is seen, whichever, `probabilities` (N, K) for each
    training, `pooled` (N,) the classes that all trainings together name.
    """

    predicted: Labels
    faulty: npt.NDArray[np.bool_]
    probabilities: Sequence[Numbers]
    pooled: Labels

    @classmethod
    def by_argmax(cls, truth: Truth, logits: Logits) -> "ArmAnswers":
        """Answer with the likeliest class by calibrated logits (S, N, K)."""
        rule = DecisionRule(truth.labels, (), 1.0, {})
        probabilities = [rule.probabilities(row) for row in logits]
        faults = [label in truth.faults for label in truth.labels]
        faulty = np.stack([found[:, faults].sum(axis=1) > 0.5 for found in probabilities])
        return cls(logits.argmax(axis=2), faulty, probabilities, np.mean(probabilities, axis=0).argmax(axis=1))

    @classmethod
    def by_rule(cls, truth: Truth, rules: Sequence[Rule], scores: Sequence[Logits]) -> "ArmAnswers":
        """Answer as a station would, by each training's own rule and scores (N, M)."""
        pairs = list(zip(rules, scores, strict=True))
        decided = [[rule.decide(row) for row in found] for rule, found in pairs]
        predicted = np.array([[truth.labels.index(found.label) for found in row] for row in decided], np.int64)
        faulty = np.array([[found.fault for found in row] for row in decided])
        return cls.by_votes(predicted, faulty, [rule.probabilities(found) for rule, found in pairs])

    @classmethod
    def by_votes(
        cls, predicted: Labels, faulty: npt.NDArray[np.bool_], probabilities: Sequence[Numbers]
    ) -> "ArmAnswers":
        """Let all trainings together name what most of them name; on equal votes the likeliest of it."""
        votes = (predicted[..., None] == np.arange(probabilities[0].shape[1])).sum(axis=0)
        pooled = (votes + np.mean(probabilities, axis=0) / 2).argmax(axis=1)
        return cls(predicted, faulty, probabilities, pooled)


def by_argmax(
    truth: Truth, trainings: Sequence[types.TrainedArm], logits: Mapping[str, Logits]
) -> dict[str, ArmAnswers]:
    """Answer for each arm with the likeliest class, by the calibrated logits (N, K) of each training by its id."""
    return {
        arm: ArmAnswers.by_argmax(truth, np.stack([logits[training.id] for training in own]))
        for arm, own in of_arms(trainings).items()
    }


def of_arms(trainings: Sequence[Training]) -> dict[str, list[Training]]:
    """Return the trainings of each arm, in their order."""
    found: dict[str, list[Training]] = {}
    for training in trainings:
        found.setdefault(training.arm, []).append(training)
    return found


@dataclass(frozen=True)
class SpotTest:
    """What the spatial measures take: the test pictures and, of each arm, its fault scores."""

    pictures: spot_measures.Pictures
    questions: Mapping[str, spot_measures.Question]  # by fault label
    scores: Mapping[str, spot_measures.Scores]  # by arm
    smallest: Mapping[str, types.SmallestFault | None]  # by arm


def summarise(
    settings: Settings,
    trainings: Sequence[types.TrainedArm],
    truth: Truth,
    answers: Mapping[str, ArmAnswers],
    spots: SpotTest | None = None,
) -> types.ComparisonSummary:
    """Compare all arms with the baseline by their answers, and by what they see of the faults, given `spots`."""
    section = settings.compare
    seeds = min(len(found.predicted) for found in answers.values())
    generator = np.random.default_rng(item_seed(settings.seed, "comparison", "bootstrap"))
    draws = metrics.draw(truth.targets, truth.groups, seeds, section.resamples, generator)
    scores = {arm: ArmScores(truth, found, draws) for arm, found in answers.items()}
    differences = _differences(truth, scores, section)
    arms = {arm: found.result(section.confidence) for arm, found in scores.items()}
    if spots:
        arms, differences = _with_spots(spots, arms, differences, draws, truth, section)
    dropped = {
        arm: sorted({label for training in own for label in training.dropped})
        for arm, own in of_arms(trainings).items()
    }
    return types.ComparisonSummary(
        baseline=section.baseline,
        candidate=section.candidate,
        metric=section.metric,
        confidence=section.confidence,
        resamples=section.resamples,
        labels=list(truth.labels),
        fault_labels=list(truth.faults),
        test=truth.counts(),
        arms=arms,
        differences=differences,
        verdict=differences[section.candidate].verdict,
        gate={arm: labels for arm, labels in dropped.items() if labels},
    )


def _with_spots(
    spots: SpotTest,
    arms: Mapping[str, types.ArmResult],
    differences: Mapping[str, types.Difference],
    draws: Draws,
    truth: Truth,
    section: CompareSettings,
) -> tuple[dict[str, types.ArmResult], dict[str, types.Difference]]:
    """Add to each arm what it sees of the faults, and to each difference what that gained."""
    edges = spot_measures.size_bins(spots.pictures.sides)
    seen, results = {}, {}
    for arm, scores in spots.scores.items():
        seen[arm] = spot_measures.measure(spots.pictures, spots.questions, scores, draws, truth.groups)
        faults = {label: found.result(edges, section.confidence) for label, found in seen[arm].items()}
        results[arm] = types.Spots(faults=faults, smallest_fault=spots.smallest[arm])
    baseline = section.baseline
    return {arm: replace(found, spots=results[arm]) for arm, found in arms.items()}, {
        arm: replace(
            _reading_support(found, results[baseline], results[arm]),
            spots=spot_measures.differences(seen[baseline], seen[arm], section.confidence),
        )
        for arm, found in differences.items()
    }


def _reading_support(difference: types.Difference, before: types.Spots, after: types.Spots) -> types.Difference:
    """An arm whose score does not rest on a fault on which the baseline's does passes not, whatever else it gained."""
    lost = [label for label, was in before.faults.items() if was.supported and not after.faults[label].supported]
    passed = difference.verdict == metrics.PASS
    return replace(
        difference, lost_support=lost, verdict=metrics.INCONCLUSIVE if lost and passed else difference.verdict
    )


class ArmScores:
    """One arm's predictions (S, N), one row per training, and its metrics on the test set and on all resamples."""

    def __init__(self, truth: Truth, answers: ArmAnswers, draws: Draws) -> None:
        self.truth = truth
        self.predicted, self.pooled = answers.predicted, answers.pooled
        self.reliability = reliability(truth.targets, answers.probabilities)
        self.per_seed = [metrics.metrics(truth.targets, row) for row in self.predicted]
        self.recall = [metrics.class_recall(truth.targets, row, len(truth.labels)) for row in self.predicted]
        self.resampled: Resampled = metrics.resample(
            truth.targets, self.predicted, truth.groups, len(truth.labels), draws
        )
        self.metrics: tuple[str, ...] = METRICS
        if truth.fault_classes:
            self._measure_faults(answers.faulty.astype(np.int64), draws)

    def _measure_faults(self, answered: Labels, draws: Draws) -> None:
        self.metrics = (*METRICS, FAULT_RECALL, FAULT_OR_NOT)
        held = self.truth.fault_classes
        is_fault = np.isin(self.truth.targets, held).astype(np.int64)
        for found, recall, answers in zip(self.per_seed, self.recall, answered, strict=True):
            found[FAULT_RECALL] = float(np.mean([recall[index] for index in held]))
            found[FAULT_OR_NOT] = float((answers == is_fault).mean())
        added = {
            FAULT_RECALL: np.nanmean(self.resampled.recall[:, held], axis=1),
            FAULT_OR_NOT: metrics.resample(is_fault, answered, self.truth.groups, 2, draws).metrics["accuracy"],
        }
        self.resampled = Resampled({**self.resampled.metrics, **added}, self.resampled.recall)

    def mean(self, metric: str) -> float:
        """Return the mean of a metric over the trainings."""
        return float(np.mean([found[metric] for found in self.per_seed]))

    def mean_recall(self, label: int) -> float:
        """Return the mean recall of a class over the trainings."""
        return float(np.mean([found[label] for found in self.recall]))

    def held(self) -> list[int]:
        """Return the classes that the test set holds."""
        return [index for index, recall in enumerate(self.recall[0]) if recall is not None]

    def result(self, confidence: float) -> types.ArmResult:
        """Sum the arm up, with intervals of this confidence."""
        counts = [metrics.confusion(self.truth.targets, row, len(self.truth.labels)) for row in self.predicted]
        return types.ArmResult(
            seeds=len(self.predicted),
            metrics={metric: self._metric(metric, confidence) for metric in self.metrics},
            recall=self.by_label(self.mean_recall, self.resampled.recall, confidence),
            reliability=from_json(types.Reliability, self.reliability),
            confusion=np.sum(counts, axis=0).tolist(),
        )

    def by_label(
        self, value_of: Callable[[int], float], resampled: Numbers, confidence: float
    ) -> dict[str, types.Interval | None]:
        """Return for each label the interval of a value, by its resamples (R, K); None where it has no test image."""
        found: dict[str, types.Interval | None] = dict.fromkeys(self.truth.labels)
        for index in self.held():
            found[self.truth.labels[index]] = metrics.interval(value_of(index), resampled[:, index], confidence)
        return found

    def _metric(self, metric: str, confidence: float) -> types.Measured:
        per_seed = [found[metric] for found in self.per_seed]
        spread = float(np.std(per_seed, ddof=1)) if len(per_seed) > 1 else None
        whole = metrics.interval(self.mean(metric), self.resampled.metrics[metric], confidence)
        return types.Measured(**vars(whole), std=spread, per_seed=per_seed)


def _differences(
    truth: Truth, scores: Mapping[str, ArmScores], section: CompareSettings
) -> dict[str, types.Difference]:
    """Subtract the baseline from every other arm. McNemar compares the labels that averaged probabilities give."""
    baseline = scores[section.baseline]
    # Where one arm is all that there is, it is its own candidate, and the difference is nothing.
    others = {arm: found for arm, found in scores.items() if arm != section.baseline or arm == section.candidate}
    tests = {arm: metrics.mcnemar_test(truth.targets, baseline.pooled, found.pooled) for arm, found in others.items()}
    adjusted = metrics.holm([p for _, _, p in tests.values()])
    differences = {}
    for (arm, found), p_holm in zip(others.items(), adjusted, strict=True):
        only_baseline, only_arm, p = tests[arm]
        mcnemar = types.McNemar(only_baseline_right=only_baseline, only_arm_right=only_arm, p=p, p_holm=p_holm)
        differences[arm] = _difference(baseline, found, mcnemar, section)
    return differences


def _difference(
    baseline: ArmScores, arm: ArmScores, mcnemar: types.McNemar, section: CompareSettings
) -> types.Difference:
    """Subtract `baseline` from `arm` on the same resamples."""
    changes = {
        metric: metrics.interval(
            arm.mean(metric) - baseline.mean(metric),
            arm.resampled.metrics[metric] - baseline.resampled.metrics[metric],
            section.confidence,
        )
        for metric in arm.metrics
    }

    def change(label: int) -> float:
        return arm.mean_recall(label) - baseline.mean_recall(label)

    recall = arm.by_label(change, arm.resampled.recall - baseline.resampled.recall, section.confidence)
    return types.Difference(
        metrics=changes,
        recall=recall,
        harmed=[label for label, found in recall.items() if found and found.high < 0],
        mcnemar=mcnemar,
        verdict=metrics.verdict(changes[section.metric]),
    )
