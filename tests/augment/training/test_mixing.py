"""Mixed images and their shares, stand-ins for real images, the priors in the loss: numbers from paper."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from augment.training.mixing import log_priors, mixed, replaced, stand_ins

TARGETS = torch.tensor([0, 1, 1, 0, 1, 0])
IMAGES = TARGETS.float().view(-1, 1, 1, 1).expand(-1, 3, 16, 16).contiguous()  # an image's level is its class


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.4, 0.0), (0.0, 1.0), (0.4, 1.0)])
def test_a_mixed_target_is_the_share_of_each_class_in_the_image(mixup, cutmix):
    for seed in range(10):
        images, shares = mixed(IMAGES, TARGETS, 3, mixup, cutmix, seed)
        assert shares.shape == (6, 3)
        torch.testing.assert_close(shares.sum(dim=1), torch.ones(6))
        torch.testing.assert_close(images.mean(dim=(1, 2, 3)), shares[:, 1])


def test_mixing_that_is_off_leaves_images_and_targets():
    images, targets = mixed(IMAGES, TARGETS, 3, 0.0, 0.0, 1)
    assert images is IMAGES
    assert targets is TARGETS


def test_the_seed_decides_the_mixture_and_which_kind_a_step_takes():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    steps = [mixed(IMAGES, TARGETS, 2, 1.0, 1.0, seed)[0] for seed in range(20)]
    assert torch.equal(torch.rand(1), expected)  # the global generator is left alone
    assert torch.equal(steps[7], mixed(IMAGES, TARGETS, 2, 1.0, 1.0, 7)[0])
    blended = sum(bool(((images > 0) & (images < 1)).any()) for images in steps)
    assert 5 <= blended <= 15  # patches leave every pixel 0 or 1


def test_only_generated_images_of_a_class_with_real_ones_stand_in():
    targets, generated = np.array([0, 0, 1, 2]), np.array([False, True, True, False])
    assert stand_ins(targets, generated).tolist() == [False, True, False, False]


def test_replacement_keeps_the_class_and_happens_as_often_as_it_should():
    targets = np.array([0, 0, 1, 2, 0, 1, 1])
    instead = np.array([False, False, False, False, True, True, True])
    positions = np.tile([0, 1, 2, 3], 2000)
    found = replaced(positions, targets, instead, 0.3, seed=1)
    assert (targets[found] == targets[positions]).all()
    exchanged = found != positions
    assert exchanged[positions == 3].sum() == 0  # class 2 has none to stand in
    assert instead[found[exchanged]].all()
    assert exchanged[positions != 3].mean() == pytest.approx(0.3, abs=0.02)
    assert set(found.tolist()) == set(range(7))


def test_replacement_at_its_ends_and_by_its_seed():
    targets, instead = np.array([0, 0, 0]), np.array([False, True, True])
    positions = np.zeros(50, np.int64)
    assert replaced(positions, targets, instead, 0.0, seed=1).tolist() == positions.tolist()
    first, again, other = (replaced(positions, targets, instead, 1.0, seed=seed).tolist() for seed in (1, 1, 2))
    assert set(first) == {1, 2}
    assert first == again != other


def gradient(logits: torch.Tensor, target: int, priors: torch.Tensor) -> torch.Tensor:
    logits = logits.clone().requires_grad_()
    functional.cross_entropy(logits + priors, torch.tensor([target])).backward()
    return logits.grad


def test_equal_priors_change_nothing():
    logits, targets = (
        torch.randn(8, 3, generator=torch.Generator().manual_seed(0)),
        torch.tensor([0, 1, 2, 2, 1, 0, 0, 1]),
    )
    priors = log_priors(np.array([0, 1, 2, 0, 1, 2]), 3)
    for smoothing in (0.0, 0.1):
        plain, with_priors = (
            functional.cross_entropy(given, targets, label_smoothing=smoothing) for given in (logits, logits + priors)
        )
        torch.testing.assert_close(with_priors, plain)


def test_a_rare_class_pulls_as_hard_as_it_is_rare():
    priors = log_priors(np.array([0] * 9 + [1]), 2)
    even = torch.zeros(1, 2)
    # The gradient of a logit: its probability, at even logits the prior, minus its share of the target.
    torch.testing.assert_close(gradient(even, 1, torch.zeros(2)), torch.tensor([[0.5, -0.5]]))
    torch.testing.assert_close(gradient(even, 1, priors), torch.tensor([[0.9, -0.9]]))
    torch.testing.assert_close(gradient(even, 0, priors), torch.tensor([[-0.1, 0.1]]))


def test_a_class_without_an_image_counts_as_one():
    torch.testing.assert_close(log_priors(np.array([0, 0, 0]), 2).exp(), torch.tensor([0.75, 0.25]))
