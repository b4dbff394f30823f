"""A low-rank adapter of Stable Diffusion's denoiser, trained on captioned images.

LoRA: Hu et al. 2021, arXiv:2106.09685.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from diffusers import DDPMScheduler, StableDiffusionPipeline
from peft import LoraConfig, get_peft_model_state_dict
from torch import Tensor, nn

from augment.models.model_folders import SAFE_LOADING
from augment.settings import AdaptSettings
from augment.training.diffusion_loss import EMPTY_SHARE, DiffusionLoss
from augment.training.resumable import Loss
from edge_runtime.bundle.preprocess import Frame

# Attention carries what is where; the convolutions carry a camera's blur, noise and colour.
TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out", "conv1", "conv2"]
ENCODED_AT_ONCE = 8  # images


class Adaptation:
    """A pipeline whose denoiser carries a fresh adapter; everything else is frozen."""

    def __init__(self, folder: Path, device: str, section: AdaptSettings, seed: int) -> None:
        pipeline = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32, **SAFE_LOADING)
        self.pipeline = pipeline.to(device)
        self.device = device
        self.batch_size = section.batch_size
        for part in (self.pipeline.vae, self.pipeline.text_encoder, self.pipeline.unet):
            part.requires_grad_(False)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            rank = section.rank
            adapter = LoraConfig(r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=TARGETS)
            self.pipeline.unet.add_adapter(adapter)
        if device == "cuda":
            self.pipeline.unet.enable_gradient_checkpointing()
            self.pipeline.unet.train()

    @property
    def model(self) -> nn.Module:
        """The denoiser; only the adapter's weights require a gradient."""
        return cast(nn.Module, self.pipeline.unet)

    @torch.no_grad()
    def encode(self, frames: Frame) -> Tensor:
        """Encode uint8 (N, side, side, 3) BGR -> scaled latents, float32 (N, C, side / f, side / f), on the CPU."""
        vae, parts = self.pipeline.vae, []
        for start in range(0, len(frames), ENCODED_AT_ONCE):
            images = frames[start : start + ENCODED_AT_ONCE, ..., ::-1].astype(np.float32) / 255
            pixels = self.pipeline.image_processor.preprocess(images).to(self.device)
            parts.append((vae.encode(pixels).latent_dist.mean * vae.config.scaling_factor).cpu())
        return torch.cat(parts)

    def loss(self, latents: Tensor, captions: Sequence[str]) -> Loss[nn.Module]:
        """Return the denoising loss over `latents` (N, C, h, w) and their captions."""
        scheduler = DDPMScheduler.from_config(self.pipeline.scheduler.config)
        objective = DiffusionLoss(scheduler.alphas_cumprod, scheduler.config.prediction_type == "v_prediction")
        bf16 = self.device == "cuda" and torch.cuda.is_bf16_supported()

        def loss(model: nn.Module, rng: np.random.Generator) -> Tensor:
            rows = rng.integers(len(latents), size=self.batch_size)
            when = torch.from_numpy(rng.integers(objective.steps, size=self.batch_size))
            clean = latents[torch.from_numpy(rows)]
            noise = torch.from_numpy(rng.standard_normal(clean.shape, np.float32))
            texts = [captions[row] if rng.random() >= EMPTY_SHARE else "" for row in rows]
            noisy = objective.noisy(clean, noise, when).to(self.device)
            with torch.autocast(self.device, torch.bfloat16, enabled=bf16):
                guess = model(noisy, when.to(self.device), self._context(texts)).sample.float()
            return objective(guess, clean, noise, when)

        return loss

    @torch.no_grad()
    def _context(self, texts: Sequence[str]) -> Tensor:
        tokenizer = self.pipeline.tokenizer
        tokens = tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=tokenizer.model_max_length,
            return_tensors="pt",
        )  # fmt: skip
        return cast(Tensor, self.pipeline.text_encoder(tokens.input_ids.to(self.device))[0])

    def save(self, folder: Path) -> None:
        """Write the adapter into `folder` in the form that diffusers' load_lora_weights reads."""
        layers = get_peft_model_state_dict(self.pipeline.unet)
        StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=layers, safe_serialization=True)
