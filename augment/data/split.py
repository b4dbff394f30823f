"""Which part of the split each image stands in. Pure: the same images and seed give the same split in any order.

Images that show the same thing form a group, and a group stands on one side. What is fixed (by the data set's own
lists, or by an earlier run) stays where it is; the rest is dealt out in stratified folds of whole groups.
"""

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold

from augment.arrays import Labels
from augment.data.duplicates import groups_of
from augment.data.perceptual_hash import Pairs
from augment.records import item_seed

TRAIN, VAL, TEST = "train", "val", "test"
SIDES = (TRAIN, VAL, TEST)
_PROTECTION = {TRAIN: 0, VAL: 1, TEST: 2}  # where a group is torn, the most protected side keeps its images
_COVERAGE = (TRAIN, TEST, VAL)  # a class with one group is trained on, with two tested too, with three validated too
_MOST_FOLDS = 10


def learned_sides(cross_fit: int) -> tuple[str, ...]:
    """Return the sides that trainings learn from: with `cross_fit` folds also the validation images."""
    return (TRAIN, VAL) if cross_fit else (TRAIN,)


def judged_sides(cross_fit: int) -> tuple[str, ...]:
    """Return the sides that trainings judge unseen: with `cross_fit` folds those that they learn from, in turns."""
    return (TRAIN, VAL) if cross_fit else (VAL,)


@dataclass(frozen=True)
class Member:
    """One image to place: `sides` it may stand on, `fixed` is the one it must stand on, if any."""

    id: str
    label: str
    sides: tuple[str, ...] = SIDES
    fixed: str | None = None
    group: str = ""


@dataclass(frozen=True)
class Shares:
    """Shares of all images, 0 to 1; the rest is for training. Or, with `folds`, which fold is the test set."""

    validation: float
    test: float
    folds: int = 0  # 0: one split by the shares
    fold: int = 0  # of 0 .. folds - 1; the one after it is for validation


def settle_groups(members: Sequence[Member], pairs: Pairs) -> tuple[list[Member], dict[str, str]]:
    """Group `members` by `pairs` (positions) so that no group holds images fixed on two sides.

    Returns the members kept, each with its group, and the reason for each id left out: a new image that connects two
    sides is left out, and so is one that may not follow its group to the side of a more protected image.
    """
    grouped = _grouped(members, pairs)
    fixed = _fixed_sides(grouped)
    bridges = [at for at, member in enumerate(grouped) if member.fixed is None and len(fixed[member.group]) > 1]
    dropped = {grouped[at].id: _bridge_reason(fixed[grouped[at].group]) for at in bridges}
    kept, pairs = _without(members, pairs, bridges)

    grouped = _grouped(kept, pairs)
    fixed = _fixed_sides(grouped)
    settled = []
    for member in grouped:
        side = max(fixed[member.group], key=_PROTECTION.__getitem__, default=None)
        allowed = member.sides if member.fixed is None else (member.fixed,)
        if side is None or side in allowed:
            settled.append(replace(member, fixed=side))
        else:
            dropped[member.id] = f"shows the same as an image of the {side} set, where it may not stand"
    return settled, dropped


def _grouped(members: Sequence[Member], pairs: Pairs) -> list[Member]:
    groups = groups_of([member.id for member in members], pairs)
    return [replace(member, group=group) for member, group in zip(members, groups, strict=True)]


def _fixed_sides(members: Iterable[Member]) -> dict[str, set[str]]:
    sides: dict[str, set[str]] = {}
    for member in members:
        sides.setdefault(member.group, set()).update(() if member.fixed is None else (member.fixed,))
    return sides


def _bridge_reason(sides: set[str]) -> str:
    return f"shows the same as images of the {' and of the '.join(sorted(sides))} set, which stay apart"


def _without(members: Sequence[Member], pairs: Pairs, left_out: list[int]) -> tuple[list[Member], Pairs]:
    keep = np.ones(len(members), bool)
    keep[left_out] = False
    place = np.cumsum(keep) - 1
    return [members[at] for at in np.flatnonzero(keep).tolist()], place[pairs[keep[pairs].all(axis=1)]].reshape(-1, 2)


def assign_sides(members: Sequence[Member], shares: Shares, seed: int) -> dict[str, str]:
    """Assign every id its side. `members` come from `settle_groups`: within a group, the fixed sides agree."""
    members = sorted(members, key=lambda member: member.id)
    side_of = {member.group: member.fixed for member in members if member.fixed is not None}
    allowed = _allowed(member for member in members if member.group not in side_of)
    for sides in sorted(set(allowed.values())):
        free = [member for member in members if allowed.get(member.group) == sides]
        folds = shares.folds and TEST in sides
        side_of |= _deal_fold(free, shares, seed) if folds else _deal(free, sides, shares, seed, len(members))
    if not shares.folds:  # moving a group would test it twice or never
        _cover_classes(members, side_of, allowed)
    return {member.id: side_of[member.group] for member in members}


