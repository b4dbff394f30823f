"""A copy of a network that shares its weights and has batch norms of its own, for images of another distribution.

Such images then train the weights without moving the statistics (and scales and shifts) that the network is used with
(AdvProp, Xie et al. 2020, arXiv:1911.09665).
"""

import copy

from torch import Tensor, nn


def shared_weight_copy(network: nn.Module) -> nn.Module:
    """Return a copy that shares every weight with `network` but those of the batch norms, which start as copies."""
    own = {id(tensor) for norm in _norms(network).values() for tensor in norm.parameters()}
    shared = {id(tensor): tensor for tensor in network.parameters() if id(tensor) not in own}
    return copy.deepcopy(network, shared)  # what the memo holds is not copied


def norm_state(network: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of the batch norms under their names in the network."""
    norms = _norms(network).items()
    return {f"{name}.{key}": tensor for name, norm in norms for key, tensor in norm.state_dict().items()}


def _norms(network: nn.Module) -> dict[str, nn.Module]:
    return {name: module for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)}
