import pytest

from augment.data.fault_groups import NONE, can_tell_faults, resolve
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.heads import Group

LABELS = ("line_hotspot", "line_normal", "mast_normal", "mast_hotspot")
FAULTS = ("line_hotspot", "mast_hotspot")
GROUPS = {"line": ("line_normal", "line_hotspot"), "mast": ("mast_hotspot", "mast_normal")}


def test_without_settings_every_fault_may_befall_whatever_is_healthy():
    found = resolve(LABELS, FAULTS, {}, {})
    each = {"line_hotspot": "line_hotspot", "mast_hotspot": "mast_hotspot"}
    assert found.groups == (Group("line_normal", "line_normal", each), Group("mast_normal", "mast_normal", each))
    assert found.kinds == ("line_hotspot", "mast_hotspot")
    assert [found.group_of(label) for label in LABELS] == [NONE, 0, 1, NONE]
    assert [found.kind_of(label) for label in LABELS] == [0, NONE, NONE, 1]


def test_groups_with_a_fault_each_learn_one_kind():
    found = resolve(LABELS, FAULTS, GROUPS, {})
    assert found.groups[0] == Group("line", "line_normal", {"fault": "line_hotspot"})
    assert found.kinds == ("fault",)
    assert [found.group_of(label) for label in LABELS] == [0, 0, 1, 1]
    assert [found.kind_of(label) for label in LABELS] == [0, NONE, NONE, 0]


def test_a_group_with_two_faults_keeps_the_kinds_apart_unless_settings_join_them():
    labels, faults = (*LABELS, "mast_broken"), (*FAULTS, "mast_broken")
    groups = {**GROUPS, "mast": (*GROUPS["mast"], "mast_broken")}
    assert resolve(labels, faults, groups, {}).kinds == ("line_hotspot", "mast_broken", "mast_hotspot")
    joined = resolve(labels, faults, groups, {"hotspot": FAULTS})
    assert joined.kinds == ("hotspot", "mast_broken")
    assert joined.groups[0].faults == {"hotspot": "line_hotspot"}
    assert joined.groups[1].faults == {"hotspot": "mast_hotspot", "mast_broken": "mast_broken"}


def test_a_healthy_label_without_a_group_is_one():
    found = resolve((*LABELS, "sky"), FAULTS, GROUPS, {})
    assert found.groups[2] == Group("sky", "sky", {})


@pytest.mark.parametrize(
    ("groups", "kinds", "says"),
    [
        ({**GROUPS, "line": ("line_normal", "line_hotspt")}, {}, r"groups\.line names line_hotspt.*mean line_hotspot"),
        ({"line": GROUPS["line"]}, {}, "leave out the fault mast_hotspot; add it"),
        ({"line": ("line_hotspot",), "mast": GROUPS["mast"]}, {}, r"groups\.line has 0 labels that are no faults"),
        ({}, {"hotspot": FAULTS}, "joins line_hotspot and mast_hotspot, which may befall the same equipment"),
        (GROUPS, {"hotspot": ("line_spot",)}, r"kinds\.hotspot names line_spot, which no image has"),
        ({"mast_normal": ("line_normal", *FAULTS)}, {"a": FAULTS[:1], "b": FAULTS[1:]}, "calls a group mast_normal"),
    ],
)
def test_contradictions_are_refused_with_a_sentence(groups, kinds, says):
    with pytest.raises(InputError, match=says):
        resolve(LABELS, FAULTS, groups, kinds)


def test_a_spatial_head_needs_a_fault_and_something_healthy():
    assert can_tell_faults(LABELS, FAULTS)
    assert not can_tell_faults(LABELS, ())
    assert not can_tell_faults(FAULTS, FAULTS)
    with pytest.raises(InputError, match=r"data\.faults names none of the labels.*train\.head to class"):
        resolve(LABELS, (), {}, {})
