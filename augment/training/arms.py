"""What an arm is: the kinds of images that one variant of the training learns from, read from its name.

A name joins parts by "+": `real`, `synthetic` (every method), `combined` (both), the name of a method, and modifiers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from augment.methods import CLASSIC
from augment.record_types import CurationRecord, DatasetRecord, TrainingRecord
from edge_runtime.bundle.errors import InputError

REAL, SYNTHETIC = "real", "synthetic"
BALANCED = "balanced"
GATE = "gate"
UNCURATED = "uncurated"
MODIFIERS = (BALANCED, GATE, UNCURATED, CLASSIC)
TrainingImage: TypeAlias = DatasetRecord | CurationRecord  # real or generated


@dataclass(frozen=True)
class Arm:
    """The kinds of images that one variant of the training learns from."""

    name: str
    real: bool
    methods: frozenset[str] | None  # of generating; None is any
    balanced: bool  # every class as often as the others, and TrivialAugment
    gated: bool = False
    uncurated: bool = False  # what curation rejected too: to see what curation is worth
    classic: bool = False  # the class head, whatever the settings say: to see what the spatial one is worth
    dropped: frozenset[str] = frozenset()  # labels whose generated images the gate keeps out

    def takes(self, image: TrainingImage) -> bool:
        """Return whether the arm learns from a real or generated image."""
        if isinstance(image, DatasetRecord):
            return self.real
        wanted = self.methods is None or image.method in self.methods
        return wanted and (image.kept or self.uncurated) and image.label not in self.dropped

    def named(self, methods: Sequence[str]) -> list[str]:
        """Return which of `methods` the arm takes images of."""
        return [name for name in methods if self.methods is None or name in self.methods]

    @property
    def ungated(self) -> str:
        """The name of the same arm without its gate."""
        return "+".join(part for part in self.name.split("+") if part != GATE)

    @property
    def kinds(self) -> tuple[str, ...]:
        """REAL and SYNTHETIC, as far as they take part."""
        return (REAL,) * self.real + (SYNTHETIC,) * (self.methods is None or bool(self.methods))


def stand_in(wanted: str, trainings: Sequence[TrainingRecord]) -> str:
    """Return `wanted`, or where it was not trained, the arm of the training that validation finds best."""
    if any(record.arm == wanted for record in trainings):
        return wanted
    return max(trainings, key=lambda record: record.validation["macro_f1"]).arm


def parse_arms(names: Sequence[str], methods: Sequence[str]) -> list[Arm]:
    """Read all of `train.arms`. Raises InputError for an unknown part, and for a gate without what it watches."""
    arms = [parse_arm(name, methods) for name in names]
    for arm in arms:
        if arm.ungated not in names:
            raise InputError(f"train.arms names {arm.name}, whose gate watches {arm.ungated}; name that arm too")
    return arms


def parse_arm(name: str, methods: Sequence[str]) -> Arm:
    """Read the arm called `name`, where `methods` generate. Raises InputError that names the parts there are."""
    parts = [part for word in name.split("+") for part in ((REAL, SYNTHETIC) if word == "combined" else (word,))]
    for part in parts:
        if part not in (REAL, SYNTHETIC, *MODIFIERS, *methods):
            known = ", ".join((REAL, SYNTHETIC, *MODIFIERS, *methods))
            raise InputError(f"train.arms names {name!r}, expected parts joined by + out of combined, {known}")
    named = frozenset(parts) - {REAL, SYNTHETIC, *MODIFIERS}
    return Arm(
        name,
        real=REAL in parts,
        methods=None if SYNTHETIC in parts else named,
        balanced=BALANCED in parts,
        gated=GATE in parts,
        uncurated=UNCURATED in parts,
        classic=CLASSIC in parts,
    )
