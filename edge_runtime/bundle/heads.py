"""What a bundle's model gives out, and what belongs together in it: class head and spatial head. Pure arithmetic.

The class head tells one label of K from the whole picture. The spatial head tells which group of equipment it sees, and
for every kind of fault a map of cells and the score that is pooled from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from .errors import InputError

Array = npt.NDArray[np.floating[Any]]
Outputs = Mapping[str, Array]
"""Every output of the model by its name; the first axis counts the views."""

POOLINGS = ("max", "top", "lse")
BOXES, PICTURES = "boxes", "pictures"  # what the maps were trained with: a map of PICTURES is not evidence


@dataclass(frozen=True)
class Pooling:
    """How one score is made of a map: its highest cell, the mean of its highest `cells`, or log mean exp of all."""

    kind: str = "top"
    cells: int = 4

    def __post_init__(self) -> None:
        if self.kind not in POOLINGS or type(self.cells) is not int or self.cells < 1:
            raise InputError(
                f"the pooling is {self.kind!r} of {self.cells!r} cells, this version knows {', '.join(POOLINGS)} of a "
                "whole number of cells from 1; upgrade rarefault, or pack the bundle again"
            )

    @classmethod
    def parse(cls, text: str) -> "Pooling":
        """Read a pooling as settings spell it: "max", "lse", or "top-4" for the mean of the four highest cells."""
        kind, _, cells = text.partition("-")
        if (kind == "top") != cells.isdecimal() or (kind != "top" and cells):
            raise InputError(f'the pooling is {text!r}, expected "max", "lse", or "top-4" with any number of cells')
        return cls(kind, int(cells) if cells else 1)

    def __str__(self) -> str:
        return f"top-{self.cells}" if self.kind == "top" else self.kind

    def pool(self, maps: Array) -> Array:
        """Turn maps (N, F, h, w) into scores (N, F)."""
        cells = maps.reshape(*maps.shape[:2], -1)
        if self.kind == "max":
            return cast(Array, cells.max(axis=2))
        if self.kind == "lse":
            peak = cells.max(axis=2, keepdims=True)
            return cast(Array, peak[..., 0] + np.log(np.exp(cells - peak).mean(axis=2)))
        most = min(self.cells, cells.shape[2])
        return cast(Array, np.partition(cells, -most, axis=2)[..., -most:].mean(axis=2))

    def to_json(self) -> dict[str, Any]:
        """Return the object `pooling` of the manifest's head."""
        return {"kind": self.kind, "cells": self.cells}


@dataclass(frozen=True)
class Group:
    """A kind of equipment: the label of a healthy one, and by kind of fault the label of one that has it."""

    name: str
    healthy: str
    faults: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return one of the `groups` of the manifest's head."""
        return {"name": self.name, "healthy": self.healthy, "faults": dict(self.faults)}


