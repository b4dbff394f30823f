"""The order in which pictures are shown to a person, so that the first answers help most. Pure.

First come labels that a classifier contradicts which has not learnt from the picture, then faults that have no box,
then pictures of which it is unsure, then those of rare classes. Of pictures that show the same thing (a group: a burst,
an asset) one comes before the second of any: fifty frames of one night teach little more than one.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from augment.arrays import Labels, Numbers
from augment.evaluation.mending import contradictions
from edge_runtime.labelling.items import CONTRADICTED, RARE, SPREAD, UNBOXED, UNCERTAIN, UNLABELLED

UNSURE = 0.25  # by which the likeliest class leads the second; with less a classifier is unsure
UNKNOWN = -1  # the class of a picture without a label


@dataclass(frozen=True)
class Pictures:
    """N pictures. `targets` (N,) are the numbers of their labels in `labels` (K), UNKNOWN where there is none.

    `probabilities` (N, K) are those of classifiers that have not learnt from the picture; None where there are none.
    `groups` (N) name what a picture shows, `boxed` (N,) says which pictures have a box.
    """

    labels: tuple[str, ...]
    faults: tuple[str, ...]
    targets: Labels
    groups: Sequence[str]
    boxed: npt.NDArray[np.bool_]
    probabilities: Numbers | None = None


@dataclass(frozen=True)
class Turn:
    """Which picture has its turn (its place in `Pictures`), why, and what speaks against its label."""

    row: int
    reason: str
    rival: str = ""
    chance: float | None = None


def ordered(pictures: Pictures) -> list[Turn]:
    """Return every picture once, the one first whose answer helps most."""
    told: dict[int, tuple[int, float, Turn]] = {}  # row -> tier, value within it (the smaller first), turn
    for tier, found in enumerate((_contradicted, _unboxed, _unsure, _rare)):
        for value, turn in found(pictures):
            told.setdefault(turn.row, (tier, value, turn))
    return _one_of_each_group_first(list(told.values()), pictures.groups)


def _one_of_each_group_first(told: Sequence[tuple[int, float, Turn]], groups: Sequence[str]) -> list[Turn]:
    """Sort by tier, then by how many of the picture's group came before it in the tier, then by value."""
    seen: Counter[tuple[int, str]] = Counter()
    keyed = []
    for tier, value, turn in sorted(told, key=lambda one: (one[0], one[1], one[2].row)):
        key = tier, groups[turn.row]
        keyed.append(((tier, seen[key], value, turn.row), turn))
        seen[key] += 1
    return [turn for _, turn in sorted(keyed, key=lambda one: one[0])]


def _contradicted(pictures: Pictures) -> list[tuple[float, Turn]]:
    rows = np.flatnonzero(pictures.targets != UNKNOWN)
    if pictures.probabilities is None or not len(rows):
        return []
    own = pictures.probabilities[rows]
    margins, rivals = contradictions(pictures.targets[rows], own)
    return [
        (margin, Turn(row, CONTRADICTED, pictures.labels[rival], chance))
        for row, margin, rival, chance in zip(
            rows.tolist(), margins.tolist(), rivals.tolist(), own[np.arange(len(rows)), rivals].tolist(), strict=True
        )
        if margin < 0
    ]


def _unboxed(pictures: Pictures) -> list[tuple[float, Turn]]:
    """Return the fault pictures without a box, the rarest fault first."""
    fault = np.isin(pictures.targets, [pictures.labels.index(label) for label in pictures.faults])
    counts = Counter(pictures.targets.tolist())
    rows = np.flatnonzero(fault & ~pictures.boxed).tolist()
    return [(float(counts[int(pictures.targets[row])]), Turn(row, UNBOXED)) for row in rows]


def _unsure(pictures: Pictures) -> list[tuple[float, Turn]]:
    if pictures.probabilities is None or len(pictures.labels) < 2:
        return []
    ranked = np.argsort(-pictures.probabilities, axis=1, kind="stable")
    rows = np.arange(len(ranked))
    lead = pictures.probabilities[rows, ranked[:, 0]] - pictures.probabilities[rows, ranked[:, 1]]
    found = []
    for row in np.flatnonzero(lead < UNSURE).tolist():
        rival = ranked[row, int(ranked[row, 0] == pictures.targets[row])]
        turn = Turn(row, UNCERTAIN, pictures.labels[rival], float(pictures.probabilities[row, rival]))
        found.append((float(lead[row]), turn))
    return found


def _rare(pictures: Pictures) -> list[tuple[float, Turn]]:
    """Return all pictures, those first whose label, or likeliest label, few others bear."""
    likeliest = pictures.targets.copy()
    if pictures.probabilities is not None:
        likeliest = np.where(likeliest == UNKNOWN, pictures.probabilities.argmax(axis=1), likeliest)
    counts = Counter(likeliest.tolist())
    usual = len(likeliest) / max(1, len(counts))
    rows = enumerate(zip(likeliest.tolist(), pictures.targets.tolist(), strict=True))
    return [
        (float(counts[label]), Turn(row, _why(label, target, counts[label] < usual / 2)))
        for row, (label, target) in rows
    ]


def _why(likeliest: int, target: int, rare: bool) -> str:
    if likeliest != UNKNOWN and rare:
        return RARE
    return UNLABELLED if target == UNKNOWN else SPREAD
