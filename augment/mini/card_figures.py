"""Measures what the checkpoints can do, on renders no stage has trained on, and draws a contact sheet.

Figures: share of generated pictures in which the render classifier sees the prompted class or at least its equipment;
signal-to-noise of the autoencoder; share of captions that name the true class and of their clauses that are true, per
attribute; form, variety and faithfulness of the language model's prompts, by the rules that the refine stage applies.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from torch import nn
from transformers import BlipForConditionalGeneration, BlipProcessor, GPT2LMHeadModel, GPT2Tokenizer

from augment.methods import parse_method
from augment.mini.corpus import PatchCode, as_pixels
from augment.mini.render_classifier import classified, new_classifier
from augment.mini.scenes import LABELS, Scene, attribute_of, describe, phrase, render, sample_scene, true_clauses
from augment.mini.words import grammar, short_prompt
from augment.models import prompt_rules
from augment.models.interfaces import Order, Painter
from augment.models.registry import Models
from augment.models.text_similarity import WordOverlap
from augment.presets import PRESETS
from augment.records import item_seed
from augment.training.resumable import Say, load_average, steps_done
from edge_runtime.bundle.files import replace_file
from edge_runtime.bundle.preprocess import Frame
from edge_runtime.media.jpeg import encode_jpeg

FIGURES_FILE = "figures.json"
SHEET_FILE = "contact-sheet.jpg"
PICTURES = {2.0: 20, 4.0: 50, 6.0: 20}  # text to image: guidance -> pictures per class
SHEET_GUIDANCE = 4.0
SHEET_COLUMNS = (2, 2, 4)  # per label: catalogue renders, station renders, generated
STRENGTHS = (0.3, 0.5, 0.7)  # image to image
SOURCES_PER_CLASS = 10
CAPTIONS = 240
Figures = dict[str, float]


@torch.no_grad()
def evaluate(states: Path, code: PatchCode, out: Path, seed: int, say: Say) -> Figures:
    """Print every figure and write them to out/figures.json, the contact sheet to out/contact-sheet.jpg.

    How far a stage was trained is taken from its state; where that is gone, from the figures written before.
    """
    classifier = load_average(states / "judge.safetensors", new_classifier())
    pipeline = StableDiffusionPipeline.from_pretrained(out / "stable-diffusion", local_files_only=True)
    path = out / FIGURES_FILE
    before = json.loads(path.read_bytes()) if path.exists() else {}
    figures: Figures = {name: value for name, value in before.items() if name.startswith("steps ")}
    figures |= {f"steps {state.stem}": steps_done(state) for state in sorted(states.glob("*.safetensors"))}
    figures |= classifier_figures(classifier, seed)
    figures |= autoencoder_figures(pipeline, code, seed)
    figures |= captioner_figures(out / "blip", seed)
    figures |= language_figures(out / "gpt2", seed)
    for guidance in PICTURES:
        figures |= generator_figures(classifier, guidance, out, seed)
    figures |= image_to_image_figures(classifier, out, seed)
    for name, value in figures.items():
        say(f"{name}: {value:.4g}")
    replace_file(path, (json.dumps(figures, indent=2) + "\n").encode())
    return figures


def held_out(domain: str, count: int, seed: int) -> tuple[np.ndarray, np.ndarray, list[Scene]]:
    """Return pictures (N, 64, 64, 3), label indices and scenes that no training set holds, classes in turn."""
    wanted = [
        sample_scene(item_seed(seed, f"held-out-{domain}", str(i)), domain, LABELS[i % len(LABELS)])
        for i in range(count)
    ]
    truth = np.array([LABELS.index(scene.label) for scene in wanted])
    return np.stack([render(scene, 64) for scene in wanted]), truth, wanted


def agreement(seen: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Return the share of equal labels, and of equal equipment: labels come in pairs, so that is the index halved."""
    return float((seen == truth).mean()), float((seen // 2 == truth // 2).mean())


def classifier_figures(classifier: nn.Module, seed: int) -> Figures:
    """Measure how far to trust the classifier: its accuracy on renders of both domains."""
    figures: Figures = {}
    for domain in ("catalogue", "station"):
        images, truth, _ = held_out(domain, 600, seed)
        figures[f"judge accuracy {domain}"] = agreement(classified(classifier, images), truth)[0]
    return figures


def decibels(pixels: torch.Tensor, truth: torch.Tensor) -> float:
    """Return the peak signal-to-noise ratio of pictures in -1..1 (peak to peak 2), in dB."""
    return 10 * math.log10(4 / float((pixels.clamp(-1, 1) - truth).square().mean()))


def autoencoder_figures(pipeline: StableDiffusionPipeline, code: PatchCode, seed: int) -> Figures:
    """Measure the reconstruction from the exact codes and from those of the encoder."""
    truth = as_pixels(held_out("catalogue", 240, seed)[0])
    exact = pipeline.vae.decode(code.encode(truth)).sample
    whole = pipeline.vae.decode(pipeline.vae.encode(truth).latent_dist.mean).sample
    return {"vae decoder psnr dB": decibels(exact, truth), "vae round trip psnr dB": decibels(whole, truth)}


def _painter(out: Path, guidance: float) -> Models:
    preset = PRESETS["mini"]
    section = replace(preset.generate, model=str(out / "stable-diffusion"), guidance=guidance)
    return Models(replace(preset, device="cpu", generate=section))


def generator_figures(classifier: nn.Module, guidance: float, out: Path, seed: int) -> Figures:
    """Measure class and equipment agreement of the pictures painted for each label's short prompt."""
    painter, count = _painter(out, guidance).painter, PICTURES[guidance]
    rows, seen = [], []
    for label in LABELS:
        orders = [Order(short_prompt(label), item_seed(seed, label, str(number))) for number in range(count)]
        frames = np.stack(_painted(painter, orders, "text2img"))
        rows.append(frames)
        seen.append(classified(classifier, frames))
    if guidance == SHEET_GUIDANCE:
        _write_sheet(out / SHEET_FILE, rows, seed)
    return _agreements(f"text2img {{}} agreement cfg {guidance} n {count * len(LABELS)}", seen, count)


def image_to_image_figures(classifier: nn.Module, out: Path, seed: int) -> Figures:
    """Measure the agreement of pictures that start from held-out station renders."""
    images, truth, _ = held_out("station", SOURCES_PER_CLASS * len(LABELS), seed)
    painter = _painter(out, SHEET_GUIDANCE).painter
    figures: Figures = {}
    for strength in STRENGTHS:
        seen = []
        for index, label in enumerate(LABELS):
            sources = images[truth == index]
            orders = [Order(short_prompt(label), item_seed(seed, label, str(n)), s) for n, s in enumerate(sources)]
            seen.append(classified(classifier, np.stack(_painted(painter, orders, f"img2img-{strength}"))))
        name = f"img2img {{}} agreement strength {strength} cfg {SHEET_GUIDANCE}"
        figures |= _agreements(name, seen, SOURCES_PER_CLASS)
    return figures


def _painted(painter: Painter, orders: list[Order], method: str) -> list[Frame]:
    """Paint with the plain model, which has no safety filter that could blank a picture."""
    return [frame for frame in painter.paint(orders, parse_method(method), None) if frame is not None]


def _agreements(name: str, seen: list[np.ndarray], per_class: int) -> Figures:
    named, kind = agreement(np.concatenate(seen), np.arange(len(LABELS)).repeat(per_class))
    return {name.format("class"): named, name.format("equipment"): kind}


def _write_sheet(path: Path, generated: list[np.ndarray], seed: int) -> None:
    """Write one row per label: catalogue renders, station renders, generated pictures."""
    catalogue, station, made = SHEET_COLUMNS
    columns = []
    for domain, count in (("catalogue", catalogue), ("station", station)):
        images, truth, _ = held_out(domain, count * len(LABELS), seed)
        columns.append([np.hstack(list(images[truth == index])) for index in range(len(LABELS))])
    columns.append([np.hstack(list(frames[:made])) for frames in generated])
    sheet = np.vstack([np.hstack(list(row)) for row in zip(*columns, strict=True)])
    replace_file(path, encode_jpeg(cv2.resize(sheet, None, fx=1.5, fy=1.5), 88))


def captioner_figures(folder: Path, seed: int) -> Figures:
    """Measure how many unprompted captions name the class, or its equipment, and what they say of each attribute."""
    model = BlipForConditionalGeneration.from_pretrained(folder, local_files_only=True).eval()
    processor = BlipProcessor.from_pretrained(folder, local_files_only=True)
    figures: Figures = {}
    for domain in ("catalogue", "station"):
        images, _, wanted = held_out(domain, CAPTIONS, seed)
        inputs = processor(images=list(np.ascontiguousarray(images[..., ::-1])), return_tensors="pt")
        texts = processor.batch_decode(model.generate(**inputs, max_new_tokens=32), skip_special_tokens=True)
        named = [(text, phrase(scene.label)) for text, scene in zip(texts, wanted, strict=True)]
        figures[f"blip class mention {domain}"] = _share(name in text for text, name in named)
        figures[f"blip equipment mention {domain}"] = _share(name.split()[-1] in text for text, name in named)
        figures |= _attribute_figures(texts, wanted, domain)
    return figures


def _attribute_figures(texts: list[str], wanted: list[Scene], domain: str) -> Figures:
    """Measure, per attribute, the share of captions that name it and the share of these clauses that is true."""
    attributes = attribute_of()
    true: dict[str, list[bool]] = {name: [] for name in attributes.values()}
    for text, scene in zip(texts, wanted, strict=True):
        for clause in _clauses(text):
            if clause in attributes:
                true[attributes[clause]].append(clause in true_clauses(scene))
    figures: Figures = {}
    for name, answers in true.items():
        figures[f"blip {name} named {domain}"] = len(answers) / len(texts)
        figures[f"blip {name} true when named {domain}"] = _share(answers) if answers else math.nan
    return figures


def _share(answers: Iterable[bool]) -> float:
    return float(np.mean(list(answers)))


def _clauses(text: str) -> list[str]:
    """Return the context clauses of a caption; WordPiece writes a space before each comma."""
    return [clause.strip() for clause in text.split(",")[1:]]


def language_figures(folder: Path, seed: int, count: int = CAPTIONS) -> Figures:
    """Measure perplexity per token on held-out captions, and form and variety of continuations and refined prompts."""
    model = GPT2LMHeadModel.from_pretrained(folder, local_files_only=True).eval()
    tokenizer = GPT2Tokenizer.from_pretrained(folder, local_files_only=True)
    captions = [describe(scene) for scene in held_out("catalogue", count, seed)[2]]
    costs, tokens = 0.0, 0
    for caption in captions:
        ids = torch.tensor([[*tokenizer.encode(caption), tokenizer.eos_token_id]])
        costs += float(model(input_ids=ids, labels=ids).loss) * (ids.shape[1] - 1)
        tokens += ids.shape[1] - 1
    torch.manual_seed(seed)
    known = {clause for caption in grammar() for clause in _clauses(caption)}
    texts = [_continued(model, tokenizer, ",".join(caption.split(",")[:2]) + ",") for caption in captions[: count // 2]]
    clauses = [_clauses(text) for text in texts]
    same_start = [_continued(model, tokenizer, f"{short_prompt(LABELS[1])}, on grass,") for _ in range(40)]
    return {
        "gpt2 perplexity": math.exp(costs / tokens),
        "gpt2 well-formed continuations": _share(set(row) <= known for row in clauses),
        "gpt2 continuations without repeats": _share(len(set(row)) == len(row) for row in clauses),
        "gpt2 distinct of 40 continuations": len(set(same_start)) / len(same_start),
        **_refine_figures(folder, seed, count // 2),
    }


def _refine_figures(folder: Path, seed: int, count: int) -> Figures:
    """Measure the class phrase before and after the rules of prompts, and the variety of the prompts (distinct-2)."""
    preset = PRESETS["mini"]
    models = Models(replace(preset, device="cpu", refine=replace(preset.refine, model=str(folder))))
    names = {phrase(label) for label in LABELS}
    kept_when_drawn: list[bool] = []
    prompts: list[tuple[str, str]] = []
    for number, scene in enumerate(held_out("catalogue", count, seed)[2]):
        own, caption = phrase(scene.label), describe(scene)
        drawn = prompt_rules.draw_variants(
            models.writer, caption, preset.refine, item_seed(seed, "refine", str(number))
        )
        wrong = [prompt_rules.objection(text, own, names - {own}, models.token_budget) for text in drawn]
        kept_when_drawn += [reason not in (prompt_rules.CLASS_LOST, prompt_rules.OTHER_CLASS) for reason in wrong]
        usable = [text for text, reason in zip(drawn, wrong, strict=True) if reason is None]
        chosen, _ = prompt_rules.choose(caption, usable, preset.refine.variants, WordOverlap())
        prompts += [(own, text) for text in chosen]
    pairs = [pair for _, text in prompts for pair in pairwise(text.replace(",", "").split())]
    return {
        "gpt2 class phrase kept before the check": _share(kept_when_drawn),
        "gpt2 class phrase kept after the check": _share(
            own in text and not any(name in text for name in names - {own}) for own, text in prompts
        ),
        "gpt2 distinct-2 of refined prompts": len(set(pairs)) / len(pairs),
    }


def _continued(model: GPT2LMHeadModel, tokenizer: GPT2Tokenizer, start: str) -> str:
    ids = torch.tensor([tokenizer.encode(start)])
    made = model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=True, max_new_tokens=30,
        pad_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    text: str = tokenizer.decode(made[0], skip_special_tokens=True)
    return text