def _allowed(members: Iterable[Member]) -> dict[str, tuple[str, ...]]:
    """Return the sides on which all members of a group may stand."""
    allowed: dict[str, tuple[str, ...]] = {}
    for member in members:
        common = allowed.get(member.group, SIDES)
        allowed[member.group] = tuple(side for side in common if side in member.sides)
    return allowed


def _deal(members: list[Member], sides: tuple[str, ...], shares: Shares, seed: int, total: int) -> dict[str, str]:
    """Deal whole groups out: first the test set, then from what is left the validation set.

    A group that would be more than half of a held-out side of `total` images is for training: such a side would
    measure one thing.
    """
    side_of = {member.group: TRAIN for member in members}
    sizes = Counter(member.group for member in members)
    for side, share in ((TEST, shares.test), (VAL, shares.validation)):
        if side in sides:
            largest = max(share * total / 2, 1)  # images
            rest = [member for member in members if side_of[member.group] == TRAIN and sizes[member.group] <= largest]
            side_of |= dict.fromkeys(_carve(rest, side, share, len(members), seed), side)
    return side_of


def _deal_fold(members: list[Member], shares: Shares, seed: int) -> dict[str, str]:
    """Deal one fold of whole groups for testing, the next for validation: over all folds each image is tested once."""
    labels = [member.label for member in members]
    groups = [member.group for member in members]
    parts = [{groups[at] for at in fold} for fold in stratified_folds(labels, groups, shares.folds, seed)]
    side_of = dict.fromkeys(groups, TRAIN)
    side_of |= dict.fromkeys(parts[(shares.fold + 1) % shares.folds], VAL)
    return side_of | dict.fromkeys(parts[shares.fold], TEST)


def stratified_folds(labels: npt.ArrayLike, groups: npt.ArrayLike, folds: int, seed: int) -> list[Labels]:
    """Return the positions of each fold of N images: whole groups, of each class about the same part.

    Where there are too few groups, or images of every class, for that, the groups are dealt out in turns, class by
    class, and a fold may be empty.
    """
    names, classes = np.asarray(groups), np.asarray(labels)
    if len(np.unique(names)) < folds or np.unique(classes, return_counts=True)[1].max() < folds:
        rng = np.random.default_rng(seed % 2**32)
        drawn = [group for label in np.unique(classes) for group in rng.permutation(np.unique(names[classes == label]))]
        fold_of = {group: place % folds for place, group in enumerate(dict.fromkeys(drawn))}
        found = np.array([fold_of[group] for group in names])
        return [np.flatnonzero(found == fold) for fold in range(folds)]
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed % 2**32)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)  # rare classes are our business
        return [fold for _, fold in splitter.split(labels, labels, groups)]


def _carve(members: list[Member], side: str, share: float, dealt: int, seed: int) -> set[str]:
    """Choose groups that hold about `share` of the `dealt` images and, of each class in `members`, the same part."""
    if not members:
        return set()
    labels = [member.label for member in members]
    groups = [member.group for member in members]
    # More than half is asked for only where large groups already fill the training set.
    part = Fraction(min(share * dealt / len(members), 0.5)).limit_denominator(_MOST_FOLDS)
    wanted, folds = (part.numerator, part.denominator) if part else (1, _MOST_FOLDS)
    if len(set(groups)) < folds or max(Counter(labels).values()) < folds:
        # Too few for folds: each group draws a lot, so that images added one by one reach every side.
        return {group for group in groups if _wins(item_seed(seed, "split", group) / 2**63, side, share)}
    return {groups[at] for fold in stratified_folds(labels, groups, folds, seed)[:wanted] for at in fold}


def _wins(lot: float, side: str, share: float) -> bool:
    """Whether a lot from 0 to 1 wins a place: the lowest go to the test set, the highest to the validation set."""
    return lot < share if side == TEST else lot >= 1 - share


def _cover_classes(members: Sequence[Member], side_of: dict[str, str], allowed: Mapping[str, tuple[str, ...]]) -> None:
    """Move free groups, the smallest first, until every class stands where it has enough groups to stand."""
    labels_of: dict[str, set[str]] = {}
    sizes = Counter(member.group for member in members)
    for member in members:
        labels_of.setdefault(member.group, set()).add(member.label)
    groups_with = {
        label: sorted((group for group in labels_of if label in labels_of[group]), key=lambda g: (sizes[g], g))
        for label in sorted(set().union(*labels_of.values()))
    }

    def can_leave(group: str) -> bool:
        return all(_can_spare(groups_with[label], group, side_of) for label in labels_of[group])

    for rank, side in enumerate(_COVERAGE):
        for groups in groups_with.values():
            if len(groups) <= rank or any(side_of[group] == side for group in groups):
                continue
            movable = [group for group in groups if side in allowed.get(group, ()) and can_leave(group)]
            side_of |= dict.fromkeys(movable[:1], side)


def _can_spare(groups: Sequence[str], leaving: str, side_of: Mapping[str, str]) -> bool:
    """Whether the class of these `groups` still stands where it should once `leaving` is gone from its side."""
    side = side_of[leaving]
    owed = _COVERAGE.index(side) < len(groups)
    return not owed or any(side_of[group] == side for group in groups if group != leaving)
