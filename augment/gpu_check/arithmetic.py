"""How exactly a device computes: FP32 and whether TF32 stands in for it, FP16 by autocast, and half weights.

TF32, on by default for convolutions since Ampere, keeps 10 of FP32's 23 bits. A run judges in whole FP32 and may train
with less, so both states are measured by their error against float64, and not only read from torch's flags.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

SIDE, CHANNELS = 512, 64
WHOLE, SHORT = 5e-5, 5e-3  # largest relative error allowed: of FP32, Winograd convolutions included; of TF32 and FP16


@dataclass(frozen=True)
class Finding:
    """One thing that was tried: its `name`, whether it is as it must be, and what was seen."""

    name: str
    passed: bool
    sentence: str


def arithmetic(device: str) -> Iterator[Finding]:
    """Measure how exactly `device` multiplies, under the settings that judging and training use."""
    exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
    half = torch.autocast(device, torch.float16)
    yield _measured("FP32 products of matrices", device, _product, nullcontext(), WHOLE, _matmul_state())
    yield _measured("FP32 convolutions when judging", device, _convolution, exact, WHOLE, "TF32 is off there")
    yield _measured("FP32 convolutions elsewhere", device, _convolution, nullcontext(), SHORT, _convolution_state())
    yield _measured("autocast to FP16, products", device, _product, half, SHORT, "", torch.float16)
    yield _measured("autocast to FP16, convolutions", device, _convolution, half, SHORT, "", torch.float16)


def _measured(
    name: str,
    device: str,
    compute: Callable[[str, torch.dtype], Tensor],
    how: AbstractContextManager[object],
    most: float,
    note: str,
    expected: torch.dtype = torch.float32,
) -> Finding:
    """Compare `compute` on the device with float64 on the processor; its answer must be of the `expected` type."""
    truth = compute("cpu", torch.float64)
    try:
        with torch.inference_mode(), how:
            seen = compute(device, torch.float32)
    except RuntimeError as error:  # as where a processor has no such kernel, or a GPU's library does not load
        return Finding(name, False, f"it fails: {str(error).splitlines()[0]}")
    apart = float((seen.double().cpu() - truth).abs().max() / truth.abs().max())
    kind = str(seen.dtype).removeprefix("torch.")
    wrong = "" if seen.dtype == expected else f"; it gives {kind}, expected {expected}"
    sentence = f"relative error {apart:.1e} in {kind}, at most {most:.0e} is allowed{wrong}{note and '; '}{note}"
    return Finding(name, bool(apart <= most) and not wrong, sentence)


def _product(device: str, kind: torch.dtype) -> Tensor:
    left, right = (_drawn((SIDE, SIDE), seed).to(device, kind) for seed in (1, 2))
    return left @ right


def _convolution(device: str, kind: torch.dtype) -> Tensor:
    images, weights = _drawn((2, CHANNELS, 32, 32), 3), _drawn((CHANNELS, CHANNELS, 3, 3), 4)
    return functional.conv2d(images.to(device, kind), weights.to(device, kind), padding=1)


def _drawn(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _matmul_state() -> str:
    return f"TF32 is {'on' if torch.backends.cuda.matmul.allow_tf32 else 'off'} for products"


def _convolution_state() -> str:
    return f"TF32 is {'on' if torch.backends.cudnn.allow_tf32 else 'off'} for convolutions of training"
