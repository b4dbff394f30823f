"""Labels as equipment x condition: which of them are one kind of equipment, and which faults are one kind. Pure.

A group is a kind of equipment, its healthy label and its faults; a kind is what faults of several groups have in common
and what one score and one map are learned for. Settings name both; without them every fault may befall every healthy
label, and each is a kind of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.heads import Group
from edge_runtime.settings_reader import nearest

ONE_KIND = "fault"  # the kind of data sets whose groups have a fault each, where settings name none
NONE = -1  # the group of a label that several or no groups have, and the kind of a healthy one


@dataclass(frozen=True)
class FaultGroups:
    """G groups and F kinds, in the order of a spatial head's outputs."""

    groups: tuple[Group, ...]
    kinds: tuple[str, ...]

    def group_of(self, label: str) -> int:
        """Return the number of the only group that the label belongs to, or NONE."""
        own = [at for at, group in enumerate(self.groups) if label in (group.healthy, *group.faults.values())]
        return own[0] if len(own) == 1 else NONE

    def kind_of(self, label: str) -> int:
        """Return the number of the kind that a fault label is of; NONE for a healthy one."""
        own = {kind for group in self.groups for kind, fault in group.faults.items() if fault == label}
        return self.kinds.index(own.pop()) if own else NONE


def can_tell_faults(labels: Sequence[str], faults: Sequence[str]) -> bool:
    """Return whether `labels` hold a fault and a healthy one, which is what a spatial head tells apart."""
    return 0 < len(set(labels) & set(faults)) < len(set(labels))


def resolve(
    labels: Sequence[str],
    faults: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    kinds: Mapping[str, Sequence[str]],
) -> FaultGroups:
    """Return groups and kinds of a data set's `labels`, where `faults`, `groups` and `kinds` are those of [data].

    A healthy label that `groups` does not name is a group without faults. Raises InputError for labels that the data
    set does not have, for a fault that `groups` leave out, and for a group whose condition is not one healthy label and
    faults of different kinds.
    """
    if not can_tell_faults(labels, faults):
        raise InputError(
            f"a spatial head tells faults from what is healthy, but data.faults names {', '.join(faults) or 'none'} of "
            f"the labels {', '.join(labels)}; name the labels that are faults and leave a healthy one, or set "
            "train.head to class"
        )
    for key, lists in (("groups", groups), ("kinds", kinds)):
        for name, members in lists.items():
            for label in members:
                if label not in labels:
                    raise InputError(f"data.{key}.{name} names {label}, which no image has{nearest(label, labels)}")
    present = sorted(set(labels) & set(faults))
    members_of = _members(labels, present, groups)
    kind_of = _kinds(present, members_of, kinds, bool(groups))
    found = tuple(_group(name, members_of[name], kind_of) for name in sorted(members_of))
    return FaultGroups(found, tuple(sorted(set(kind_of.values()))))


def _members(
    labels: Sequence[str], faults: Sequence[str], groups: Mapping[str, Sequence[str]]
) -> dict[str, Sequence[str]]:
    """Return the labels of every group by its name, each healthy label that no group names as one of its own."""
    if not groups:
        return {label: (label, *faults) for label in labels if label not in faults}
    named = {label for members in groups.values() for label in members}
    if homeless := [fault for fault in faults if fault not in named]:
        raise InputError(
            f"data.groups leave out the fault {homeless[0]}; add it to the group of the equipment that it befalls"
        )
    others = {label: (label,) for label in labels if label not in named}
    if taken := sorted(set(others) & set(groups)):
        raise InputError(f"data.groups calls a group {taken[0]}, which is a label that it leaves out; rename the group")
    return {**groups, **others}


def _kinds(
    faults: Sequence[str],
    members_of: Mapping[str, Sequence[str]],
    kinds: Mapping[str, Sequence[str]],
    grouped: bool,
) -> dict[str, str]:
    """Return the kind of every fault label."""
    most = max(len(set(members) & set(faults)) for members in members_of.values())
    if grouped and not kinds and most == 1:
        return dict.fromkeys(faults, ONE_KIND)
    return {fault: next((name for name, own in kinds.items() if fault in own), fault) for fault in faults}


def _group(name: str, members: Sequence[str], kind_of: Mapping[str, str]) -> Group:
    healthy = [label for label in members if label not in kind_of]
    if len(healthy) != 1:
        raise InputError(f"data.groups.{name} has {len(healthy)} labels that are no faults, expected one healthy label")
    faults: dict[str, str] = {}
    for label in sorted(set(members) - {healthy[0]}):
        if other := faults.get(kind_of[label]):
            raise InputError(
                f"data.kinds joins {other} and {label}, which may befall the same equipment ({name}); a group has a "
                "fault of each kind once: take one of them out, or name data.groups"
            )
        faults[kind_of[label]] = label
    return Group(name, healthy[0], faults)
