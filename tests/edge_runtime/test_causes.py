"""Causes: each with a sentence."""

from edge_runtime.causes import Cause


def test_every_cause_says_what_to_do():
    assert all(cause.advice and cause.advice[0].islower() for cause in Cause)
