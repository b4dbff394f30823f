"""The three pretrained models behind small interfaces: captioner (BLIP), writer (GPT-2), painter (Stable Diffusion).

A reference is a hub id, a local folder or `mini` (the checkpoints this package carries). Only safetensors are loaded,
and nothing reaches for the network unless the settings name a hub id.
"""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np

from augment.methods import Method
from augment.settings import Settings
from edge_runtime.bundle.errors import InputError, UnavailableError
from edge_runtime.bundle.files import sha256_bytes, sha256_file

if TYPE_CHECKING:
    from augment.models.image_embedding import Embedder
    from augment.models.text_similarity import Meaning

EMBEDDED = Path(__file__).parents[1] / "mini" / "checkpoints"
# BLIP-base is published as a pickle alone.
_HOW_TO_CONVERT = (
    "pickled weights are never loaded here: where you trust them, load the model and its processor once with "
    "transformers, save_pretrained() both into a local folder, and name that folder"
)
SHORT_OF_MEMORY = 8 * 2**30  # bytes of GPU memory; Stable Diffusion 2.1 at 768 px and batch 4 wants more


class Captioner(Protocol):
    def caption(self, frames: Sequence[np.ndarray], prefix: str) -> list[str]:
        """Captions that begin with `prefix`, one per (H, W, 3) uint8 BGR frame."""


class Writer(Protocol):
    def continuations(self, prefix: str, count: int, seed: int) -> list[str]:
        """`count` sampled texts that follow `prefix`; the same seed gives the same texts."""


@dataclass(frozen=True)
class Order:
    """One image to paint."""

    prompt: str
    seed: int
    source: np.ndarray | None = None  # (side, side, 3) uint8 BGR, for methods that start from a real image
    mask: np.ndarray | None = None  # (side, side) bool, for inpainting: what is painted anew


class Painter(Protocol):
    side: int  # pixels of a generated image's side

    def paint(self, orders: Sequence[Order], method: Method, adapter: Path | None) -> list[np.ndarray | None]:
        """One (side, side, 3) uint8 BGR image per order; None where the model's safety filter blanked it.

        `adapter` is the folder of a LoRA to paint with; None paints with the plain model.
        """


class TokenBudget(Protocol):
    limit: int  # tokens that the painter's text encoder can hold, begin and end marks included

    def tokens(self, text: str) -> int:
        """How many tokens `text` takes, begin and end marks included."""


@dataclass(frozen=True)
class ModelFolder:
    """A model on disk and what identifies it in a document."""

    path: Path
    identity: dict[str, str]  # name, and sha256 (a folder's) or revision (a hub commit)


class Models:
    """Loads each model of `settings` when it is first asked for, and not before."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def device(self) -> str:
        """`cuda` or `cpu`."""
        return pick_device(self._settings.device)

    @cached_property
    def captioner_folder(self) -> ModelFolder:
        section = self._settings.caption
        return find_model(section.model, "blip", section.sha256)

    @cached_property
    def writer_folder(self) -> ModelFolder:
        section = self._settings.refine
        return find_model(section.model, "gpt2", section.sha256)

    @cached_property
    def painter_folder(self) -> ModelFolder:
        section = self._settings.generate
        return find_model(section.model, "stable-diffusion", section.sha256, section.revision)

    @cached_property
    def captioner(self) -> Captioner:
        return BlipCaptioner(self.captioner_folder.path, self.device, self._settings.caption.max_new_tokens)

    @cached_property
    def writer(self) -> Writer:
        section = self._settings.refine
        return Gpt2Writer(
            self.writer_folder.path, self.device, section.max_new_tokens, section.temperature, section.top_p
        )

    @cached_property
    def meaning(self) -> "Meaning":
        from augment.models.text_similarity import load_meaning

        return load_meaning(self._settings.refine, self.device)

    @cached_property
    def painter(self) -> Painter:
        return DiffusionPainter(self.painter_folder.path, self.device, self._settings)

    @cached_property
    def embedder(self) -> "Embedder":
        from augment.models.image_embedding import load_embedder

        return load_embedder(self._settings.data.embedding, self.device)

    @cached_property
    def token_budget(self) -> TokenBudget:
        return ClipTokenBudget(self.painter_folder.path)


def pick_device(wanted: str) -> str:
    """`auto`, `cpu` or `cuda` -> `cpu` or `cuda`. Raises UnavailableError when CUDA is asked for and not there."""
    import torch

    if wanted == "cuda" and not torch.cuda.is_available():
        raise UnavailableError("device is cuda, but torch finds no CUDA device here; set device to auto or cpu")
    return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"


def find_model(reference: str, kind: str, sha256: str = "", revision: str = "") -> ModelFolder:
    """The folder of a model, downloaded if `reference` is a hub id, checked against the pin if there is one."""
    if reference == "mini":
        return local_model(EMBEDDED / kind, f"mini/{kind}", sha256)
    if Path(reference).is_dir():
        return local_model(Path(reference), Path(reference).name, sha256)
    return _pinned(_download(reference, kind, revision), sha256)


def folder_digest(folder: Path) -> str:
    """Hex SHA-256 over the names and digests of all files of a model folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    lines = [f"{path.relative_to(folder).as_posix()} {sha256_file(path)}\n" for path in paths]
    return sha256_bytes("".join(lines).encode())


