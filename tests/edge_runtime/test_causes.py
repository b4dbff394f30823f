"""Causes: each with a status and a sentence."""

from edge_runtime.causes import Cause


def test_every_cause_says_what_to_do():
    assert all(cause.advice and cause.advice[0].islower() for cause in Cause)


def test_where_frames_come_the_camera_is_not_evaluated_and_else_offline():
    not_evaluated = [cause.value for cause in Cause if cause.status == "not_evaluated"]
    shown = ["black", "frozen", "covered", "overexposed", "noise", "moved", "infrared", "resized"]
    assert not_evaluated == [*shown, "overloaded", "model"]
    assert {cause.status for cause in Cause} == {"offline", "not_evaluated"}
