"""The decision rule: makes calibrated probabilities of logits and decides which label is reported. Pure arithmetic."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import InputError

Probabilities = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Decision:
    """The label that is reported for one frame, and the probabilities of all labels."""

    label: str
    probability: float  # calibrated, of `label`
    fault: bool
    threshold: float | None  # of `label`; None where it has none
    top: tuple[tuple[str, float], ...]  # every label with its probability, most probable first
    flagged: tuple[str, ...] = ()  # every fault label at or above its threshold, most probable first


@dataclass(frozen=True)
class DecisionRule:
    """`labels` in the order of the model's outputs, `temperature` of the softmax, `thresholds` per label (0..1).

    Every fault label needs a threshold: a fault is flagged by its own threshold, not by beating the normal class.
    """

    labels: tuple[str, ...]
    fault_labels: tuple[str, ...]
    temperature: float = 1.0
    thresholds: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_labels(self.labels, self.fault_labels)
        if not _is_number(self.temperature) or not 0 < self.temperature < math.inf:
            raise InputError(f"the temperature is {self.temperature!r}, expected a number above 0")
        _check_thresholds(self.labels, self.fault_labels, self.thresholds)

    def probabilities(self, logits: npt.NDArray[np.floating[Any]]) -> Probabilities:
        """Turn logits (N, K) into calibrated probabilities (N, K): softmax(logits / temperature) in float64."""
        if logits.ndim != 2 or logits.shape[1] != len(self.labels):
            raise InputError(f"the model gave logits of shape {logits.shape}, expected (N, {len(self.labels)})")
        if not np.isfinite(logits).all():
            raise InputError(
                "the model gave a logit that is no finite number; check the bundle with `edge-station check`"
            )
        scaled = logits.astype(np.float64) / self.temperature
        powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        probabilities: Probabilities = powers / powers.sum(axis=1, keepdims=True)
        return probabilities

    def decide(self, probabilities: Probabilities) -> Decision:
        """Report of probabilities (K,) the most probable fault at or above its threshold, else the most probable label.

        `fault` is true in the first case only. Ties go to the label that comes first in `labels`.
        """
        chance = dict(zip(self.labels, (float(p) for p in probabilities), strict=True))
        ranked = sorted(self.labels, key=lambda label: -chance[label])  # stable: ties keep the labels' order
        flagged = tuple(
            label for label in ranked if label in self.fault_labels and chance[label] >= self.thresholds[label]
        )
        label = flagged[0] if flagged else ranked[0]
        top = tuple((label, chance[label]) for label in ranked)
        return Decision(label, chance[label], bool(flagged), self.thresholds.get(label), top, flagged)

    def to_json(self) -> dict[str, Any]:
        """Return the manifest's object `decision`; the labels stand beside it in the manifest."""
        return {"temperature": self.temperature, "thresholds": dict(self.thresholds), "abstain": None}

    @classmethod
    def from_json(
        cls, data: Mapping[str, Any], labels: tuple[str, ...], fault_labels: tuple[str, ...]
    ) -> "DecisionRule":
        """Read what `to_json` wrote; InputError names a missing or unusable field."""
        for key in ("temperature", "thresholds"):
            if key not in data:
                raise InputError(
                    f"the manifest's decision has no {key!r}; the bundle is damaged, copy or pack it again"
                )
        if data.get("abstain") is not None:
            raise InputError(
                "the manifest's decision has an abstain rule, which this version cannot apply; upgrade rarefault"
            )
        return cls(labels, fault_labels, data["temperature"], data["thresholds"])


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check_labels(labels: tuple[str, ...], fault_labels: tuple[str, ...]) -> None:
    names = {label for label in labels if isinstance(label, str) and label}
    if len(labels) < 2 or len(names) != len(labels):
        raise InputError(f"the labels are {list(labels)}, expected at least two different names")
    if len(set(fault_labels)) != len(fault_labels):
        raise InputError(f"the fault labels are {list(fault_labels)}, expected each name once")
    if strange := [label for label in fault_labels if label not in labels]:
        raise InputError(f"the fault labels {strange} are not among the labels {list(labels)}")


def _check_thresholds(labels: tuple[str, ...], fault_labels: tuple[str, ...], thresholds: Mapping[str, float]) -> None:
    if not isinstance(thresholds, Mapping):
        raise InputError(f"the thresholds are {thresholds!r}, expected one number per label")
    for label, threshold in thresholds.items():
        if label not in labels:
            raise InputError(f"there is a threshold for {label!r}, which is not among the labels {list(labels)}")
        if not _is_number(threshold) or not 0 <= threshold <= 1:
            raise InputError(f"the threshold of {label!r} is {threshold!r}, expected a probability from 0 to 1")
    if missing := [label for label in fault_labels if label not in thresholds]:
        raise InputError(f"the fault labels {missing} have no threshold; every fault label needs one")
