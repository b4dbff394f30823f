"""Batch norms whose statistics are those of the whole batch, however many processes share it.

With its own share alone, a process of eight would normalise a batch of 32 by the statistics of four pictures. PyTorch's
SyncBatchNorm refuses tensors on a CPU, so it could be tested on GPUs only; this one computes the same on both.
"""

from typing import Any, cast

import torch
from torch import Tensor, distributed, nn


class _Sum(torch.autograd.Function):
    """The sum of a tensor over the processes; each process's gradient of it is the sum of all of theirs."""

    @staticmethod
    def forward(_context: Any, values: Tensor) -> Tensor:
        """Return the sum."""
        return _summed(values)

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:
        """Return the gradient of this process's tensor."""
        return _summed(gradient)


def _summed(values: Tensor) -> Tensor:
    found = values.clone()
    distributed.all_reduce(found)
    return found


class SharedBatchNorm(nn.BatchNorm2d):
    """A batch norm for a process of a group. In evaluation it is a plain one, and its tensors have the same names."""

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, C, H, W) -> the same shape; in training all processes of the group have to call it together."""
        if not self.training:
            return super().forward(images)
        mean, variance, count = self._statistics(images.to(self.weight.dtype))
        with torch.no_grad():
            momentum, unbiased = cast(float, self.momentum), variance * (count / (count - 1))
            cast(Tensor, self.running_mean).mul_(1 - momentum).add_(momentum * mean)
            cast(Tensor, self.running_var).mul_(1 - momentum).add_(momentum * unbiased)
            cast(Tensor, self.num_batches_tracked).add_(1)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shift = self.bias - mean * scale
        return (images * scale.view(-1, 1, 1) + shift.view(-1, 1, 1)).to(images.dtype)

    def _statistics(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return mean (C,), biased variance (C,) and number of values of a channel, over the pictures of all processes.

        Each process brings its own three into a row of its own, and they are pooled: the mean of squares minus the
        square of the mean would lose digits.
        """
        own_variance, own_mean = torch.var_mean(images, (0, 2, 3), correction=0)
        own_count = torch.full_like(own_mean, images.numel() / images.shape[1])
        rows = images.new_zeros(distributed.get_world_size(), 3, images.shape[1])
        rows[distributed.get_rank()] = torch.stack([own_count, own_mean, own_variance])
        counts, means, variances = cast(Tensor, _Sum.apply(rows)).unbind(1)
        count = counts.sum(0)
        mean = (counts * means).sum(0) / count
        variance = (counts * (variances + (means - mean) ** 2)).sum(0) / count
        return mean, variance, count.detach()


def share_norms(network: nn.Module) -> nn.Module:
    """Put a SharedBatchNorm into the place of each batch norm of `network`, in place, with the same tensors."""
    for name, module in list(network.named_modules()):
        if type(module) is nn.BatchNorm2d:
            shared = SharedBatchNorm(module.num_features, module.eps, module.momentum)
            shared.weight, shared.bias = module.weight, module.bias
            shared.running_mean, shared.running_var = module.running_mean, module.running_var
            shared.num_batches_tracked = module.num_batches_tracked
            network.set_submodule(name, shared.train(module.training))
    return network
