"""Networks beside the one that learns: its running average, and a twin with batch norms of its own."""

import copy

import torch
from torch import Tensor, nn


def average_decay(most: float, step: int) -> float:
    """What the running average keeps of itself at step `step` (from 0): little at first, `most` in the end."""
    return min(most, (1 + step) / (10 + step))


@torch.no_grad()
def average_into(average: nn.Module, network: nn.Module, decay: float) -> None:
    """average = decay * average + (1 - decay) * network, weights and batch-norm statistics; counters are copied."""
    for kept, now in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(now, 1 - decay)
        else:
            kept.copy_(now)


def with_own_norms(network: nn.Module) -> nn.Module:
    """A twin that shares every weight with `network` but its batch norms, which start as copies.

    Images of another distribution go through the twin, so that they train the weights without moving the statistics
    (and scales and shifts) that the network is used with (AdvProp, Xie et al. 2020, arXiv:1911.09665).
    """
    own = {id(tensor) for norm in _norms(network).values() for tensor in norm.parameters()}
    shared = {id(tensor): tensor for tensor in network.parameters() if id(tensor) not in own}
    return copy.deepcopy(network, shared)  # what the memo holds is not copied


def norm_state(network: nn.Module) -> dict[str, Tensor]:
    """The tensors of the batch norms under their names in the network."""
    norms = _norms(network).items()
    return {f"{name}.{key}": tensor for name, norm in norms for key, tensor in norm.state_dict().items()}


def _norms(network: nn.Module) -> dict[str, nn.Module]:
    return {name: module for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)}
