"""Strong views: functions of their seed, and of images in the colour order that they are used with."""

import numpy as np
import pytest
import torch

from augment.training.image_transforms import STRONG


@pytest.fixture(scope="module")
def frames() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8))


@pytest.mark.parametrize("kind", sorted(STRONG))
def test_strong_views_depend_on_their_seed_alone(kind, frames):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, again, other = (STRONG[kind](frames, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)  # the global generator is left alone
    assert (first.dtype, first.shape) == (torch.uint8, frames.shape)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_kinds_differ(frames):
    assert not torch.equal(STRONG["trivial"](frames, 1), STRONG["rand"](frames, 1))
