"""The loss of a denoiser: the mixture and the target are the scheduler's own, the weights from paper."""

import pytest
import torch
from diffusers import DDPMScheduler

from augment.training.diffusion_loss import SNR_CAP, DiffusionLoss


def drawn(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Latents, noise and guess (4, 16, 8, 8), and the noise levels."""
    generator = torch.Generator().manual_seed(seed)
    clean, noise, guess = (torch.randn(4, 16, 8, 8, generator=generator) for _ in range(3))
    return clean, noise, guess, torch.randint(1000, (4,), generator=generator)


@pytest.mark.parametrize("prediction", ["v_prediction", "epsilon"])
def test_it_is_the_error_of_the_schedulers_target_to_the_bit(prediction):
    scheduler = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    velocity = prediction == "v_prediction"
    loss = DiffusionLoss(scheduler.alphas_cumprod, velocity)
    assert loss.steps == 1000
    snr = scheduler.alphas_cumprod / (1 - scheduler.alphas_cumprod)
    weight = snr.clamp(max=SNR_CAP) / (snr + 1 if velocity else snr)
    for seed in range(20):
        clean, noise, guess, when = drawn(seed)
        assert torch.equal(loss.noisy(clean, noise, when), scheduler.add_noise(clean, noise, when))
        wanted = scheduler.get_velocity(clean, noise, when) if velocity else noise
        expected = ((guess - wanted).square().mean(dim=(1, 2, 3)) * weight[when]).mean()
        assert torch.equal(loss(guess, clean, noise, when), expected)


def test_levels_with_little_noise_weigh_no_more_than_the_cap():
    loss = DiffusionLoss(torch.tensor([0.5, 0.95]), velocity=False)  # signal to noise 1 and 19
    clean = noise = torch.zeros(1, 1, 1, 1)
    errors = [loss(torch.ones(1, 1, 1, 1), clean, noise, torch.tensor([level])).item() for level in (0, 1)]
    assert errors == pytest.approx([1, 5 / 19])
