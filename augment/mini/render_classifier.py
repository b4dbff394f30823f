"""A small classifier of catalogue renders, which measures what generated pictures show. It trains nothing else."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from augment.mini.captioner import jittered
from augment.mini.corpus import as_pixels
from augment.mini.scenes import LABELS
from augment.training.resumable import Loss


def new_classifier(width: int = 24) -> nn.Sequential:
    """Return an untrained classifier of four strided convolutions.

    Its norms are GroupNorm, so that the answer for one picture never depends on its batch.
    """
    layers: list[nn.Module] = []
    planes = 3
    for out in (width, 2 * width, 4 * width, 8 * width):
        layers += [nn.Conv2d(planes, out, 3, 2, 1), nn.GroupNorm(8, out), nn.GELU()]
        planes = out
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(planes * 16, len(LABELS)))


def classifier_loss(images: np.ndarray, labels: np.ndarray, batch: int) -> Loss[nn.Module]:
    """Return the loss: cross entropy on jittered pictures."""
    truth = torch.from_numpy(labels)

    def loss(model: nn.Module, rng: np.random.Generator) -> Tensor:
        rows = rng.integers(len(images), size=batch)
        logits = model(jittered(as_pixels(images[rows]), rng))
        return functional.cross_entropy(logits, truth[torch.from_numpy(rows)], label_smoothing=0.05)

    return loss


@torch.no_grad()
def classified(model: nn.Module, images: np.ndarray) -> np.ndarray:
    """Return the likeliest label of each of `images` (N, 64, 64, 3) BGR uint8: int64 (N,) indices into LABELS."""
    parts = [model(as_pixels(images[i : i + 250])).argmax(dim=1) for i in range(0, len(images), 250)]
    return torch.cat(parts).numpy()
