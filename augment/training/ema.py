"""A running average of a network's weights (EMA), which is steadier than the weights of any single step."""

from collections.abc import Mapping

import torch
from torch import Tensor


def average_decay(most: float, step: int) -> float:
    """Return the share of itself that the average keeps at `step` (from 0): little at first, `most` in the end."""
    return min(most, (step + 1) / (step + 10))


@torch.no_grad()
def update_average(average: Mapping[str, Tensor], current: Mapping[str, Tensor], decay: float) -> None:
    """Set each tensor of `average` to decay * average + (1 - decay) * current, in place; whole numbers are copied."""
    for name, kept in average.items():
        if kept.is_floating_point():
            kept.lerp_(current[name], 1 - decay)
        else:
            kept.copy_(current[name])
