"""Caption, refine and generate, with the sd21 preset, on published laid out exactly as the published ones."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from safetensors.torch import load_file

from augment.models.model_folders import folder_digest
from augment.models.registry import Models
from augment.records import CAPTIONS, DATASET, PROMPTS, SYNTHETIC, RunFolder
from augment.stages import adapt, caption, generate, refine
from tests.support.made_documents import made

LABELS = {"burst_valve": 1, "sound_valve": 2}


@pytest.fixture(scope="module")
def run(published_settings, tmp_path_factory):
    """A run folder after caption, refine, adapt and generate."""
    folder, records = RunFolder(tmp_path_factory.mktemp("run")), []
    for label, count in LABELS.items():
        for number in range(count):
            path = f"{label}/{number}.png"
            image = np.random.default_rng(len(records)).integers(0, 256, (40, 60, 3), np.uint8)
            target = Path(published_settings.data.source) / path
            target.parent.mkdir(exist_ok=True)
            cv2.imwrite(str(target), image)
            records.append({"id": path, "path": path, "label": label, "split": "train", "width": 60, "height": 40})
    folder.write(made(DATASET, None, records))
    models = Models(published_settings)
    for stage in (caption, refine, adapt, generate):
        stage.run(published_settings, folder, models)
    return folder


def test_weights_arrive_under_their_published_names(published_settings, published):
    models = Models(published_settings)
    writer, pipeline = models.writer.model, models.painter.pipeline
    folder = published["stable-diffusion"]
    attention = "decoder.mid_block.attentions.0.query.weight"
    for loaded, path, name in (
        (writer.transformer.h[1].mlp.c_fc.weight, published["gpt2"] / "model.safetensors", "h.1.mlp.c_fc.weight"),
        (writer.lm_head.weight, published["gpt2"] / "model.safetensors", "wte.weight"),
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


def test_captions_begin_with_the_class_and_name_the_model(run, published):
    document = run.require(CAPTIONS)
    assert [
        record.caption.startswith(f"a photo of a {record.label.replace('_', ' ')}") for record in document.records
    ] == [True] * 3
    assert document.inputs.models["captioner"] == {"name": "blip", "sha256": folder_digest(published["blip"])}


def test_prompts_keep_the_class_and_fit_the_text_encoder(run, published_settings):
    document = run.require(PROMPTS)
    assert Models(published_settings).token_budget.limit == 77
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
