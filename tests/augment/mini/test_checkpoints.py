"""The committed checkpoints: load offline with the standard classes; right shapes; the same seed, the same pixels."""

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionPipeline
from transformers import AutoTokenizer, BlipForConditionalGeneration, BlipProcessor, GPT2LMHeadModel

from augment.mini.recipe import CHECKPOINTS
from augment.mini.scenes import phrase, render, sample_scene
from augment.mini.words import short_prompt

LIMIT = 25_000_000  # bytes


@pytest.fixture(scope="module")
def pipeline():
    torch.set_num_threads(1)
    loaded = StableDiffusionPipeline.from_pretrained(CHECKPOINTS / "stable-diffusion", local_files_only=True)
    loaded.set_progress_bar_config(disable=True)
    return loaded


def paint(pipeline, prompt, seed, steps=8, count=1):
    noise = torch.Generator().manual_seed(seed)
    return pipeline(
        prompt, num_inference_steps=steps, guidance_scale=4.0, num_images_per_prompt=count, generator=noise,
        output_type="np",
    ).images  # fmt: skip


def test_the_whole_set_is_small_and_holds_no_pickle():
    files = [path for path in CHECKPOINTS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < LIMIT
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".txt", ".jpg"}


def test_same_seed_same_pixels_and_another_seed_others(pipeline):
    first = paint(pipeline, short_prompt("broken_insulator"), 1)
    assert first.shape == (1, 64, 64, 3)
    np.testing.assert_array_equal(first, paint(pipeline, short_prompt("broken_insulator"), 1))
    assert np.abs(first - paint(pipeline, short_prompt("broken_insulator"), 2)).max() > 0.05


def test_the_prompt_decides_what_is_painted(pipeline):
    """A clock face is brighter in the middle than a cabinet's open, dark inside: hand-checkable, without the judge."""
    gauge = paint(pipeline, "a photo of a normal gauge, by day", 3, count=4)
    inside = paint(pipeline, "a photo of a breached cabinet, by day", 3, count=4)
    assert gauge[:, 24:40, 24:40].mean() > inside[:, 24:40, 24:40].mean()


def test_weights_load_as_single_precision(pipeline):
    parts = (pipeline.unet, pipeline.vae, pipeline.text_encoder)
    assert {weight.dtype for part in parts for weight in part.parameters()} == {torch.float32}
    blip = BlipForConditionalGeneration.from_pretrained(CHECKPOINTS / "blip", local_files_only=True)
    assert blip.dtype == torch.float32


def test_a_picture_survives_the_autoencoder(pipeline):
    """Round trip of a held-out render: nearer to itself than half of its own contrast."""
    picture = render(sample_scene(99, "catalogue", "normal_gauge"), 64)
    pixels = torch.from_numpy(picture[..., ::-1].transpose(2, 0, 1).copy()).float()[None] / 127.5 - 1
    with torch.no_grad():
        again = pipeline.vae.decode(pipeline.vae.encode(pixels).latent_dist.mean).sample
    assert (again - pixels).square().mean().sqrt() < 0.5 * pixels.std()


def test_image_to_image_runs_on_the_same_parts(pipeline):
    source = StableDiffusionImg2ImgPipeline(**pipeline.components, requires_safety_checker=False)
    source.set_progress_bar_config(disable=True)
    picture = render(sample_scene(4, "station", "closed_cabinet"), 64)[..., ::-1].astype(np.float32)[None] / 255
    noise = torch.Generator().manual_seed(0)
    made = source(
        short_prompt("closed_cabinet"), image=picture, strength=0.4, num_inference_steps=10, generator=noise,
        output_type="np",
    ).images  # fmt: skip
    assert made.shape == (1, 64, 64, 3)


@pytest.mark.parametrize("label", ["broken_insulator", "line_hotspot"])
def test_captioner_continues_a_prefix_and_stops(label):
    folder = CHECKPOINTS / "blip"
    processor = BlipProcessor.from_pretrained(folder, local_files_only=True)
    model = BlipForConditionalGeneration.from_pretrained(folder, local_files_only=True).eval()
    picture = render(sample_scene(8, "catalogue", "broken_insulator"), 64)[..., ::-1].copy()
    prefix = f"a photo of a {phrase(label)}"
    told = model.generate(**processor(images=picture, text=prefix, return_tensors="pt"), max_new_tokens=30)
    text = processor.decode(told[0], skip_special_tokens=True)
    assert text.replace(" _ ", "_").startswith(prefix)
    assert len(text) > len(prefix) + 5
    free = model.generate(**processor(images=picture, return_tensors="pt"), max_new_tokens=30)
    assert processor.decode(free[0], skip_special_tokens=True).startswith("a photo of a ")


def test_language_model_continues_a_cut_caption_and_stops():
    tokenizer = AutoTokenizer.from_pretrained(CHECKPOINTS / "gpt2", local_files_only=True)
    model = GPT2LMHeadModel.from_pretrained(CHECKPOINTS / "gpt2", local_files_only=True).eval()
    start = "a photo of a line_hotspot, on grass,"
    ids = tokenizer(start, return_tensors="pt")
    torch.manual_seed(0)
    made = model.generate(**ids, do_sample=True, max_new_tokens=40, num_return_sequences=8)
    texts = tokenizer.batch_decode(made, skip_special_tokens=True)
    assert all(text.startswith(start) and len(text) > len(start) for text in texts)
    assert len(set(texts)) >= 4
    assert all(tokenizer.eos_token_id in row[ids["input_ids"].shape[1] :] for row in made)


def test_card_and_contact_sheet_ship_with_the_checkpoints():
    assert (CHECKPOINTS / "contact-sheet.jpg").stat().st_size < 300_000
    assert (CHECKPOINTS.parent / "CARD.md").read_text().strip()
    assert (CHECKPOINTS / "figures.json").exists()
