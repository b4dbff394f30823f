"""Turns training states into the folders that diffusers and transformers load: fp16 weights, standard layout."""

import json
import shutil
from pathlib import Path
from typing import Any, cast

import torch
from diffusers import StableDiffusionPipeline

from augment.mini.autoencoder import decoder_part, encoder_part, new_autoencoder
from augment.mini.captioner import new_captioner, new_processor
from augment.mini.diffusion import new_diffusion, scheduler
from augment.mini.language import new_language
from augment.mini.words import clip_tokenizer, gpt2_tokenizer
from augment.training.resumable import load_average
from edge_runtime.bundle.files import replace_file
from export.folders import replace_folder


def assemble(states: Path, out: Path) -> None:
    """Write out/stable-diffusion, out/blip and out/gpt2 from the averages in `states`, finished or not."""
    out.mkdir(parents=True, exist_ok=True)
    for name, fill in (("stable-diffusion", _save_pipeline), ("blip", _save_captioner), ("gpt2", _save_language)):
        spare = out / f".new-{name}"
        shutil.rmtree(spare, ignore_errors=True)
        fill(states, spare)
        replace_folder(spare, out / name)


def load_pipeline(states: Path) -> StableDiffusionPipeline:
    """Build the pipeline in fp32 from the averages in `states`."""
    diffusion = load_average(states / "diffusion.safetensors", new_diffusion())
    autoencoder = new_autoencoder()
    load_average(states / "decoder.safetensors", decoder_part(autoencoder))
    load_average(states / "encoder.safetensors", encoder_part(autoencoder))
    return StableDiffusionPipeline(
        vae=autoencoder.eval(),
        text_encoder=diffusion["text"],
        tokenizer=clip_tokenizer(),
        unet=diffusion["unet"],
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _save_pipeline(states: Path, folder: Path) -> None:
    pipeline = load_pipeline(states)
    for part in (pipeline.vae, pipeline.text_encoder, pipeline.unet):
        part.to(torch.float16)
    pipeline.save_pretrained(folder)
    _load_as_fp32(folder / "text_encoder" / "config.json")


def _save_captioner(states: Path, folder: Path) -> None:
    model = cast(Any, load_average(states / "captioner.safetensors", new_captioner())["blip"])
    model.to(torch.float16).save_pretrained(folder)
    new_processor().save_pretrained(folder)
    _load_as_fp32(folder / "config.json")


def _save_language(states: Path, folder: Path) -> None:
    model = load_average(states / "language.safetensors", new_language())
    model.to(torch.float16).save_pretrained(folder)
    gpt2_tokenizer().save_pretrained(folder)
    _load_as_fp32(folder / "config.json")


def _load_as_fp32(path: Path) -> None:
    """Write into the config that weights, stored in half precision to be small, are loaded in single for a CPU."""
    config = json.loads(path.read_text())
    for part in (config, *(value for value in config.values() if isinstance(value, dict))):
        if "dtype" in part:
            part["dtype"] = "float32"
    replace_file(path, (json.dumps(config, indent=2, sort_keys=True) + "\n").encode())
