"""Why torch has no GPU, by what the driver says."""

import pytest
import torch

from augment.gpu_check.machine import what_is_missing
from edge_runtime.bundle.errors import UnavailableError
from edge_runtime.inference.gpu_driver import Driver, Gpu


def driver(cuda: str, capability: str = "9.0") -> Driver:
    return Driver("580.65.06", cuda, (Gpu("NVIDIA H100", capability, 80 << 30),))


def test_without_a_driver_its_own_sentence_is_told():
    def none() -> Driver:
        raise UnavailableError("no NVIDIA driver here")

    assert what_is_missing(none) == "no NVIDIA driver here"


@pytest.mark.skipif(torch.version.cuda is None, reason="this torch is built without CUDA")
def test_a_driver_older_than_torchs_cuda_is_told_with_both_versions():
    found = what_is_missing(lambda: driver("11.8"))
    assert f"wants CUDA {torch.version.cuda}, the driver runs CUDA up to 11.8" in found


@pytest.mark.skipif(torch.version.cuda is not None, reason="this torch is built with CUDA")
def test_a_wheel_for_processors_beside_a_driver_is_told():
    assert "is the wheel for processors, and here is NVIDIA H100" in what_is_missing(lambda: driver("13.0"))


@pytest.mark.skipif(torch.version.cuda is None or torch.cuda.is_available(), reason="wants CUDA's wheel and no GPU")
def test_a_gpu_that_is_hidden_from_torch_is_told():
    assert "look at CUDA_VISIBLE_DEVICES" in what_is_missing(lambda: driver("99.0"))