def local_model(path: Path, name: str, sha256: str = "") -> ModelFolder:
    """The model folder at `path`, known as `name`. Raises InputError where it is not what `sha256` pins."""
    if not any(path.rglob("*.safetensors")):
        raise InputError(f"model folder {path} holds no .safetensors file; {_HOW_TO_CONVERT}")
    return _pinned(ModelFolder(path, {"name": name, "sha256": folder_digest(path)}), sha256)


def _pinned(found: ModelFolder, sha256: str) -> ModelFolder:
    seen = found.identity.get("sha256") or (folder_digest(found.path) if sha256 else "")
    if sha256 and seen != sha256:
        raise InputError(
            f"model {found.identity['name']} has the digest {seen}, the settings pin {sha256}: "
            "it is not the model that was approved; get that one, or change the pin on purpose"
        )
    return found


def _download(reference: str, kind: str, revision: str) -> ModelFolder:
    """A hub model as a local folder; already downloaded files are used without a network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        if kind == "stable-diffusion":
            from diffusers import DiffusionPipeline

            # Fetches just the files its model_index.json names; such repositories hold each weight several times.
            path = Path(DiffusionPipeline.download(reference, revision=revision or None, use_safetensors=True))
        else:
            # The last pattern is for the further modules of a sentence model.
            wanted = ["*.json", "*.txt", "model*.safetensors", "*/model*.safetensors"]
            path = Path(snapshot_download(reference, revision=revision or None, allow_patterns=wanted))
    except (HFValidationError, ValueError):
        raise InputError(f"model {reference!r} is neither a local folder nor a hub id; check the spelling") from None
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise UnavailableError(
            f"model {reference} is not on this machine and could not be downloaded ({type(error).__name__}); "
            "connect to the hub, or give a local folder, or use the preset mini"
        ) from error
    if not any(path.rglob("*.safetensors")):
        raise InputError(f"hub model {reference} holds no .safetensors file; {_HOW_TO_CONVERT}")
    return ModelFolder(path, {"name": reference, "revision": path.name})


class BlipCaptioner:
    """`BlipForConditionalGeneration`, conditioned on a text prefix, greedy."""

    def __init__(self, folder: Path, device: str, max_new_tokens: int) -> None:
        import torch
        from transformers import BlipForConditionalGeneration, BlipProcessor

        hush("transformers")
        self._device = device
        self._max_new_tokens = max_new_tokens
        self._processor = BlipProcessor.from_pretrained(folder, local_files_only=True)
        self._model = BlipForConditionalGeneration.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
        )
        self._model.to(device).eval()

    def caption(self, frames: Sequence[np.ndarray], prefix: str) -> list[str]:
        import torch

        images = [cv2.cvtColor(frame, cv2.COLOR_BGR2RGB) for frame in frames]
        inputs = self._processor(images=images, text=[prefix] * len(images), return_tensors="pt").to(self._device)
        with torch.inference_mode(), _autocast(self._device):
            tokens = self._model.generate(**inputs, max_new_tokens=self._max_new_tokens, do_sample=False, num_beams=1)
        return [text.strip() for text in self._processor.batch_decode(tokens, skip_special_tokens=True)]


class Gpt2Writer:
    """`GPT2LMHeadModel` that continues a text by nucleus sampling."""

    def __init__(self, folder: Path, device: str, max_new_tokens: int, temperature: float, top_p: float) -> None:
        import torch
        from transformers import AutoTokenizer, GPT2LMHeadModel

        hush("transformers")
        self._device = device
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._model = GPT2LMHeadModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
        )
        self._model.to(device).eval()
        self._sampling = {
            "max_new_tokens": max_new_tokens,
            "do_sample": True,
            "temperature": temperature,
            "top_p": top_p,
            "top_k": 0,
            "pad_token_id": self._tokenizer.eos_token_id,
        }

    def continuations(self, prefix: str, count: int, seed: int) -> list[str]:
        import torch

        inputs = self._tokenizer(prefix, return_tensors="pt").to(self._device)
        inputs.pop("token_type_ids", None)
        torch.manual_seed(seed)  # generate() takes no generator of its own
        with torch.inference_mode(), _autocast(self._device):
            tokens = self._model.generate(**inputs, num_return_sequences=count, **self._sampling)
        new = tokens[:, inputs["input_ids"].shape[1] :]
        return self._tokenizer.batch_decode(new, skip_special_tokens=True)


class ClipTokenBudget:
    """The tokenizer of the painter's text encoder; what it cannot hold it would cut off unseen."""

    def __init__(self, folder: Path) -> None:
        from transformers import CLIPTokenizer

        self._tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
        self.limit = self._tokenizer.model_max_length

    def tokens(self, text: str) -> int:
        return len(self._tokenizer(text).input_ids)


