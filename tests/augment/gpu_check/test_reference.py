"""The network of a bundle beside its engines: torch answers golden frames as another engine would."""

from pathlib import Path

import numpy as np
import pytest
import torch

from augment.gpu_check.reference import TorchEngine, find_reference, made_reference
from edge_runtime.bundle.golden import GoldenSet
from edge_runtime.bundle.heads import ClassHead
from edge_runtime.inference.device_check import check_engine
from export.parity import torch_runner
from tests.support import ROOT
from tests.support.narrow_network import LABELS, narrow_network, pictures


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-4), ("fp16", 0.1)])
def test_torch_answers_golden_frames_in_each_precision(device, precision, tolerance):
    network = narrow_network()
    views = pictures(4, seed=1)
    scores = torch_runner(network)(views)["logits"].astype(np.float64)
    golden = GoldenSet(views[:, None], scores, {precision: tolerance}, ClassHead(LABELS))
    found = check_engine(f"torch {device}", precision, golden, lambda: TorchEngine(network, device, precision))
    assert found.agrees, found.sentence
    assert not found.problem
    assert (found.worst > 1e-6) == (precision == "fp16" or device == "cuda")


def test_a_device_that_torch_does_not_have_is_a_sentence():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    views = pictures(1, seed=1)
    golden = GoldenSet(views[:, None], np.zeros((1, 3)), {"fp32": 1.0}, ClassHead(LABELS))
    found = check_engine("torch", "fp32", golden, lambda: TorchEngine(narrow_network(), "cuda", "fp32"))
    assert not found.agrees
    assert "torch failed on" in found.sentence


def test_a_bundle_without_its_checkpoint_leaves_torch_out():
    found = find_reference(ROOT / "augment" / "station_demo" / "bundle")
    assert found.network is None
    assert "holds no checkpoint 48104e8e9f0f" in found.why_none


@pytest.mark.gpu
def test_the_made_network_agrees_with_itself_on_a_gpu(tmp_path: Path):
    from edge_runtime.bundle.golden import load_golden

    found = made_reference(tmp_path)
    golden = load_golden(found.bundle)
    for precision in ("fp32", "fp16"):
        engine = TorchEngine(found.network, "cuda", precision)
        assert check_engine("torch", precision, golden, lambda engine=engine: engine).agrees
