"""What the labelling page is given: pictures in an order, each with the reason why it is asked about now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from ..bundle.heads import Array
from ..bundle.preprocess import Frame, PreprocessSpec
from ..media.heatmap import overlay

Box: TypeAlias = tuple[float, float, float, float]  # x, y, width, height in pixels of the upright picture

# Why a picture is shown now; the page has a text for each.
CONTRADICTED, UNCERTAIN, RARE, UNBOXED, UNLABELLED, SPREAD, JUDGE = REASONS = (
    "contradicted", "uncertain", "rare", "unboxed", "unlabelled", "spread", "judge"
)  # fmt: skip


@dataclass(frozen=True)
class Item:
    """One picture to ask about: its `id` is a path with forward slashes, `label` what its source says.

    `label` is "" where the source says none. `reason` is one of REASONS; `rival` is the label that speaks against it,
    and `chance` how likely that is (0 to 1); "" and None where there is none.
    """

    id: str
    label: str
    reason: str
    rival: str = ""
    chance: float | None = None


@dataclass(frozen=True)
class Proposal:
    """What the current model would answer: its label with the probability, and for each fault label a box or none."""

    label: str
    probability: float
    boxes: Mapping[str, Box] = field(default_factory=dict)


@dataclass(frozen=True)
class Look:
    """One picture as the page shows it: uint8 (H, W, 3) BGR, upright, and the `boxes` that its source draws.

    `maps` (h, w) by label lie on the canvas of `spec`. Without a model there are none.
    """

    frame: Frame
    boxes: tuple[Box, ...] = ()
    proposal: Proposal | None = None
    maps: Mapping[str, Array] = field(default_factory=dict)
    spec: PreprocessSpec | None = None
    full_heat: float | None = None

    def drawn_map(self, label: str, side: int) -> Frame | None:
        """Return the map of `label` drawn over the picture, its longer side at most `side` pixels; None without one."""
        if label not in self.maps:
            return None
        return overlay(self.frame, self.maps[label], self.spec, self.full_heat, side)


class Items(Protocol):
    """The pictures that a page asks about."""

    @property
    def labels(self) -> Sequence[str]:
        """The labels that can be given, in the order of the number keys."""

    @property
    def faults(self) -> Sequence[str]:
        """The labels that are faults, of which a box is asked."""

    @property
    def order(self) -> Sequence[Item]:
        """The pictures in the order in which they are shown."""

    def picture(self, item: Item) -> Frame:
        """Read the picture alone, uint8 (H, W, 3) BGR, upright; InputError where it cannot be read."""

    def look(self, item: Item) -> Look:
        """Read the picture and ask the model, where there is one; InputError where it cannot be read."""