@dataclass(frozen=True)
class ClassHead:
    """Outputs `logits` (N, K) and `cam` (N, K, h, w) for K `labels`; its scores are the logits."""

    labels: tuple[str, ...]
    capability = "class-head"
    maps = "cam"  # the output that holds the maps
    full_heat = None  # the value of a label's map that is drawn as the hottest; None: the map's own maximum
    evidence = None  # it claims none

    @property
    def shapes(self) -> dict[str, tuple[int | None, ...]]:
        """Every output and its shape; None stands for any number."""
        count = len(self.labels)
        return {"logits": (None, count), "cam": (None, count, None, None)}

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of all outputs."""
        return tuple(self.shapes)

    def scores(self, outputs: Outputs) -> Array:
        """Return the scores (N, K) that a decision rule reads."""
        return outputs["logits"]

    def join_tiles(self, scores: Array) -> Array:
        """Turn the scores (N, 1, K) of every view into scores (N, K) of every frame: this head has one view a frame."""
        return cast(Array, scores.reshape(len(scores), len(self.labels)))

    def check(self, outputs: Outputs, tolerance: float) -> None:
        """Refuse maps that show something else: logits minus the maps' means must be one bias, whatever the frame."""
        bias = outputs["logits"] - outputs["cam"].mean(axis=(2, 3))
        apart = float(np.ptp(bias, axis=0).max())
        if not apart <= tolerance:
            raise InputError(
                f"the model's map and logits do not belong together: their difference varies by {apart:.3g} from frame "
                "to frame; pack the bundle again"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the manifest's object `head`; the labels stand beside it in the manifest."""
        return {"kind": "class"}


@dataclass(frozen=True)
class SpatialHead:
    """Outputs `group_logits` (N, G), `fault_scores` (N, F), `maps` (N, F, h, w) for G `groups` and F `kinds` of fault.

    Its scores (N, G + F) are group logits and fault scores side by side. `evidence` says whether boxes taught the maps
    where faults are, or pictures alone: the map of such a bundle is not evidence.
    """

    groups: tuple[Group, ...]
    kinds: tuple[str, ...]
    pooling: Pooling = Pooling()
    evidence: str = BOXES
    capability = "spatial-head"
    maps = "maps"
    full_heat = 1.0

    def __post_init__(self) -> None:
        if self.evidence not in (BOXES, PICTURES):
            raise InputError(f'the evidence is {self.evidence!r}, expected "{BOXES}" or "{PICTURES}"')
        for what, names in (("groups", [group.name for group in self.groups]), ("kinds", list(self.kinds))):
            if not names or len(set(names)) < len(names) or not all(names):
                raise InputError(f"the {what} of the head are {names}, expected at least one name and each name once")
        if strange := {kind for group in self.groups for kind in group.faults} ^ set(self.kinds):
            raise InputError(f"the kinds {sorted(strange)} are in the head's groups or in its kinds, expected in both")
        kinds = {(label, kind) for group in self.groups for kind, label in group.faults.items()}
        healthy = [group.healthy for group in self.groups]
        names = [*healthy, *(label for label, _ in kinds)]
        if len(set(names)) < len(names):
            raise InputError(
                f"the head's groups name {sorted(names)}; expected each healthy label in one group, and each fault "
                "label under one kind"
            )

    @property
    def shapes(self) -> dict[str, tuple[int | None, ...]]:
        """Every output and its shape; None stands for any number."""
        groups, kinds = len(self.groups), len(self.kinds)
        return {"group_logits": (None, groups), "fault_scores": (None, kinds), "maps": (None, kinds, None, None)}

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of all outputs."""
        return tuple(self.shapes)

    @property
    def kind_of(self) -> dict[str, str]:
        """The kind of every fault label."""
        return {label: kind for group in self.groups for kind, label in group.faults.items()}

    @property
    def healthy(self) -> tuple[str, ...]:
        """The healthy label of each group."""
        return tuple(group.healthy for group in self.groups)

    def scores(self, outputs: Outputs) -> Array:
        """Return the scores (N, G + F) that a decision rule reads."""
        return np.concatenate([outputs["group_logits"], outputs["fault_scores"]], axis=1)

    def join_tiles(self, scores: Array) -> Array:
        """Turn the scores (N, T, G + F) of T tiles of every frame into scores (N, G + F) of the frames.

        A fault is as sure as in the tile that shows it best; the group is named by all tiles together.
        """
        groups = len(self.groups)
        return np.concatenate([scores[..., :groups].mean(axis=1), scores[..., groups:].max(axis=1)], axis=1)

    def check(self, outputs: Outputs, tolerance: float) -> None:
        """Refuse maps that show something else: each fault score must be pooled from its own map."""
        apart = float(np.abs(outputs["fault_scores"] - self.pooling.pool(outputs["maps"])).max())
        if not apart <= tolerance:
            raise InputError(
                f"the model's map and fault score do not belong together: {self.pooling} of the map differs from the "
                f"score by {apart:.3g}; pack the bundle again"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the manifest's object `head`."""
        return {
            "kind": "spatial",
            "groups": [group.to_json() for group in self.groups],
            "kinds": list(self.kinds),
            "pooling": self.pooling.to_json(),
            "evidence": self.evidence,
        }


Head = ClassHead | SpatialHead


def head_from_json(data: Mapping[str, Any], labels: tuple[str, ...]) -> Head:
    """Read what `to_json` of either head wrote; InputError names what is missing or unusable."""
    if data.get("kind") == "class":
        return ClassHead(labels)
    if data.get("kind") != "spatial":
        raise InputError(
            f'the head is {data.get("kind")!r}, this version knows "class", "spatial"; upgrade rarefault, or pack the '
            "bundle again"
        )
    try:
        groups = tuple(Group(str(g["name"]), str(g["healthy"]), _labels(g["faults"])) for g in data["groups"])
        kinds = tuple(str(kind) for kind in data["kinds"])
        pooling = Pooling(data["pooling"]["kind"], data["pooling"]["cells"])
        evidence = str(data["evidence"])
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"the head is malformed ({error!r}); the bundle is damaged, copy or pack it again") from error
    return SpatialHead(groups, kinds, pooling, evidence)


def _labels(faults: Mapping[str, str]) -> dict[str, str]:
    return {str(kind): str(label) for kind, label in faults.items()}
