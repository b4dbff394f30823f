"""What an arm learns from, by its name."""

from dataclasses import replace

import pytest

from augment.json_objects import from_json
from augment.record_types import CurationRecord, DatasetRecord
from augment.training.arms import parse_arm, parse_arms
from edge_runtime.bundle.errors import InputError

REAL_IMAGE = from_json(DatasetRecord, {"label": "b"})


def generated(method: str, label: str = "a", kept: bool = True) -> CurationRecord:
    """An image that `method` generated."""
    return from_json(CurationRecord, {"method": method, "label": label, "kept": kept})


@pytest.mark.parametrize(
    ("name", "takes", "is_balanced"),
    [
        ("real", {"real"}, False),
        ("synthetic", {"text2img", "codec"}, False),
        ("combined", {"real", "text2img", "codec"}, False),
        ("real+balanced", {"real"}, True),
        ("real+balanced+codec", {"real", "codec"}, True),
    ],
)
def test_an_arm_is_named_by_its_parts(name, takes, is_balanced):
    arm = parse_arm(name, ("text2img", "codec"))
    images = {"real": REAL_IMAGE, "text2img": generated("text2img"), "codec": generated("codec")}
    assert {kind for kind, image in images.items() if arm.takes(image)} == takes
    assert arm.balanced is is_balanced


def test_an_arm_takes_what_curation_kept_and_its_gate_lets_through():
    rejected, other = generated("codec", kept=False), generated("codec", label="b")
    plain, raw = (parse_arm(name, ("codec",)) for name in ("real+codec", "real+codec+uncurated"))
    assert [arm.takes(rejected) for arm in (plain, raw)] == [False, True]
    gated = replace(parse_arm("real+codec+gate", ("codec",)), dropped=frozenset("b"))
    assert (gated.gated, gated.ungated) == (True, "real+codec")
    assert [gated.takes(image) for image in (REAL_IMAGE, other)] == [True, False]


def test_a_gate_needs_the_arm_that_it_watches():
    names = ("real", "real+codec", "real+codec+gate")
    assert [arm.name for arm in parse_arms(names, ("codec",))] == list(names)
    with pytest.raises(InputError, match=r"names real\+codec\+gate, whose gate watches real\+codec"):
        parse_arms(("real", "real+codec+gate"), ("codec",))