class DiffusionPainter:
    """`StableDiffusionPipeline` with DPM-Solver++ (Lu et al. 2022, arXiv:2211.01095)."""

    def __init__(self, folder: Path, device: str, settings: Settings) -> None:
        import torch
        from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

        hush("transformers")  # the text encoder's
        hush("diffusers")
        section = settings.generate
        dtype = torch.float16 if device == "cuda" else torch.float32
        pipeline = StableDiffusionPipeline.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, torch_dtype=dtype
        )
        pipeline.scheduler = DPMSolverMultistepScheduler.from_config(
            pipeline.scheduler.config, algorithm_type="dpmsolver++"
        )
        pipeline.set_progress_bar_config(disable=True)
        _place(pipeline, device, section.low_memory)
        self._pipeline = pipeline
        self._device = device
        self._section = section
        self._adapter: Path | None = None  # the one that is loaded
        self.side = section.size or pipeline.unet.config.sample_size * pipeline.vae_scale_factor

    def paint(self, orders: Sequence[Order], method: Method, adapter: Path | None) -> list[np.ndarray | None]:
        import torch

        self._use(adapter)
        with torch.inference_mode(), _autocast(self._device):
            if method.kind == "codec":
                images, hidden = self._coded(orders), None
            else:
                images, hidden = self._diffused(orders, method)
        blanked = hidden or [False] * len(orders)
        return [None if gone else _to_frame(image) for image, gone in zip(images, blanked, strict=True)]

    def _use(self, adapter: Path | None) -> None:
        if adapter == self._adapter:
            return
        self._pipeline.unload_lora_weights()
        if adapter is not None:
            self._pipeline.load_lora_weights(adapter, local_files_only=True, use_safetensors=True)
        self._adapter = adapter

    def _diffused(self, orders: Sequence[Order], method: Method) -> tuple[np.ndarray, list[bool] | None]:
        """float (N, side, side, 3) RGB images on the 0..1 scale, and which of them the safety filter blanked."""
        import torch
        from diffusers import StableDiffusionImg2ImgPipeline

        section = self._section
        common = {
            "prompt": [order.prompt for order in orders],
            "negative_prompt": [section.negative_prompt] * len(orders),
            # Noise is drawn on the CPU, so that a seed means the same image on every device.
            "generator": [torch.Generator("cpu").manual_seed(order.seed) for order in orders],
            "num_inference_steps": section.steps,
            "guidance_scale": section.guidance,
            "output_type": "np",
        }
        if method.kind == "text2img":
            output = self._pipeline(**common, height=self.side, width=self.side)
        else:
            pipeline = StableDiffusionImg2ImgPipeline(**self._pipeline.components, requires_safety_checker=False)
            pipeline.set_progress_bar_config(disable=True)
            if method.kind == "inpaint":
                common["callback_on_step_end"] = self._keeper(orders, common["generator"])
            output = pipeline(**common, image=_sources(orders), strength=method.strength)
        return output.images, output.nsfw_content_detected

    def _keeper(self, orders: Sequence[Order], generators: list[Any]) -> Callable[..., dict[str, Any]]:
        """What a pipeline calls after each step: it puts the sources back outside the masks, as noisy as it is.

        Blended latent diffusion (Avrahami et al. 2022, arXiv:2206.02779). The inpainting pipeline of diffusers does the
        same, but for 4 latent channels alone, and the embedded model has 16.
        """
        import torch
        from diffusers.utils.torch_utils import randn_tensor

        kept = self._encoded(orders) * self._pipeline.vae.config.scaling_factor
        noise = randn_tensor(kept.shape, generator=generators, device=kept.device, dtype=kept.dtype)
        masks = torch.from_numpy(np.stack([order.mask for order in orders])[:, None]).to(kept)
        fresh = torch.nn.functional.max_pool2d(masks, self._pipeline.vae_scale_factor) > 0  # every cell that it touches

        def keep(pipeline: Any, step: int, timestep: Any, values: dict[str, Any]) -> dict[str, Any]:
            as_noisy = pipeline.scheduler.add_noise(kept, noise, timestep[None])  # the scheduler knows its step
            return {"latents": torch.where(fresh, values["latents"], as_noisy.to(values["latents"]))}

        return keep

    def _coded(self, orders: Sequence[Order]) -> np.ndarray:
        """The sources through encoder and decoder: float (N, side, side, 3) RGB on the 0..1 scale."""
        decoded = self._pipeline.vae.decode(self._encoded(orders)).sample
        return self._pipeline.image_processor.postprocess(decoded, output_type="np")

    def _encoded(self, orders: Sequence[Order]) -> Any:
        """The sources' mean latents, not scaled: (N, channels, side / 8, side / 8)."""
        pipeline = self._pipeline
        pixels = pipeline.image_processor.preprocess(_sources(orders)).to(self._device, pipeline.vae.dtype)
        return pipeline.vae.encode(pixels).latent_dist.mean


