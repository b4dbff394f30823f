"""What an arm learns from, by its name."""

from dataclasses import replace

import pytest

from augment.json_objects import from_json
from augment.record_types import CurationRecord, DatasetRecord
from augment.training.arms import TrainingImage, parse_arm


def image(kind: str, label: str = "a", kept: bool = True) -> TrainingImage:
    """A real image, or one that a method generated."""
    if kind == "real":
        return from_json(DatasetRecord, {"label": label})
    return from_json(CurationRecord, {"label": label, "method": kind, "kept": kept})


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
    assert {kind for kind in ("real", "text2img", "codec") if arm.takes(image(kind))} == takes
    assert arm.balanced is is_balanced


def test_an_arm_takes_what_curation_kept_and_its_gate_lets_through():
    rejected = image("codec", kept=False)
    plain, raw = (parse_arm(name, ("codec",)) for name in ("real+codec", "real+codec+uncurated"))
    assert [arm.takes(rejected) for arm in (plain, raw)] == [False, True]
    gated = replace(parse_arm("real+codec+gate", ("codec",)), dropped=frozenset("b"))
    assert (gated.gated, gated.ungated) == (True, "real+codec")
    assert [gated.takes(image(kind, "b")) for kind in ("real", "codec")] == [True, False]
