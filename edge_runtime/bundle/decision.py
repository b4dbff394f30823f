"""Decision rules make calibrated probabilities of a head's scores and decide what is reported. Pure arithmetic."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from .errors import InputError
from .heads import Array, ClassHead, Head, SpatialHead

Probabilities = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Decision:
    """The label that is reported for one frame, and how sure it is."""

    label: str
    probability: float  # calibrated, of `label`
    fault: bool
    threshold: float | None  # of `label`; None where it has none
    top: tuple[tuple[str, float], ...]  # labels with their probability, most probable first; each rule says which
    flagged: tuple[str, ...]  # every fault label at or above its threshold, the reported one first
    chances: Mapping[str, float]  # every label's probability; of a fault, whatever the group
    group: str | None = None  # the equipment that is seen, where the head tells it
    group_probability: float | None = None
    named: tuple[str, ...] = ()  # of each kind of fault the label that it bears in this frame, flagged or not


def group_json(decision: Decision) -> dict[str, Any] | None:
    """Return the field `group` of results and events; None where the head tells no group."""
    if decision.group is None or decision.group_probability is None:
        return None
    return {"label": decision.group, "probability": round(decision.group_probability, 6)}


class Rule(Protocol):
    """Decides by the scores (M,) that `head` makes of the model's outputs for one frame."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Every label that may be reported."""

    @property
    def fault_labels(self) -> tuple[str, ...]:
        """The labels that count as faults."""

    @property
    def thresholds(self) -> Mapping[str, float]:
        """The calibrated probability (0..1) from which a label is flagged; every fault label has one."""

    @property
    def head(self) -> Head:
        """The head whose scores are read."""

    def decide(self, scores: Array) -> Decision:
        """Decide by the scores (M,) of one frame. InputError where they are unusable."""

    def probabilities(self, scores: Array) -> Probabilities:
        """Turn scores (N, M) into probabilities (N, K) of the labels; rows add up to 1. InputError as in `decide`."""

    def kind(self, label: str) -> str:
        """Return the kind of a fault label; labels of one kind are the same fault of other equipment."""

    def cams(self, maps: Array) -> Mapping[str, Array]:
        """Return for each label the map (h, w) of its evidence, from the head's maps (C, h, w) of one frame."""

    def with_thresholds(self, thresholds: Mapping[str, float]) -> "Rule":
        """Return the same rule with other thresholds for some labels."""

    def to_json(self) -> dict[str, Any]:
        """Return the manifest's object `decision`; labels and head stand beside it in the manifest."""


@dataclass(frozen=True)
class DecisionRule:
    """The class head's rule: `labels` in the order of the model's outputs, `temperature` of the softmax, `thresholds`.

    Every fault label needs a threshold: a fault is flagged by its own threshold, not by beating the normal class.
    """

    labels: tuple[str, ...]
    fault_labels: tuple[str, ...]
    temperature: float = 1.0
    thresholds: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_labels(self.labels, self.fault_labels)
        _check_temperature(self.temperature)
        _check_thresholds(self.labels, self.fault_labels, self.thresholds)

    @property
    def head(self) -> ClassHead:
        """The class head of the same labels."""
        return ClassHead(self.labels)

    def probabilities(self, scores: Array) -> Probabilities:
        """Turn logits (N, K) into calibrated probabilities (N, K): softmax(logits / temperature) in float64."""
        return _softmax(_checked(scores, len(self.labels)), self.temperature)

    def decide(self, scores: Array) -> Decision:
        """Report by logits (K,) the most probable fault at or above its threshold, else the most probable label.

        `fault` is true in the first case only. Ties go to the label that comes first in `labels`. `top` holds all.
        """
        chance = dict(zip(self.labels, self.probabilities(scores[None])[0].tolist(), strict=True))
        ranked = sorted(self.labels, key=lambda label: -chance[label])  # stable: ties keep the labels' order
        flagged = tuple(
            label for label in ranked if label in self.fault_labels and chance[label] >= self.thresholds[label]
        )
        label = flagged[0] if flagged else ranked[0]
        top = tuple((label, chance[label]) for label in ranked)
        threshold = self.thresholds.get(label)
        return Decision(label, chance[label], bool(flagged), threshold, top, flagged, chance, named=self.fault_labels)

    def kind(self, label: str) -> str:
        """Return the label itself: each is a kind of its own."""
        return label

    def cams(self, maps: Array) -> Mapping[str, Array]:
        """Return the class-activation map of each label."""
        return dict(zip(self.labels, maps, strict=True))

    def with_thresholds(self, thresholds: Mapping[str, float]) -> "DecisionRule":
        """Return the same rule with other thresholds for some labels."""
        return replace(self, thresholds={**self.thresholds, **thresholds})

    def to_json(self) -> dict[str, Any]:
        """Return the manifest's object `decision`; the labels stand beside it in the manifest."""
        return {"temperature": self.temperature, "thresholds": dict(self.thresholds), "abstain": None}

    @classmethod
    def from_json(
        cls, data: Mapping[str, Any], labels: tuple[str, ...], fault_labels: tuple[str, ...]
    ) -> "DecisionRule":
        """Read what `to_json` wrote; InputError names a missing or unusable field."""
        _check_fields(data, ("temperature", "thresholds"))
        return cls(labels, fault_labels, data["temperature"], data["thresholds"])


