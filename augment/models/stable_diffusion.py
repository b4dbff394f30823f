"""Stable Diffusion, which paints images, and its text encoder's limit."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionImg2ImgPipeline, StableDiffusionPipeline
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor, nn
from transformers import CLIPTokenizer

from augment.arrays import Vectors
from augment.methods import Method
from augment.models.interfaces import Order
from augment.models.model_folders import SAFE_LOADING, hush, in_halves
from augment.settings import Settings
from edge_runtime.bundle.preprocess import Frame

Mask = npt.NDArray[np.bool_]
StepCallback = Callable[[Any, int, Tensor, dict[str, Tensor]], dict[str, Tensor]]

SHORT_OF_MEMORY = 8 * 2**30  # bytes of GPU memory; Stable Diffusion 2.1 at 768 px and batch 4 wants more


class ClipTokenBudget:
    """Counts the tokens of a prompt; the painter's text encoder would cut off unseen what exceeds the limit."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
        self.limit: int = self._tokenizer.model_max_length

    def tokens(self, text: str) -> int:
        """Return how many tokens `text` takes, begin and end marks included."""
        return len(self._tokenizer(text).input_ids)


class DiffusionPainter:
    """Paints with `StableDiffusionPipeline` and DPM-Solver++ (Lu et al. 2022, arXiv:2211.01095)."""

    def __init__(self, folder: Path, device: str, settings: Settings, half: bool) -> None:
        hush("transformers")  # the text encoder's
        hush("diffusers")
        section = settings.generate
        dtype = torch.float16 if half else torch.float32
        pipeline = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=dtype, **SAFE_LOADING)
        pipeline.scheduler = DPMSolverMultistepScheduler.from_config(
            pipeline.scheduler.config, algorithm_type="dpmsolver++"
        )
        pipeline.set_progress_bar_config(disable=True)
        _place(pipeline, device, section.low_memory)
        self.pipeline = pipeline
        self._device = device
        self._section = section
        self._adapter: Path | None = None  # the one that is loaded
        self.side: int = section.size or pipeline.unet.config.sample_size * pipeline.vae_scale_factor

    def paint(self, orders: Sequence[Order], method: Method, adapter: Path | None) -> list[Frame | None]:
        """Return one (side, side, 3) uint8 BGR image per order; None where the model's safety filter blanked it."""
        self._use(adapter)
        return in_halves(lambda part: self._painted(part, method), orders)

    def _painted(self, orders: Sequence[Order], method: Method) -> list[Frame | None]:
        # On a GPU the weights are in FP16, and nothing is cast beside: autocast would undo the upcast by which the
        # attention of Stable Diffusion 2.1 stays within the range of FP16 (`upcast_attention`), and paint black.
        with torch.inference_mode():
            if method.kind == "codec":
                images, blanked = self._coded(orders), [False] * len(orders)
            else:
                images, blanked = self._diffused(orders, method)
        return [None if gone else _to_frame(image) for image, gone in zip(images, blanked, strict=True)]

    def _use(self, adapter: Path | None) -> None:
        if adapter == self._adapter:
            return
        self.pipeline.unload_lora_weights()
        if adapter is not None:
            self.pipeline.load_lora_weights(adapter, **SAFE_LOADING)
        self._adapter = adapter

    def _diffused(self, orders: Sequence[Order], method: Method) -> tuple[Vectors, list[bool]]:
        """Return float (N, side, side, 3) RGB images on the 0..1 scale, and which the safety filter blanked."""
        section = self._section
        # Noise is drawn on the CPU, so that a seed means the same image on every device.
        generators = [torch.Generator("cpu").manual_seed(order.seed) for order in orders]
        common: dict[str, object] = {
            "prompt": [order.prompt for order in orders],
            "negative_prompt": [section.negative_prompt] * len(orders),
            "generator": generators,
            "num_inference_steps": section.steps,
            "guidance_scale": section.guidance,
            "output_type": "np",
        }
        if method.kind == "text2img":
            output = self.pipeline(**common, height=self.side, width=self.side)
        else:
            pipeline = StableDiffusionImg2ImgPipeline(**self.pipeline.components, requires_safety_checker=False)
            pipeline.set_progress_bar_config(disable=True)
            if method.kind == "inpaint":
                common["callback_on_step_end"] = self._mask_callback(orders, generators)
            output = pipeline(**common, image=_sources(orders), strength=method.strength)
        return output.images, output.nsfw_content_detected or [False] * len(orders)

    def _mask_callback(self, orders: Sequence[Order], generators: list[torch.Generator]) -> StepCallback:
        """Return what a pipeline calls after each step to restore the sources outside the masks, as noisy as the step.

        Blended latent diffusion (Avrahami et al. 2022, arXiv:2206.02779). The inpainting pipeline of diffusers does the
        same, but for 4 latent channels alone, and the embedded model has 16.
        """
        kept = self._encoded(orders) * self.pipeline.vae.config.scaling_factor
        noise = randn_tensor(kept.shape, generator=generators, device=kept.device, dtype=kept.dtype)
        masks = torch.from_numpy(np.stack([cast(Mask, order.mask) for order in orders])[:, None]).to(kept)
        fresh = nn.functional.max_pool2d(masks, self.pipeline.vae_scale_factor) > 0  # every cell that it touches

        def keep(pipeline: Any, step: int, timestep: Tensor, values: dict[str, Tensor]) -> dict[str, Tensor]:
            as_noisy = pipeline.scheduler.add_noise(kept, noise, timestep[None])  # the scheduler knows its step
            return {"latents": torch.where(fresh, values["latents"], as_noisy.to(values["latents"]))}

        return keep

    def _coded(self, orders: Sequence[Order]) -> Vectors:
        """Pass the sources through encoder and decoder: float (N, side, side, 3) RGB on the 0..1 scale."""
        decoded = self.pipeline.vae.decode(self._encoded(orders)).sample
        images: Vectors = self.pipeline.image_processor.postprocess(decoded, output_type="np")
        return images

    def _encoded(self, orders: Sequence[Order]) -> Tensor:
        """Return the mean latents of the sources, not scaled: (N, channels, side / 8, side / 8)."""
        pipeline = self.pipeline
        pixels = pipeline.image_processor.preprocess(_sources(orders)).to(self._device, pipeline.vae.dtype)
        latents: Tensor = pipeline.vae.encode(pixels).latent_dist.mean
        return latents


def _sources(orders: Sequence[Order]) -> Vectors:
    """Return the sources as diffusers' image processor takes them: float32 (N, side, side, 3) RGB in 0..1."""
    frames = [cast(Frame, order.source)[..., ::-1] for order in orders]
    return np.stack(frames).astype(np.float32) / np.float32(255)


def _to_frame(image: Vectors) -> Frame:
    """Convert (H, W, 3) float RGB on the 0..1 scale -> uint8 BGR."""
    frame: Frame = cv2.cvtColor((image * 255).round().astype(np.uint8), cv2.COLOR_RGB2BGR)
    return frame


def _place(pipeline: Any, device: str, low_memory: str) -> None:
    """Put the pipeline on `device`; on a GPU that is short of memory, pictures are coded one after another.

    Attention is not sliced: torch's own needs no more memory in one piece, and is faster.
    """
    if device == "cuda" and low_memory == "offload":
        pipeline.enable_model_cpu_offload()
        return
    pipeline.to(device)
    short = device == "cuda" and torch.cuda.get_device_properties(0).total_memory < SHORT_OF_MEMORY
    if low_memory == "slicing" or (low_memory == "auto" and short):
        pipeline.vae.enable_slicing()
