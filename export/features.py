"""Pooled features of a frozen backbone, computed by ONNX Runtime on a processor and by torch on a GPU."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from torch import Tensor, nn

from edge_runtime.bundle.files import replace_file
from export.network import Backbone
from export.onnx_files import export_model, finished_bytes

Extract = Callable[[Tensor], npt.NDArray[np.float32]]
"""(N, 3, H, W) float normalised RGB -> (N, D), the mean over space of the backbone's last map."""


def feature_extractor(network: nn.Module, device: str, size: tuple[int, int], file: Path) -> Extract:
    """Return a function that computes features with `network` (in evaluation mode) of images of `size` (height, width).

    On a processor ONNX Runtime does it, four times as fast as torch (measured: 14 ms for 57, EfficientNet-Lite0 at 224
    pixels on one core, 2026-11-23); its model is kept in `file`, which must stand for these weights and this size.
    """
    pooled = _Pooled(network)
    if device != "cpu":
        return lambda images: cast(npt.NDArray[np.float32], pooled(images.to(device)).cpu().numpy())
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        model = export_model(pooled, torch.zeros(2, 3, *size), ["images"], ["features"])
        replace_file(file, finished_bytes(model))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session: Any = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda images: cast(npt.NDArray[np.float32], session.run(None, {"images": images.numpy()})[0])


class _Pooled(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return cast(Backbone, self.network).features(images).mean((2, 3))