@dataclass(frozen=True)
class SpatialRule:
    """The spatial head's rule: a kind of fault is flagged by its own score alone, and the group only names it.

    The probability of kind k is sigmoid(scale[k] * score + offset[k]); that of a group is
    softmax(group logits / group_temperature). `thresholds` are by fault label, so that a station may set one.
    """

    head: SpatialHead
    labels: tuple[str, ...]
    fault_labels: tuple[str, ...]
    group_temperature: float
    scale: Mapping[str, float]
    offset: Mapping[str, float]
    thresholds: Mapping[str, float]

    def __post_init__(self) -> None:
        _check_labels(self.labels, self.fault_labels)
        if set(self.fault_labels) != set(self.head.kind_of) or set(self.labels) - set(self.fault_labels) != set(
            self.head.healthy
        ):
            raise InputError(
                f"the labels are {list(self.labels)} with the faults {list(self.fault_labels)}, the head names "
                f"{sorted(self.head.healthy)} and the faults {sorted(self.head.kind_of)}; expected the same"
            )
        _check_temperature(self.group_temperature)
        for what, values in (("scale", self.scale), ("offset", self.offset)):
            if not isinstance(values, Mapping) or set(values) != set(self.head.kinds):
                raise InputError(f"the {what} is {values!r}, expected a number for each of {list(self.head.kinds)}")
            if not all(_is_number(value) and math.isfinite(value) for value in values.values()):
                raise InputError(f"the {what} is {values!r}, expected finite numbers")
        if min(self.scale.values()) <= 0:  # or a hotter map would mean less of a fault
            raise InputError(f"the scale is {dict(self.scale)}, expected numbers above 0; fit the rule again")
        _check_thresholds(self.labels, self.fault_labels, self.thresholds)

    def decide(self, scores: Array) -> Decision:
        """Report by scores (G + F,) the fault that lies furthest above its threshold, else the group's healthy label.

        A kind that the named group does not have bears the label of the most probable group that has it. `top` holds
        the named group's labels, and those that are flagged.
        """
        checked = _checked(scores[None], len(self.head.groups) + len(self.head.kinds))
        groups, kinds = self._groups(checked)[0], self._kinds(checked)[0]
        group = self.head.groups[int(groups.argmax())]
        by_kind = dict(zip(self.head.kinds, kinds.tolist(), strict=True))
        chances = {label: by_kind[kind] for label, kind in self.head.kind_of.items()}
        chances |= dict.fromkeys(self.head.healthy, 1 - max(by_kind.values()))
        names = self._names(groups)
        over = dict(zip(names, self._over(kinds, names).tolist(), strict=True))
        ranked = sorted(names, key=lambda name: -over[name])  # stable: ties keep the kinds' order
        flagged = tuple(name for name in ranked if chances[name] >= self.thresholds[name])
        label = flagged[0] if flagged else group.healthy
        listed = dict.fromkeys([label, group.healthy, *group.faults.values(), *flagged])
        top = tuple(sorted(((name, chances[name]) for name in listed), key=lambda pair: -pair[1]))
        return Decision(
            label,
            chances[label],
            bool(flagged),
            self.thresholds.get(label),
            top,
            flagged,
            chances,
            group.name,
            float(groups.max()),
            names,
        )

    def probabilities(self, scores: Array) -> Probabilities:
        """Turn scores (N, G + F) into probabilities (N, K) whose largest is that of the label that `decide` reports.

        They are the joint ones of group and fault, the latter moved so that its threshold is 0.5. Where another label
        would be the largest, because groups share labels, it changes places with the reported one.
        """
        checked = _checked(scores, len(self.head.groups) + len(self.head.kinds))
        groups, kinds = self._groups(checked), self._kinds(checked)
        found = np.zeros((len(checked), len(self.labels)))
        for row, decided in enumerate(map(self.decide, checked)):
            names = self._names(groups[row])
            over = self._over(kinds[row], names)
            for group, chance in zip(self.head.groups, groups[row], strict=True):
                found[row, self.labels.index(group.healthy)] += chance * (1 - over.max())
                for kind, name, share in zip(self.head.kinds, names, over, strict=True):
                    found[row, self.labels.index(group.faults.get(kind, name))] += chance * share
            most, reported = int(found[row].argmax()), self.labels.index(decided.label)
            found[row, [most, reported]] = found[row, [reported, most]]
            found[row, reported] *= 1 + 1e-6  # no tie
        return cast(Probabilities, found / found.sum(axis=1, keepdims=True))

    def kind(self, label: str) -> str:
        """Return the kind of a fault label."""
        return self.head.kind_of[label]

    def cams(self, maps: Array) -> Mapping[str, Array]:
        """Return for each fault label the probability (h, w) that each cell would bear alone, 0..1.

        It is moved so that the label's threshold is 0.5, as in `probabilities`. A healthy label has the largest of all.
        """
        cells = self._kinds(maps.reshape(len(maps), -1).T).T.reshape(maps.shape)
        by_kind = dict(zip(self.head.kinds, cells, strict=True))
        of = self.head.kind_of
        faults = {label: _shifted(by_kind[of[label]], self.thresholds[label]) for label in self.fault_labels}
        return {**faults, **dict.fromkeys(self.head.healthy, np.max(list(faults.values()), axis=0))}

    def with_thresholds(self, thresholds: Mapping[str, float]) -> "SpatialRule":
        """Return the same rule with other thresholds for some labels."""
        return replace(self, thresholds={**self.thresholds, **thresholds})

    def to_json(self) -> dict[str, Any]:
        """Return the manifest's object `decision`; labels and head stand beside it in the manifest."""
        return {
            "group_temperature": self.group_temperature,
            "scale": dict(self.scale),
            "offset": dict(self.offset),
            "thresholds": dict(self.thresholds),
            "abstain": None,
        }

    @classmethod
    def from_json(
        cls, data: Mapping[str, Any], head: SpatialHead, labels: tuple[str, ...], fault_labels: tuple[str, ...]
    ) -> "SpatialRule":
        """Read what `to_json` wrote; InputError names a missing or unusable field."""
        names = ("group_temperature", "scale", "offset", "thresholds")
        _check_fields(data, names)
        return cls(head, labels, fault_labels, *(data[name] for name in names))

    def _groups(self, scores: Probabilities) -> Probabilities:
        return _softmax(scores[:, : len(self.head.groups)], self.group_temperature)

    def _kinds(self, scores: Array) -> Probabilities:
        """Return the probability (N, F) of each kind, of scores (N, G + F) or (N, F)."""
        scale, offset = (np.array([by[kind] for kind in self.head.kinds]) for by in (self.scale, self.offset))
        raw = scores[:, -len(self.head.kinds) :].astype(np.float64) * scale + offset
        return cast(Probabilities, (1 + np.tanh(raw / 2)) / 2)  # the sigmoid, which cannot overflow

    def _names(self, groups: Probabilities) -> tuple[str, ...]:
        """Return the label of each kind, by the probabilities (G,) of the groups."""
        ranked = [self.head.groups[place] for place in np.argsort(-groups, kind="stable")]
        return tuple(next(g.faults[kind] for g in ranked if kind in g.faults) for kind in self.head.kinds)

    def _over(self, kinds: Probabilities, names: tuple[str, ...]) -> Probabilities:
        """Return the probabilities (F,) of the kinds, moved so that the thresholds of their labels `names` are 0.5."""
        return _shifted(kinds, [self.thresholds[name] for name in names])


