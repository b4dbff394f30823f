"""A copy that shares the weights of a network and nothing of its batch norms."""

import copy

import pytest
import torch

from augment.training.split_batch_norm import norm_state, shared_weight_copy
from export.network import BACKBONES, build_network


@pytest.mark.parametrize("backbone", sorted(BACKBONES))
def test_the_copy_shares_all_weights_but_the_norms(backbone):
    network = build_network(backbone, 3, 8)
    counterpart = shared_weight_copy(network)
    norms = {name for name in norm_state(network) if name.endswith(("weight", "bias"))}
    own, others = dict(network.named_parameters()), dict(counterpart.named_parameters())
    assert norms
    assert {name for name in own if own[name] is not others[name]} == norms
    assert network.state_dict().keys() == counterpart.state_dict().keys()


@pytest.mark.parametrize("backbone", sorted(BACKBONES))
def test_what_the_copy_sees_moves_its_own_statistics_alone(backbone):
    network = build_network(backbone, 3, 8).train()
    counterpart = shared_weight_copy(network)
    before = copy.deepcopy(norm_state(network))
    counterpart(torch.randn(4, 3, 64, 64)).sum().backward()
    after, moved = norm_state(network), norm_state(counterpart)
    assert all(torch.equal(after[name], before[name]) for name in before)
    means = [name for name in before if name.endswith("running_mean")]
    assert not any(torch.equal(moved[name], before[name]) for name in means)
    convolution = network.get_submodule(network.first_convolution)
    assert convolution.weight.grad.abs().sum() > 0  # the weights do learn from it
