"""What an arm learns from, by its name."""

from dataclasses import replace

import pytest

from augment.training.arms import parse_arm


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
    kept = {"label": "a", "kept": True}
    assert {kind for kind in ("real", "text2img", "codec") if arm.takes(kind, kept)} == takes
    assert arm.balanced is is_balanced


def test_an_arm_takes_what_curation_kept_and_its_gate_lets_through():
    rejected, other = {"label": "a", "kept": False}, {"label": "b", "kept": True}
    plain, raw = (parse_arm(name, ("codec",)) for name in ("real+codec", "real+codec+uncurated"))
    assert [arm.takes("codec", rejected) for arm in (plain, raw)] == [False, True]
    gated = replace(parse_arm("real+codec+gate", ("codec",)), dropped=frozenset("b"))
    assert (gated.gated, gated.ungated) == (True, "real+codec")
    assert [gated.takes(kind, other) for kind in ("real", "codec")] == [True, False]