def rule_from_json(data: Mapping[str, Any], head: Head, labels: tuple[str, ...], faults: Sequence[str]) -> Rule:
    """Read the decision of a bundle whose model has `head`; InputError names a missing or unusable field."""
    if isinstance(head, SpatialHead):
        return SpatialRule.from_json(data, head, labels, tuple(faults))
    return DecisionRule.from_json(data, labels, tuple(faults))


def _shifted(chances: Probabilities, thresholds: npt.ArrayLike) -> Probabilities:
    """Return probabilities by their odds against those of the thresholds, so that a threshold itself becomes 0.5."""
    bar = np.asarray(thresholds, dtype=np.float64)
    for_it, against = chances * (1 - bar), bar * (1 - chances)
    total = for_it + against
    return np.where(total > 0, for_it / np.where(total > 0, total, 1), 0.5)


def _softmax(logits: Probabilities, temperature: float) -> Probabilities:
    scaled = logits / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    probabilities: Probabilities = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def _checked(scores: Array, count: int) -> Probabilities:
    """Return scores (N, `count`) in float64; InputError for another shape, or a score that is no finite number."""
    if scores.ndim != 2 or scores.shape[1] != count:
        raise InputError(f"the model gave scores of shape {scores.shape}, expected (N, {count})")
    if not np.isfinite(scores).all():
        raise InputError("the model gave a score that is no finite number; check the bundle with `edge-station check`")
    return scores.astype(np.float64)


def _check_fields(data: Mapping[str, Any], fields: Sequence[str]) -> None:
    for key in fields:
        if key not in data:
            raise InputError(f"the manifest's decision has no {key!r}; the bundle is damaged, copy or pack it again")
    if data.get("abstain") is not None:
        raise InputError(
            "the manifest's decision has an abstain rule, which this version cannot apply; upgrade rarefault"
        )


def _check_temperature(temperature: object) -> None:
    if not _is_number(temperature) or not 0 < cast(float, temperature) < math.inf:
        raise InputError(f"the temperature is {temperature!r}, expected a number above 0")


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
