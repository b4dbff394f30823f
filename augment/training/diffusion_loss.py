"""The loss of a denoiser of latents, for the adapter of a large model and for the embedded one.

The error is that of the scheduler's own target (noise or velocity), weighted by the signal-to-noise ratio, capped at 5
(min-SNR: Hang et al. 2023, arXiv:2303.09556).
"""

import torch
from torch import Tensor

EMPTY_SHARE = 0.1  # of the captions are dropped, so that classifier-free guidance has its unconditional half
SNR_CAP = 5.0


class DiffusionLoss:
    """Noisy latents to learn from, and the error of a guess at what was added to them."""

    def __init__(self, alphas_cumprod: Tensor, velocity: bool) -> None:
        self._signal = alphas_cumprod.float()  # (steps,), the share of the signal's power
        self._velocity = velocity  # whether the network guesses the velocity, else the noise
        snr = self._signal / (1 - self._signal)
        self._weight = torch.clamp(snr, max=SNR_CAP) / (snr + 1 if velocity else snr)

    @property
    def steps(self) -> int:
        """The number of noise levels."""
        return len(self._signal)

    def noisy(self, clean: Tensor, noise: Tensor, when: Tensor) -> Tensor:
        """Mix latents and noise, both (N, C, h, w), at the noise levels `when` (N,)."""
        keep, spoil = self._shares(when)
        return keep * clean + spoil * noise

    def __call__(self, guess: Tensor, clean: Tensor, noise: Tensor, when: Tensor) -> Tensor:
        """Return the weighted squared error of `guess`, what the network made of `noisy(clean, noise, when)`."""
        keep, spoil = self._shares(when)
        wanted = keep * noise - spoil * clean if self._velocity else noise
        error = (guess - wanted.to(guess.device)).square().mean(dim=(1, 2, 3))
        return (error * self._weight[when].to(guess.device)).mean()

    def _shares(self, when: Tensor) -> tuple[Tensor, Tensor]:
        signal = self._signal[when].view(-1, 1, 1, 1)
        return signal.sqrt(), (1 - signal).sqrt()
