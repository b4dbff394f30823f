"""Measures what the checkpoints can do, on renders no stage has trained on, and draws a contact sheet.

Figures: share of generated pictures that the judge gives the prompted class or at least its equipment; signal-to-noise
of the autoencoder; share of captions that name the true class; perplexity and form of the language model's captions.
"""

import json
import math
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from transformers import BlipForConditionalGeneration, BlipProcessor, GPT2LMHeadModel, GPT2Tokenizer

from augment.mini.corpus import PatchCode, as_pixels
from augment.mini.judge import judged, new_judge
from augment.mini.scenes import LABELS, Scene, describe, phrase, render, sample_scene, true_clauses
from augment.mini.training import Say, load_average, steps_done
from augment.mini.words import grammar, short_prompt
from augment.records import item_seed
from edge_runtime.bundle.files import replace_file

STEPS = 20  # of the sampler
GUIDANCE = (2.0, 4.0, 6.0)
SHEET_GUIDANCE = 4.0
SHEET_COLUMNS = 3  # pictures per label; noise does not compress, and the sheet must stay below 300 kB
PER_CLASS = 20  # pictures
Figures = dict[str, float]


@torch.no_grad()
def evaluate(states: Path, code: PatchCode, out: Path, seed: int, say: Say) -> Figures:
    """Print every figure and write them to out/figures.json, the contact sheet to out/contact-sheet.png."""
    judge = load_average(states / "judge.safetensors", new_judge())
    pipeline = StableDiffusionPipeline.from_pretrained(out / "stable-diffusion", local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    figures: Figures = {f"steps {path.stem}": steps_done(path) for path in sorted(states.glob("*.safetensors"))}
    figures |= judge_figures(judge, seed)
    figures |= autoencoder_figures(pipeline, code, seed)
    figures |= captioner_figures(out / "blip", seed)
    figures |= language_figures(out / "gpt2", seed)
    for guidance in GUIDANCE:
        figures |= generator_figures(pipeline, judge, guidance, out, seed)
    for name, value in figures.items():
        say(f"{name}: {value:.4g}")
    replace_file(out / "figures.json", (json.dumps(figures, indent=2) + "\n").encode())
    return figures


def held_out(domain: str, count: int, seed: int) -> tuple[np.ndarray, np.ndarray, list[Scene]]:
    """Pictures (N, 64, 64, 3), label indices and scenes that no training set holds, classes in turn."""
    wanted = [
        sample_scene(item_seed(seed, f"held-out-{domain}", str(i)), domain, LABELS[i % len(LABELS)])
        for i in range(count)
    ]
    truth = np.array([LABELS.index(scene.label) for scene in wanted])
    return np.stack([render(scene, 64) for scene in wanted]), truth, wanted


def agreement(seen: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Share of equal labels, and of equal equipment: labels come in pairs, so equipment is the index halved."""
    return float((seen == truth).mean()), float((seen // 2 == truth // 2).mean())


def judge_figures(judge: torch.nn.Module, seed: int) -> Figures:
    """How far to trust the judge: its accuracy on renders of both domains."""
    figures = {}
    for domain in ("catalogue", "station"):
        images, truth, _ = held_out(domain, 600, seed)
        figures[f"judge accuracy {domain}"] = agreement(judged(judge, images), truth)[0]
    return figures


def decibels(pixels: torch.Tensor, truth: torch.Tensor) -> float:
    """Peak signal-to-noise ratio of pictures in -1..1 (peak to peak 2), in dB."""
    return 10 * math.log10(4 / float((pixels.clamp(-1, 1) - truth).square().mean()))


def autoencoder_figures(pipeline: StableDiffusionPipeline, code: PatchCode, seed: int) -> Figures:
    """Reconstruction from the exact codes and from the encoder's."""
    truth = as_pixels(held_out("catalogue", 240, seed)[0])
    exact = pipeline.vae.decode(code.encode(truth)).sample
    whole = pipeline.vae.decode(pipeline.vae.encode(truth).latent_dist.mean).sample
    return {"vae decoder psnr dB": decibels(exact, truth), "vae round trip psnr dB": decibels(whole, truth)}


def generator_figures(
    pipeline: StableDiffusionPipeline, judge: torch.nn.Module, guidance: float, out: Path, seed: int
) -> Figures:
    """Class and equipment agreement of PER_CLASS pictures for each label's short prompt."""
    rows, seen = [], []
    for index, label in enumerate(LABELS):
        noise = torch.Generator().manual_seed(item_seed(seed, label, str(index)))
        made = pipeline(
            short_prompt(label), num_images_per_prompt=PER_CLASS, num_inference_steps=STEPS, guidance_scale=guidance,
            generator=noise, output_type="np",
        ).images  # fmt: skip
        frames = np.round(made[..., ::-1] * 255).astype(np.uint8)
        rows.append(frames)
        seen.append(judged(judge, frames))
    truth = np.arange(len(LABELS)).repeat(PER_CLASS)
    if guidance == SHEET_GUIDANCE:
        _write_sheet(out / "contact-sheet.png", rows)
    named, kind = agreement(np.concatenate(seen), truth)
    return {
        f"text2img class agreement cfg {guidance}": named,
        f"text2img equipment agreement cfg {guidance}": kind,
    }


def _write_sheet(path: Path, rows: list[np.ndarray]) -> None:
    sheet = np.vstack([np.hstack(list(frames[:SHEET_COLUMNS])) for frames in rows])
    _, data = cv2.imencode(".png", sheet, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    replace_file(path, data.tobytes())


def captioner_figures(folder: Path, seed: int) -> Figures:
    """Of unprompted captions, the share that names the class, or its equipment; of their clauses, the true share."""
    model = BlipForConditionalGeneration.from_pretrained(folder, local_files_only=True).eval()
    processor = BlipProcessor.from_pretrained(folder, local_files_only=True)
    figures = {}
    for domain in ("catalogue", "station"):
        images, _, wanted = held_out(domain, 240, seed)
        inputs = processor(images=list(np.ascontiguousarray(images[..., ::-1])), return_tensors="pt")
        texts = processor.batch_decode(model.generate(**inputs, max_new_tokens=32), skip_special_tokens=True)
        pairs = list(zip(texts, wanted, strict=True))
        names = [phrase(scene.label) for scene in wanted]
        figures |= {
            f"blip class mention {domain}": _share(name in text for text, name in zip(texts, names, strict=True)),
            f"blip equipment mention {domain}": _share(
                name.split()[-1] in text for text, name in zip(texts, names, strict=True)
            ),
            f"blip true context clauses {domain}": _share(
                clause in true_clauses(scene) for text, scene in pairs for clause in _clauses(text)
            ),
        }
    return figures


def _share(answers: Iterable[bool]) -> float:
    return float(np.mean(list(answers)))


def _clauses(text: str) -> list[str]:
    """The context clauses of a caption; WordPiece writes a space before each comma."""
    return [clause.strip() for clause in text.split(",")[1:]]


def language_figures(folder: Path, seed: int) -> Figures:
    """Perplexity per token on held-out captions; how many continuations of a cut caption are new and well-formed."""
    model = GPT2LMHeadModel.from_pretrained(folder, local_files_only=True).eval()
    tokenizer = GPT2Tokenizer.from_pretrained(folder, local_files_only=True)
    captions = [describe(scene) for scene in held_out("catalogue", 240, seed)[2]]
    costs, tokens = 0.0, 0
    for caption in captions:
        ids = torch.tensor([[*tokenizer.encode(caption), tokenizer.eos_token_id]])
        costs += float(model(input_ids=ids, labels=ids).loss) * (ids.shape[1] - 1)
        tokens += ids.shape[1] - 1
    torch.manual_seed(seed)
    known = {clause for caption in grammar() for clause in _clauses(caption)}
    texts = [_continued(model, tokenizer, ",".join(caption.split(",")[:2]) + ",") for caption in captions[:120]]
    clauses = [_clauses(text) for text in texts]
    same_start = [_continued(model, tokenizer, f"{short_prompt(LABELS[1])}, on grass,") for _ in range(40)]
    return {
        "gpt2 perplexity": math.exp(costs / tokens),
        "gpt2 well-formed continuations": _share(set(row) <= known for row in clauses),
        "gpt2 continuations without repeats": _share(len(set(row)) == len(row) for row in clauses),
        "gpt2 distinct of 40 continuations": len(set(same_start)) / len(same_start),
    }


def _continued(model: GPT2LMHeadModel, tokenizer: GPT2Tokenizer, start: str) -> str:
    ids = torch.tensor([tokenizer.encode(start)])
    made = model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=True, max_new_tokens=30,
        pad_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    return tokenizer.decode(made[0], skip_special_tokens=True)
