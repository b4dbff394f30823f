"""The mini AutoencoderKL: a decoder from patch codes to pixels, and an encoder that reproduces the codes."""

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn
from torch.nn import functional

from augment.mini.corpus import CHANNELS, SIZE, as_pixels
from augment.training.resumable import Loss

LOG_VARIANCE = -8.0  # the encoder's latents are as good as certain
CODE_NOISE = 0.08  # the decoder must bear with imperfect latents


def new_autoencoder(widths: tuple[int, ...] = (16, 24, 48, 96)) -> AutoencoderKL:
    """Return an untrained autoencoder. Residual branches start at zero, which trained much faster than the default."""
    model = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        block_out_channels=widths,
        layers_per_block=1,
        latent_channels=CHANNELS,
        norm_num_groups=8,
        sample_size=SIZE,
        scaling_factor=1.0,
        mid_block_add_attention=False,
    )
    for name, module in model.named_modules():
        if name.endswith("conv2"):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
    with torch.no_grad():
        model.quant_conv.weight[CHANNELS:].zero_()
        model.quant_conv.bias[CHANNELS:].fill_(LOG_VARIANCE)
    return model


def decoder_part(model: AutoencoderKL) -> nn.ModuleDict:
    """Return the part that the decoder stage trains."""
    return nn.ModuleDict({"decoder": model.decoder, "post": model.post_quant_conv})


def encoder_part(model: AutoencoderKL) -> nn.ModuleDict:
    """Return the part that the encoder stage trains."""
    return nn.ModuleDict({"encoder": model.encoder, "quant": model.quant_conv})


def decoder_loss(latents: Tensor, images: np.ndarray, batch: int) -> Loss[nn.ModuleDict]:
    """Return the loss of the decoder: absolute plus squared pixel error from slightly noisy codes."""

    def loss(part: nn.ModuleDict, rng: np.random.Generator) -> Tensor:
        rows = rng.integers(len(images), size=batch)
        codes = latents[torch.from_numpy(rows)]
        codes = codes + CODE_NOISE * torch.from_numpy(rng.standard_normal(codes.shape, np.float32))
        guess = part["decoder"](part["post"](codes))
        truth = as_pixels(images[rows])
        return functional.l1_loss(guess, truth) + 2 * functional.mse_loss(guess, truth)

    return loss


def encoder_loss(latents: Tensor, images: np.ndarray, batch: int) -> Loss[nn.ModuleDict]:
    """Return the loss of the encoder: squared error of its mean against the codes."""

    def loss(part: nn.ModuleDict, rng: np.random.Generator) -> Tensor:
        rows = rng.integers(len(images), size=batch)
        moments = part["quant"](part["encoder"](as_pixels(images[rows])))
        return functional.mse_loss(moments[:, :CHANNELS], latents[torch.from_numpy(rows)])

    return loss
