"""The running average by its formula."""

import pytest
from torch import nn

from augment.training.ema import average_decay, update_average


def test_the_average_forgets_its_beginning_first():
    assert average_decay(0.99, 0) == pytest.approx(0.1)
    assert average_decay(0.99, 90) == pytest.approx(0.91)
    assert average_decay(0.99, 5000) == 0.99


def test_weights_and_statistics_are_averaged_and_counters_copied():
    average, network = nn.BatchNorm2d(1), nn.BatchNorm2d(1)
    network.weight.data.fill_(3.0)
    network.running_mean.fill_(10.0)
    network.num_batches_tracked.fill_(7)
    update_average(average.state_dict(), network.state_dict(), 0.75)
    assert average.weight.item() == pytest.approx(0.75 * 1 + 0.25 * 3)
    assert average.running_mean.item() == pytest.approx(2.5)
    assert average.num_batches_tracked.item() == 7
    assert network.weight.item() == 3.0
