"""Twenty ways in which a device gets the input wrong; golden frames must find every one of them in every file."""

from dataclasses import replace

import pytest

from benchmarks.preprocessing_mistakes import MISTAKES, caught, missed
from edge_runtime.bundle.golden import load_golden
from edge_runtime.bundle.store import open_bundle
from export.pack import pack_bundle

TINTS = ("mean in the other order of colours", "mean of a grey camera")


@pytest.fixture(scope="module")
def with_int8(tmp_path_factory, checkpoint, evidence, rule):
    folder = tmp_path_factory.mktemp("int8") / "bundle"
    about = {"name": "narrow", "version": "1", "metrics": {}, "lineage": {}, "precisions": ("fp32", "fp16", "int8")}
    easy = replace(evidence, test=evidence.test[:1])  # untrained, it may lose frames that are near a tie
    pack_bundle(checkpoint, easy, folder, decision=rule, **about)
    return open_bundle(folder)


@pytest.mark.parametrize("variant", ["fp32", "fp16", "int8", "int8.trt"])
def test_golden_frames_catch_every_mistake(with_int8, variant):
    found = caught(with_int8, load_golden(with_int8), variant)
    assert len(found) == len(MISTAKES) + 1 == 21
    assert found["none"] < 1
    # To a network that nobody trained a tint means little, less than what its file for TensorRT rounds away.
    assert missed(found) == [name for name in TINTS if variant == "int8.trt"]
