"""A narrow network that nobody trained, and pictures for it."""

import numpy as np
import torch
from torch import nn

from edge_runtime.bundle.preprocess import PreprocessSpec
from export.network import build_network

LABELS = ("clean", "cracked", "hot")
FAULTS = ("cracked", "hot")
SPEC = PreprocessSpec(64, 64)
CARD = {
    "backbone": "resnet50",
    "width": 8,
    "labels": list(LABELS),
    "fault_labels": list(FAULTS),
    "input": SPEC.to_json(),
}


def narrow_network(seed: int = 3, backbone: str = "resnet50") -> nn.Module:
    """Width 8 in evaluation mode; statistics unlike the identity, so that a forgotten batch norm shows."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network(backbone, len(LABELS), width=8)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.7, 2, generator=generator)
    return network.eval()


def pictures(count: int, seed: int = 0, height: int = 64, width: int = 64) -> np.ndarray:
    """uint8 (count, height, width, 3): blocks of colour, so that neither channel order nor borders are alike."""
    blocks = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return blocks.repeat(height // 8, axis=1).repeat(width // 8, axis=2)
