"""Twenty ways in which a device gets the input wrong; the golden frames must find every one of them."""

from benchmarks.preprocessing_mistakes import MISTAKES, RIGHT, caught
from edge_runtime.bundle.golden import load_golden
from edge_runtime.bundle.store import open_bundle


def test_golden_frames_catch_every_mistake(packed, network):
    bundle = open_bundle(packed)
    found = caught(network, bundle, load_golden(bundle), "fp32")
    assert len(found) == len(MISTAKES) == 20
    assert [name for name, ratio in found.items() if ratio <= 1] == []


def test_the_right_preprocessing_is_none(packed, network):
    bundle = open_bundle(packed)
    assert caught(network, bundle, load_golden(bundle), "fp32", {"none": RIGHT})["none"] < 0.1
