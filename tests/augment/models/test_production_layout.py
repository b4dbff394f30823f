"""Caption, refine and generate, with the sd21 preset, on checkpoints laid out exactly as the published ones."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from safetensors.torch import load_file

from augment.methods import parse_method
from augment.models.interfaces import Order
from augment.models.model_folders import find_model, folder_digest
from augment.models.registry import Models
from augment.presets import PRESETS
from augment.records import CAPTIONS, DATASET, PROMPTS, SYNTHETIC, RunFolder
from augment.settings import DataSettings
from augment.stages import adapt, caption, generate, refine
from augment.training.lora import Adaptation
from edge_runtime.bundle.errors import InputError
from tests.support import published_layout
from tests.support.made_documents import made

LABELS = {"burst_valve": 1, "sound_valve": 2}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    place = tmp_path_factory.mktemp("published")
    return {
        "blip": published_layout.write_blip(place / "blip"),
        "gpt2": published_layout.write_gpt2(place / "gpt2"),
        "stable-diffusion": published_layout.write_stable_diffusion(place / "stable-diffusion"),
    }


@pytest.fixture(scope="module")
def settings(checkpoints, tmp_path_factory):
    preset, images = PRESETS["sd21"], tmp_path_factory.mktemp("images")
    return replace(
        preset,
        device="cpu",
        data=DataSettings(source=str(images)),
        caption=replace(preset.caption, model=str(checkpoints["blip"]), max_new_tokens=6),
        refine=replace(
            preset.refine,
            model=str(checkpoints["gpt2"]),
            meaning="lexical",
            variants=1,
            attempts=2,
            rounds=1,
            max_new_tokens=8,
        ),
        generate=replace(
            preset.generate, model=str(checkpoints["stable-diffusion"]), steps=2, methods=("text2img", "img2img-0.5")
        ),
    )


@pytest.fixture(scope="module")
def run(settings, tmp_path_factory):
    """A run folder after caption, refine, adapt and generate."""
    folder, records = RunFolder(tmp_path_factory.mktemp("run")), []
    for label, count in LABELS.items():
        for number in range(count):
            path = f"{label}/{number}.png"
            image = np.random.default_rng(len(records)).integers(0, 256, (40, 60, 3), np.uint8)
            target = Path(settings.data.source) / path
            target.parent.mkdir(exist_ok=True)
            cv2.imwrite(str(target), image)
            records.append({"id": path, "path": path, "label": label, "split": "train", "width": 60, "height": 40})
    folder.write(made(DATASET, None, records))
    models = Models(settings)
    for stage in (caption, refine, adapt, generate):
        stage.run(settings, folder, models)
    return folder


def test_blip_as_published_is_a_pickle_and_the_error_says_what_to_do(tmp_path, monkeypatch):
    published = published_layout.write_blip_as_published(tmp_path / "blip")
    with pytest.raises(InputError, match="save_pretrained"):
        find_model(str(published), "blip")
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *names, **options: str(published))
    with pytest.raises(InputError, match="save_pretrained"):
        find_model(PRESETS["sd21"].caption.model, "blip")


def test_weights_arrive_under_their_published_names(settings, checkpoints):
    models = Models(settings)
    writer, pipeline = models.writer.model, models.painter.pipeline
    folder = checkpoints["stable-diffusion"]
    attention = "decoder.mid_block.attentions.0.query.weight"
    for loaded, path, name in (
        (writer.transformer.h[1].mlp.c_fc.weight, checkpoints["gpt2"] / "model.safetensors", "h.1.mlp.c_fc.weight"),
        (writer.lm_head.weight, checkpoints["gpt2"] / "model.safetensors", "wte.weight"),
        (
            pipeline.text_encoder.get_input_embeddings().weight,
            folder / "text_encoder/model.safetensors",
            "text_model.embeddings.token_embedding.weight",
        ),
        (
            pipeline.vae.decoder.mid_block.attentions[0].to_q.weight,
            folder / "vae/diffusion_pytorch_model.safetensors",
            attention,
        ),
    ):
        np.testing.assert_array_equal(loaded.detach(), load_file(path)[name], err_msg=name)


def test_captions_begin_with_the_class_and_name_the_model(run, checkpoints):
    document = run.require(CAPTIONS)
    assert [
        record.caption.startswith(f"a photo of a {record.label.replace('_', ' ')}") for record in document.records
    ] == [True] * 3
    assert document.inputs.models["captioner"] == {"name": "blip", "sha256": folder_digest(checkpoints["blip"])}


def test_blip_starts_its_decoder_with_the_published_begin_token(checkpoints, settings):
    model = Models(settings).captioner.model
    assert model.config.text_config.bos_token_id == 30522
    assert model.config.vision_config.image_size == 384
    assert model.decoder_input_ids == 30522


def test_prompts_keep_the_class_and_fit_the_text_encoder(run, settings):
    document = run.require(PROMPTS)
    assert Models(settings).token_budget.limit == 77
    for record in document.records:
        assert record.label.replace("_", " ") in record.prompt
        assert record.tokens <= 77
    assert {role: identity["name"] for role, identity in document.inputs.models.items()} == {
        "writer": "gpt2", "text_encoder": "stable-diffusion", "meaning": "lexical"
    }  # fmt: skip


def test_images_have_the_models_768_pixels_by_both_methods(run):
    document = run.require(SYNTHETIC)
    assert [(r.label, r.method) for r in sorted(document.records, key=lambda r: r.method)] == [
        ("burst_valve", "img2img-0.5"),
        ("burst_valve", "text2img"),
    ]
    for record in document.records:
        assert cv2.imread(str(run.path / record.path)).shape == (768, 768, 3)


def test_the_sampler_keeps_what_the_published_scheduler_says(settings):
    painter = Models(settings).painter
    config = painter.pipeline.scheduler.config
    assert type(painter.pipeline.scheduler).__name__ == "DPMSolverMultistepScheduler"
    assert (config.prediction_type, config.beta_schedule, config.steps_offset) == ("v_prediction", "scaled_linear", 1)
    assert painter.pipeline.text_encoder.config.hidden_act == "gelu"
    assert painter.pipeline.unet.config.use_linear_projection
    assert painter.side == 768
    assert painter.pipeline.vae.config.scaling_factor == 0.18215


def test_an_adapter_trains_on_this_layout_and_the_painter_takes_it(settings, checkpoints, tmp_path):
    adaptation = Adaptation(
        checkpoints["stable-diffusion"], "cpu", replace(settings.adapt, rank=2, batch_size=1), seed=0
    )
    latents = adaptation.encode(np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8))
    assert latents.shape == (2, 4, 8, 8)
    adaptation.loss(latents, ["one", "two"])(adaptation.model, np.random.default_rng(0)).backward()
    gained = [weight.grad for weight in adaptation.model.parameters() if weight.requires_grad]
    assert any(gradient.abs().max() > 0 for gradient in gained)
    for weight in (weight for weight in adaptation.model.parameters() if weight.requires_grad):
        weight.data += 0.5  # an adapter that shows
    adaptation.save(tmp_path / "adapter")
    painter = Models(replace(settings, generate=replace(settings.generate, size=64))).painter
    plain, adapted, again = (
        painter.paint([Order("a valve", 1)], parse_method("text2img"), adapter)[0]
        for adapter in (None, tmp_path / "adapter", None)
    )
    assert np.abs(plain.astype(int) - adapted).max() > 10
    np.testing.assert_allclose(again.astype(int), plain, atol=1)  # grey levels; the embedded model's are equal


def test_inpainting_leaves_what_the_mask_leaves_with_four_latent_channels(settings):
    painter = Models(replace(settings, generate=replace(settings.generate, size=64))).painter
    frame = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    half = np.zeros((64, 64), bool)
    half[:, :20] = True  # two and a half cells of the codec
    codec = painter.paint([Order("a valve", 1, frame)], parse_method("codec"), None)[0].astype(int)
    kept, painted = (
        painter.paint([Order("a valve", 1, frame, mask)], parse_method("inpaint-0.9"), None)[0].astype(int)
        for mask in (np.zeros_like(half), half)
    )
    np.testing.assert_allclose(kept, codec, atol=1)  # grey levels: the last step leaves no noise
    assert np.abs(painted - codec)[:, :20].max() > 3
