"""A group of processes that train one network together: each computes on its share of a batch, and they agree on sums.

A process alone is a group of one, which shares nothing and waits for nobody: the code of a training is the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from augment.arrays import Labels
from augment.distributed.shared_norm import share_norms

Arrays = TypeVar("Arrays", bound=tuple[npt.NDArray[Any], ...])


@dataclass(frozen=True)
class Group:
    """One of `size` processes, number `rank` from 0; number 0 leads: it alone writes files and speaks."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes what the group has made."""
        return self.rank == 0

    def share(self, values: Labels) -> Labels:
        """Return the part of `values` (N,) that this process works on: every `size`-th, from `rank` on."""
        return values[self.rank :: self.size]

    def weight(self, count: int) -> float:
        """Return what the mean over this share of `count` pictures weighs, so that the mean over the processes is the
        mean over all pictures: 1 where all shares are equally large."""
        return len(range(self.rank, count, self.size)) * self.size / count

    def prepared(self, network: nn.Module) -> nn.Module:
        """Return `network`, in a group with batch norms that know the whole batch."""
        return network if self.size == 1 else share_norms(network)

    def joined(self, network: nn.Module) -> nn.Module:
        """Return what to call in the place of `network`, in whose backward pass gradients become those of all shares.

        All processes have to call this at the same time: they begin with the weights of the first one.
        """
        if self.size == 1:
            return network
        # Norms are alike everywhere, so no buffer has to be sent. The first step tells which weights have gradients:
        # a backbone's classifier has none below a spatial head, and what scales that head's loss is called elsewhere.
        return DistributedDataParallel(
            network, broadcast_buffers=False, gradient_as_bucket_view=True, static_graph=True
        )

    def mean(self, value: Tensor) -> Tensor:
        """Return the mean of a tensor over the processes."""
        if self.size > 1:
            value = value.clone()
            distributed.all_reduce(value)
            value /= self.size
        return value

    def spread(self, compute: Callable[[Labels], Arrays], rows: Labels) -> Arrays:
        """Return what `compute(rows)` returns, arrays of a row each, where each process computes those of its share."""
        if len(rows) < self.size or self.size == 1:
            return compute(rows)
        parts: list[Any] = [None] * self.size
        distributed.all_gather_object(parts, compute(self.share(rows)))
        whole = []
        for own in zip(*parts, strict=True):
            array = np.empty((len(rows), *own[0].shape[1:]), own[0].dtype)
            for rank, part in enumerate(own):
                array[rank :: self.size] = part
            whole.append(array)
        return tuple(whole)  # type: ignore[return-value]

    def wait(self) -> None:
        """Wait until all processes have come here."""
        if self.size > 1:
            distributed.barrier(device_ids=[torch.cuda.current_device()] if _on_gpu() else None)


ALONE = Group()


def _on_gpu() -> bool:
    return bool(distributed.get_backend() == "nccl")