def _sources(orders: Sequence[Order]) -> np.ndarray:
    """float32 (N, side, side, 3) RGB on the 0..1 scale, as diffusers' image processor takes them."""
    return np.stack([order.source[..., ::-1] for order in orders]).astype(np.float32) / 255


def hush(library: str) -> None:
    """Loading bars and hints of a model library would bury the stages' own lines."""
    log = importlib.import_module(f"{library}.utils.logging")
    log.set_verbosity_error()
    log.disable_progress_bar()


def _to_frame(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) float RGB on the 0..1 scale -> uint8 BGR."""
    return cv2.cvtColor((image * 255).round().astype(np.uint8), cv2.COLOR_RGB2BGR)


def _autocast(device: str) -> Any:
    import torch

    return torch.autocast("cuda", torch.float16, enabled=device == "cuda")


def _place(pipeline: Any, device: str, low_memory: str) -> None:
    """Put the pipeline on `device`; on a GPU that is short of memory, in slices."""
    import torch

    if device == "cuda" and low_memory == "offload":
        pipeline.enable_model_cpu_offload()
        return
    pipeline.to(device)
    short = device == "cuda" and torch.cuda.get_device_properties(0).total_memory < SHORT_OF_MEMORY
    if low_memory == "slicing" or (low_memory == "auto" and short):
        pipeline.enable_attention_slicing()
        pipeline.vae.enable_slicing()
