"""The acceptance test: an exported file that is worse on the locked test set than its network is not packed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from edge_runtime.bundle.decision import Rule, SpatialRule
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.golden import FileAnswers
from edge_runtime.bundle.heads import Array
from edge_runtime.bundle.manifest import precision_of
from edge_runtime.bundle.preprocess import Frame, Frames, PreprocessSpec
from export.calibration import Targets, at_least, fit_rule, reliability_of
from export.golden_frames import LabelledFrame, choose_golden, own_answers, tolerance
from export.parity import Answers, Parity, Runner, answers, measure_parity, onnx_runner, torch_runner

TOLERATED_LOSS = 0.005  # of macro recall, and of accuracy
TOLERATED_IMAGES = 2  # of all test images, where half a point of accuracy is less
EXACT = 1e-3  # worst difference of a score or a map of the FP32 file, as a share of the largest one (at least of 1)
ENOUGH_REDUCED = 30  # test frames, to say that decoding large JPEGs smaller does no harm


@dataclass(frozen=True)
class Evidence:
    """What a bundle is made and judged with."""

    calibration: Frames  # training images at input size: the scales of INT8 are measured on them
    golden: Sequence[LabelledFrame]  # validation pictures as they came; some become the bundle's golden frames
    validation: Sequence[LabelledFrame]  # each file's own rule is fitted on them; none: the network's rule stays
    test: Sequence[LabelledFrame]  # the locked test set: each file is compared with the network on it
    reduced: Mapping[str, Frame] = field(default_factory=dict)  # test frames by id, decoded at a part of their size


@dataclass(frozen=True)
class Accuracy:
    """What one file, or the network itself, makes of the test frames. Shares are 0..1; `images` and `recall` by label,
    of the labels that the test set holds."""

    accuracy: float
    macro_recall: float
    calibration_error: float  # expected calibration error of the probabilities that its own rule tells
    images: Mapping[str, int]
    recall: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that stands in the manifest's metrics."""
        return asdict(self)


def measure_accuracy(rule: Rule, scores: Array, targets: Targets) -> Accuracy:
    """Return the accuracy of scores (N, M) for targets (N,), each the place of a label in `rule`.

    Counted are the labels with the largest probability, which for a spatial head are those that the rule reports.
    """
    probabilities = rule.probabilities(scores)
    right, confidence = probabilities.argmax(axis=1) == targets, probabilities.max(axis=1)
    if isinstance(rule, SpatialRule):  # its probabilities are moved by the thresholds; what a station tells is not
        confidence = np.array([rule.decide(row).probability for row in scores])
    of_label = {label: targets == place for place, label in enumerate(rule.labels) if (targets == place).any()}
    recall = {label: float(right[own].mean()) for label, own in of_label.items()}
    return Accuracy(
        accuracy=float(right.mean()),
        macro_recall=float(np.mean(list(recall.values()))),
        calibration_error=reliability_of(confidence, right)["ece"],
        images={label: int(own.sum()) for label, own in of_label.items()},
        recall=recall,
    )


def refusal(network: Accuracy, file: Accuracy, faults: tuple[str, ...]) -> str | None:
    """Return why the file is worse than the network than it may be; None where it is good enough.

    It may lose `TOLERATED_LOSS` of macro recall and of accuracy (one picture of a rare class would outweigh many others
    in the former), and of no fault more than chance leaves the network's own recall: it must stay above the lower
    Clopper-Pearson bound.
    """
    few = TOLERATED_IMAGES / sum(network.images.values())
    for what, before, after, tolerated in (
        ("macro recall", network.macro_recall, file.macro_recall, TOLERATED_LOSS),
        ("accuracy", network.accuracy, file.accuracy, max(TOLERATED_LOSS, few)),
    ):
        if before - after > tolerated + 1e-9:
            return (
                f"its {what} on the test set is {100 * after:.1f} %, the network's is {100 * before:.1f} %; at most "
                f"{100 * tolerated:.2g} points may be lost"
            )
    for label in faults:
        if label in network.recall:
            found = round(network.recall[label] * network.images[label])
            bound = at_least(found, network.images[label])
            if file.recall[label] < bound:
                return (
                    f"it finds {100 * file.recall[label]:.1f} % of {label} on the test set, the network "
                    f"{100 * network.recall[label]:.1f} % (at least {100 * bound:.1f} %)"
                )
    return None


@dataclass(frozen=True)
class FileVerdict:
    """The acceptance test's findings on one file: the rule for its scores, how it did, why it may not be packed."""

    rule: Rule
    tolerance: float  # of the golden frames' scores
    parity: Parity
    accuracy: Accuracy
    refusal: str | None
    dialect: str = ""  # of an INT8 file
    kept_in_float: tuple[str, ...] = ()  # convolutions of an INT8 file
    own: FileAnswers | None = None  # an INT8 file's answers to the golden frames

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that stands in the manifest's metrics."""
        made = {"dialect": self.dialect, "kept_in_float": list(self.kept_in_float)} if self.dialect else {}
        return {**self.parity.to_json(), **self.accuracy.to_json(), **made}


