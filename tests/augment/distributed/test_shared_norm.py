"""A norm shared by two processes gives the outputs, gradients and statistics of a plain one on the whole batch."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from augment.distributed.group import Group
from augment.distributed.processes import run_in_processes
from augment.distributed.shared_norm import SharedBatchNorm, share_norms

IMAGES = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(1)).double() + 100.0  # 100: digits get lost
WANTED = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(2)).double()


def plain() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)).double()


def passed(network: nn.Module, images: torch.Tensor, wanted: torch.Tensor) -> dict[str, torch.Tensor]:
    """Outputs of a pass, gradients of the pictures, and what the norm has counted."""
    images = images.clone().requires_grad_()
    outputs = network(images)
    (outputs * wanted).sum().backward()
    return {"outputs": outputs.detach(), "gradients": images.grad, **network.state_dict()}


@dataclass(frozen=True)
class Passes:
    place: Path

    def __call__(self, group: Group) -> None:
        torch.manual_seed(0)
        network = share_norms(plain())
        own = torch.from_numpy(group.share(torch.arange(5).numpy()))
        found = passed(network, IMAGES[own], WANTED[own])
        torch.save({**found, "rows": own}, self.place / f"{group.rank}.pt")


def test_two_shares_of_three_and_two_pictures_give_what_five_pictures_give(tmp_path):
    torch.manual_seed(0)
    expected = passed(plain(), IMAGES, WANTED)
    run_in_processes(Passes(tmp_path), 2, "cpu", "a pass")
    for rank in (0, 1):
        found = torch.load(tmp_path / f"{rank}.pt")
        for name in ("outputs", "gradients"):
            assert torch.allclose(found[name], expected[name][found["rows"]], atol=1e-9), name
        for name in ("1.running_mean", "1.running_var", "1.num_batches_tracked"):
            assert found[name].tolist() == pytest.approx(expected[name].tolist(), rel=1e-9), name


def test_a_shared_norm_has_the_tensors_of_the_plain_one_and_judges_as_it_does():
    network = plain()
    shared = share_norms(network)
    assert isinstance(shared[1], SharedBatchNorm)
    before = plain()
    before.load_state_dict(shared.state_dict())
    assert torch.equal(before.eval()(IMAGES), shared.eval()(IMAGES))
