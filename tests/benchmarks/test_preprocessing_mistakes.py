"""Twenty ways in which a device gets the input wrong; golden frames must find every one of them in every file."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.preprocessing_mistakes import IN_THE_FILE, MISTAKES, caught, missed, with_normalisation
from edge_runtime.bundle.golden import load_golden
from edge_runtime.bundle.manifest import model_file
from edge_runtime.bundle.store import open_bundle, write_bundle_manifest
from edge_runtime.updates.content_check import check_content
from edge_runtime.updates.errors import Reason, UpdateRefused
from edge_runtime.updates.proof import prove
from export.pack import pack_bundle
from export.parity import torch_scores
from tests.support.narrow_network import SPEC

TINTS = ("mean in the other order of colours", "mean of a grey camera")


@pytest.fixture(scope="module")
def with_int8(tmp_path_factory, checkpoint, evidence, rule, network):
    """Persons call the golden pictures of this network what it calls them: nobody trained it."""
    folder = tmp_path_factory.mktemp("int8") / "bundle"
    about = {"name": "narrow", "version": "1", "metrics": {}, "lineage": {}, "precisions": ("fp32", "fp16", "int8")}
    scores = torch_scores(network, np.concatenate([SPEC.views(item.frame) for item in evidence.golden])).scores
    golden = [item._replace(label=rule.decide(row).label) for item, row in zip(evidence.golden, scores, strict=True)]
    easy = replace(evidence, golden=golden, test=evidence.test[:1])  # untrained, it may lose frames that are near a tie
    pack_bundle(checkpoint, easy, folder, decision=rule, **about)
    return open_bundle(folder)


@pytest.mark.parametrize("variant", ["fp32", "fp16", "int8", "int8.trt"])
def test_golden_frames_catch_every_mistake(with_int8, variant):
    found = caught(with_int8, load_golden(with_int8), variant)
    assert len(found) == len(MISTAKES) + 1 == 21
    assert found["none"] < 1
    # To a network that nobody trained a tint means little, less than what its file for TensorRT rounds away.
    assert missed(found) == [name for name in TINTS if variant == "int8.trt"]


@pytest.mark.parametrize("mistake", IN_THE_FILE)
def test_a_station_refuses_a_bundle_whose_int8_file_normalises_otherwise(with_int8, mistake, tmp_path):
    folder = shutil.copytree(with_int8.folder, tmp_path / "bundle")
    path = folder / model_file("int8")
    path.write_bytes(with_normalisation(path, *IN_THE_FILE[mistake]))
    write_bundle_manifest(folder, with_int8.manifest)
    with pytest.raises(UpdateRefused) as caught:
        prove(
            check_content(folder), None, "cpu", "fp32", 1
        )  # the precision that this station uses is not the wrong one
    assert caught.value.reason is Reason.GOLDEN
    assert "int8" in caught.value.detail


def test_a_station_takes_the_bundle_itself(with_int8):
    assert set(prove(check_content(with_int8.folder), None, "cpu", "int8", 1).worst) == {
        "cpu fp32",
        "cpu fp16",
        "cpu int8",
    }
