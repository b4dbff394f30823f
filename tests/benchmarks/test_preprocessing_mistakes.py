"""Twenty ways in which a device gets the input wrong; golden frames must find every one of them in every file."""

import pytest

from benchmarks.preprocessing_mistakes import MISTAKES, caught, missed
from edge_runtime.bundle.golden import load_golden
from edge_runtime.bundle.store import open_bundle
from export.pack import pack_bundle


@pytest.fixture(scope="module")
def with_int8(tmp_path_factory, checkpoint, evidence, rule):
    folder = tmp_path_factory.mktemp("int8") / "bundle"
    about = {"name": "narrow", "version": "1", "metrics": {}, "lineage": {}, "precisions": ("fp32", "fp16", "int8")}
    pack_bundle(checkpoint, evidence, folder, decision=rule, **about)
    return open_bundle(folder)


@pytest.mark.parametrize("variant", ["fp32", "fp16", "int8", "int8.trt"])
def test_golden_frames_catch_every_mistake(with_int8, variant):
    found = caught(with_int8, load_golden(with_int8), variant)
    assert len(found) == len(MISTAKES) + 1 == 21
    assert missed(found) == []
    assert found["none"] < 1
