"""What the parts of an arm's name mean."""

import pytest

from augment.report.arm_names import PARTS, meanings
from augment.training.arms import MODIFIERS, parse_arms

METHODS = (
    "text2img", "img2img-0.5", "edit-0.7", "inpaint-0.9", "transplant", "heatup", "heal", "codec", "render-station",
    "adapted-edit-0.7",
)  # fmt: skip


def test_each_part_is_told_once_in_the_order_of_its_first_use():
    told = meanings(["real+classic", "real", "real+img2img-0.5+gate"])
    assert [part for part, _ in told] == ["real", "classic", "img2img-0.5", "gate"]
    assert told[0][1] == "learns from the real pictures"


@pytest.mark.parametrize("method", METHODS)
def test_every_method_of_generating_has_a_meaning(method):
    parse_arms([f"real+{method}"], [method])  # it is a part of a name
    ((_, told),) = meanings([method])
    assert told.startswith("learns from ")
    assert ("adapted" in told) == method.startswith("adapted-")


def test_every_modifier_has_a_meaning():
    assert {"real", "synthetic", "combined", *MODIFIERS} == set(PARTS)