@dataclass(frozen=True)
class AcceptanceTest:
    """Compares exported files with the network that they were made from, under the network's own decision rule.

    A frame is judged as a station judges it: with tiles, by one verdict for all of them.
    """

    network: nn.Module  # in evaluation mode
    spec: PreprocessSpec
    rule: Rule
    recall_target: float  # that the rules of the files are fitted to
    specificity: float  # the same, where it is asked for instead
    evidence: Evidence
    run_file: Callable[[Path], Runner] = onnx_runner
    run_plain: Callable[[Path], Runner] = partial(onnx_runner, optimised=False)

    def examine(self, variant: str, path: Path) -> FileVerdict:
        """Fit the rule of the file at `path` on validation frames, and compare it with the network on test frames."""
        run, rule = self.run_file(path), self.rule
        if variant != "fp32" and self.evidence.validation:
            views, targets = self._validation
            scores = answers(run, rule.head, views).scores
            about = (rule.labels, rule.fault_labels, self.recall_target, self.specificity)
            rule, _ = fit_rule(rule.head, scores, targets, *about)
        views, targets = self._test
        seen = answers(run, rule.head, views)
        accuracy = measure_accuracy(rule, seen.scores, targets)
        golden = answers(run, rule.head, self._golden_views).scores
        return FileVerdict(
            rule=rule,
            tolerance=tolerance(precision_of(variant), self.golden_scores, golden),
            parity=measure_parity(variant, self._answers, seen, self.rule),
            accuracy=accuracy,
            refusal=(self._inexact(seen) if variant == "fp32" else None)
            or refusal(self.accuracy, accuracy, rule.fault_labels),
            own=self._own_answers(path, golden) if precision_of(variant) == "int8" else None,
        )

    def _own_answers(self, path: Path, golden: Array) -> FileAnswers:
        return own_answers(golden, answers(self.run_plain(path), self.rule.head, self._golden_views).scores)

    def _inexact(self, seen: Answers) -> str | None:
        """Return why the FP32 file is no copy of the network; None where it is one."""
        for what, expected, found in zip(("scores", "maps"), self._answers, seen, strict=True):
            worst, allowed = np.abs(expected - found).max(), EXACT * max(1.0, np.abs(expected).max())
            if not worst <= allowed:
                return f"its {what} on the test set differ from the network's by {worst:.2g}, {allowed:.2g} is allowed"
        return None

    def examine_reduced(self) -> dict[str, Any] | None:
        """Return how the network does on test frames that were decoded smaller.

        `refused` says why that is too bad, or is None. Return None where the frames are too few to tell.
        """
        items = [item for item in self.evidence.test if item.id in self.evidence.reduced]
        if len(items) < ENOUGH_REDUCED:
            return None
        views, targets = self._arrays(items)
        smaller, _ = self._arrays([item._replace(frame=self.evidence.reduced[item.id]) for item in items])
        whole, seen = self._of_network(views), self._of_network(smaller)
        before, after = (measure_accuracy(self.rule, found.scores, targets) for found in (whole, seen))
        parity = measure_parity("reduced", whole, seen, self.rule)
        return {**parity.to_json(), **after.to_json(), "refused": refusal(before, after, self.rule.fault_labels)}

    @cached_property
    def _chosen(self) -> tuple[list[Frame], list[str]]:
        views = np.stack([self.spec.views(item.frame) for item in self.evidence.golden])
        told = [self.rule.decide(row).label for row in self._of_network(views).scores]
        ids = [item.id for item in self.evidence.golden]
        return choose_golden(self.evidence.golden, self.spec, dict(zip(ids, told, strict=True)))

    @property
    def golden(self) -> list[Frame]:
        """The golden frames, of any size."""
        return self._chosen[0]

    @property
    def golden_truths(self) -> list[str]:
        """The labels that persons gave the first of the golden frames; the others are made."""
        return self._chosen[1]

    @cached_property
    def golden_scores(self) -> Array:
        """The network's scores of the golden frames."""
        return self._of_network(self._golden_views).scores

    @cached_property
    def _golden_views(self) -> Frames:
        return np.stack([self.spec.views(frame) for frame in self.golden])

    @cached_property
    def accuracy(self) -> Accuracy:
        """The accuracy of the network itself on the test set."""
        return measure_accuracy(self.rule, self._answers.scores, self._test[1])

    @cached_property
    def _validation(self) -> tuple[Frames, Targets]:
        return self._arrays(self.evidence.validation)

    @cached_property
    def _test(self) -> tuple[Frames, Targets]:
        return self._arrays(self.evidence.test)

    @cached_property
    def _answers(self) -> Answers:
        return self._of_network(self._test[0])

    def _of_network(self, views: Frames) -> Answers:
        return answers(torch_runner(self.network), self.rule.head, views)

    def _arrays(self, items: Sequence[LabelledFrame]) -> tuple[Frames, Targets]:
        """Return views (N, T, H, W, 3) of frames and the places of their labels, both in the order of the ids."""
        if not items:
            raise InputError("packing needs test frames, got none; look at the data split")
        items = sorted(items, key=lambda item: item.id)
        views = np.stack([self.spec.views(item.frame) for item in items])
        return views, np.array([self.rule.labels.index(item.label) for item in items])
