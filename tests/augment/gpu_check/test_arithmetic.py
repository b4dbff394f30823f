"""Errors against float64 tell short formats from whole ones, whatever the flags say."""

from contextlib import nullcontext

import torch

from augment.gpu_check.arithmetic import SHORT, WHOLE, _measured, arithmetic


def test_a_processor_multiplies_fp32_whole_and_fp16_short():
    found = list(arithmetic("cpu"))
    assert [one.passed for one in found] == [True] * 5, found
    assert "float16" in found[-1].sentence


def test_products_with_the_bits_of_tf32_are_found_out():
    def shortened(device: str, kind: torch.dtype) -> torch.Tensor:
        factors = torch.randn((256, 256), generator=torch.Generator().manual_seed(1)).to(kind)
        if kind == torch.float64:
            return factors @ factors
        short = (factors.view(torch.int32) & ~0x1FFF).view(torch.float32)  # 10 of 23 bits
        return short @ short

    assert not _measured("as TF32", "cpu", shortened, nullcontext(), WHOLE, "").passed
    assert _measured("as TF32", "cpu", shortened, nullcontext(), SHORT, "").passed


def test_what_answers_in_another_format_than_asked_for_is_wrong():
    def exact(device: str, kind: torch.dtype) -> torch.Tensor:
        return torch.ones((4, 4), dtype=kind)

    found = _measured("products", "cpu", exact, nullcontext(), SHORT, "", torch.float16)
    assert not found.passed
    assert "it gives float32, expected torch.float16" in found.sentence


def test_a_kernel_that_is_missing_is_a_finding_and_no_traceback():
    def missing(device: str, kind: torch.dtype) -> torch.Tensor:
        if kind == torch.float64:
            return torch.ones(1)
        raise RuntimeError("no kernel image is available\nfor execution")

    assert _measured("products", "cpu", missing, nullcontext(), WHOLE, "").sentence == (
        "it fails: no kernel image is available"
    )
