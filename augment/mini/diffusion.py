"""The text encoder and the denoising network of the mini Stable Diffusion, trained together on fixed patch codes."""

from collections.abc import Sequence

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from augment.mini.corpus import CHANNELS, PATCH, SIZE
from augment.mini.scenes import LABELS, Scene, describe
from augment.mini.words import CLIP_LENGTH, clip_tokenizer, short_prompt
from augment.training.diffusion_loss import EMPTY_SHARE, DiffusionLoss
from augment.training.resumable import Loss

SHORT_SHARE = 0.25  # of the prompts name the class alone
TEXT_WIDTH = 128


def scheduler() -> DPMSolverMultistepScheduler:
    """Return training's noise schedule and generation's sampler in one, as Stable Diffusion 2 has it (v-prediction)."""
    return DPMSolverMultistepScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        algorithm_type="dpmsolver++",
        steps_offset=1,
    )


def new_diffusion(widths: tuple[int, int] = (64, 128)) -> nn.ModuleDict:
    """Return an untrained denoiser, `unet`, and text encoder, `text`."""
    tokenizer = clip_tokenizer()
    unet = UNet2DConditionModel(
        sample_size=SIZE // PATCH,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        block_out_channels=widths,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        attention_head_dim=4,  # diffusers reads it as the number of heads
        cross_attention_dim=TEXT_WIDTH,
        norm_num_groups=16,
    )
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=4 * TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=CLIP_LENGTH,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    return nn.ModuleDict({"unet": unet, "text": text})


def prompt_tokens(prompts: Sequence[str]) -> Tensor:
    """Return int64 (N, 32) tokens, padded as the pipeline pads."""
    batch = clip_tokenizer()(list(prompts), padding="max_length", truncation=True, max_length=CLIP_LENGTH)
    return torch.tensor(batch["input_ids"])


def diffusion_loss(latents: Tensor, labels: np.ndarray, wanted: Sequence[Scene], batch: int) -> Loss[nn.ModuleDict]:
    """Return the v-prediction loss over `latents` (N, 16, 8, 8) with their scenes' captions, short prompts or none."""
    full = prompt_tokens([describe(scene) for scene in wanted])
    short = prompt_tokens([short_prompt(label) for label in LABELS])[torch.from_numpy(labels)]
    empty = prompt_tokens([""])
    objective = DiffusionLoss(scheduler().alphas_cumprod, velocity=True)

    def loss(model: nn.ModuleDict, rng: np.random.Generator) -> Tensor:
        rows = torch.from_numpy(rng.integers(len(latents), size=batch))
        when = torch.from_numpy(rng.integers(objective.steps, size=batch))
        kind = torch.from_numpy(rng.random((batch, 1)))
        tokens = torch.where(kind < EMPTY_SHARE + SHORT_SHARE, short[rows], full[rows])
        tokens = torch.where(kind < EMPTY_SHARE, empty, tokens)
        clean = latents[rows]
        noise = torch.from_numpy(rng.standard_normal(clean.shape, np.float32))
        context = model["text"](input_ids=tokens)[0]
        guess = model["unet"](objective.noisy(clean, noise, when), when, context).sample
        return objective(guess, clean, noise, when)

    return loss
