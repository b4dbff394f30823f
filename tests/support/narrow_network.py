"""A narrow network that nobody trained, and pictures for it."""

import numpy as np
import torch
from torch import nn

from edge_runtime.bundle.heads import Group, Pooling, SpatialHead
from edge_runtime.bundle.preprocess import LETTERBOX, PreprocessSpec
from export.network import build_network, normalise
from export.spatial_network import HeadShape, SpatialNetwork

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
SPATIAL_LABELS = ("line", "line_hot", "mast", "mast_hot")
SPATIAL_FAULTS = ("line_hot", "mast_hot")
SPATIAL_SPEC = PreprocessSpec(64, 96, LETTERBOX)
SPATIAL_HEAD = SpatialHead(
    (Group("line", "line", {"hot": "line_hot"}), Group("mast", "mast", {"hot": "mast_hot"})),
    ("hot",),
    Pooling("top", 4),
)
SPATIAL_CARD = {
    **CARD,
    "labels": list(SPATIAL_LABELS),
    "fault_labels": list(SPATIAL_FAULTS),
    "input": SPATIAL_SPEC.to_json(),
    "head": {**SPATIAL_HEAD.to_json(), "shape": HeadShape(width=16).to_json()},
}


def narrow_network(seed: int = 3, backbone: str = "resnet50", classes: int = len(LABELS)) -> nn.Module:
    """Width 8 in evaluation mode; statistics unlike the identity, so that a forgotten batch norm shows."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network(backbone, classes, width=8)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.7, 2, generator=generator)
    return network.eval()


def spatial_network(seed: int = 3, backbone: str = "resnet50", head: SpatialHead = SPATIAL_HEAD) -> SpatialNetwork:
    """The same backbone with a spatial head of width 16, standardised on a few pictures; in evaluation mode."""
    inner = narrow_network(seed, backbone, classes=len(SPATIAL_LABELS))
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        network = SpatialNetwork(inner, len(head.groups), len(head.kinds), head.pooling, HeadShape(width=16)).eval()
        network.head.standardise([network.taps(normalise(torch.from_numpy(pictures(8, seed, 64, 96))))])
    return network


def pictures(count: int, seed: int = 0, height: int = 64, width: int = 64) -> np.ndarray:
    """uint8 (count, height, width, 3): blocks of colour, so that neither channel order nor borders are alike."""
    blocks = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return blocks.repeat(height // 8, axis=1).repeat(width // 8, axis=2)
