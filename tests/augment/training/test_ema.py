"""The running average by its formula; the twin shares the weights and nothing of the batch norms."""

import copy

import pytest
import torch
from torch import nn

from augment.training.ema import average_decay, average_into, norm_state, with_own_norms
from export.network import BACKBONES, build_network


def test_the_average_forgets_its_beginning_first():
    assert average_decay(0.99, 0) == pytest.approx(0.1)
    assert average_decay(0.99, 90) == pytest.approx(0.91)
    assert average_decay(0.99, 5000) == 0.99


def test_weights_and_statistics_are_averaged_and_counters_copied():
    average, network = nn.BatchNorm2d(1), nn.BatchNorm2d(1)
    network.weight.data.fill_(3.0)
    network.running_mean.fill_(10.0)
    network.num_batches_tracked.fill_(7)
    average_into(average, network, 0.75)
    assert average.weight.item() == pytest.approx(0.75 * 1 + 0.25 * 3)
    assert average.running_mean.item() == pytest.approx(2.5)
    assert average.num_batches_tracked.item() == 7
    assert network.weight.item() == 3.0


@pytest.mark.parametrize("backbone", sorted(BACKBONES))
def test_a_twin_shares_all_weights_but_the_norms(backbone):
    network = build_network(backbone, 3, 8)
    twin = with_own_norms(network)
    norms = {name for name in norm_state(network) if name.endswith(("weight", "bias"))}
    own, others = dict(network.named_parameters()), dict(twin.named_parameters())
    assert norms
    assert {name for name in own if own[name] is not others[name]} == norms
    assert network.state_dict().keys() == twin.state_dict().keys()


@pytest.mark.parametrize("backbone", sorted(BACKBONES))
def test_what_the_twin_sees_moves_its_own_statistics_alone(backbone):
    network = build_network(backbone, 3, 8).train()
    twin = with_own_norms(network)
    before = copy.deepcopy(norm_state(network))
    twin(torch.randn(4, 3, 64, 64)).sum().backward()
    after, moved = norm_state(network), norm_state(twin)
    assert all(torch.equal(after[name], before[name]) for name in before)
    means = [name for name in before if name.endswith("running_mean")]
    assert not any(torch.equal(moved[name], before[name]) for name in means)
    convolution = network.get_submodule(network.first_convolution)
    assert convolution.weight.grad.abs().sum() > 0  # the weights do learn from it
