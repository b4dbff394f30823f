"""What runs in FP16 on a GPU: the models that caption, write and paint, and training.

What a processor can show of it is shown there: FP16 computes on it too, slowly. Tests marked `gpu` use the GPU.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from augment.methods import parse_method
from augment.models.interfaces import Order
from augment.models.registry import Models
from augment.presets import PRESETS
from augment.settings import Settings
from augment.training.finetune import Trainer, completed, fit
from augment.training.lora import Adaptation
from tests.support.drawn_run import DiesAtStep, Killed, tiny_task

CAPTION = "a photo of a valve"
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


class Dying(DiesAtStep, Trainer):
    dies_at = 5  # after the looks at steps 2 and 4


def mini(device: str, **generate: object) -> Settings:
    preset = PRESETS["mini"]
    return replace(preset, device=device, generate=replace(preset.generate, steps=4, **generate))


def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


@pytest.mark.parametrize("device", DEVICES)
def test_half_precision_writes_what_whole_precision_writes(device):
    whole, half = (Models(mini(device), half=half) for half in (False, True))
    assert half.captioner.caption([picture()], CAPTION) == whole.captioner.caption([picture()], CAPTION)
    texts = [models.writer.continuations(CAPTION, 4, 1) for models in (whole, half)]
    assert sum(one == other for one, other in zip(*texts, strict=True)) >= 2  # a near draw may turn over


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("method", ["text2img", "img2img-0.5", "inpaint-0.9", "codec"])
def test_half_precision_paints_what_whole_precision_paints(device, method):
    mask = np.zeros((64, 64), bool)
    mask[16:48, 16:48] = True
    order = Order(CAPTION, 1, picture(), mask)
    whole, half = (
        Models(mini(device), half=half).painter.paint([order], parse_method(method), None)[0] for half in (False, True)
    )
    assert whole.any()
    assert np.abs(whole.astype(int) - half).mean() < 4  # grey levels


@pytest.mark.parametrize("device", DEVICES)
def test_an_adapter_of_fp32_weights_paints_in_half_precision(device, tmp_path):
    models = Models(mini(device), half=True)
    adaptation = Adaptation(models.painter_folder.path, device, replace(PRESETS["mini"].adapt, batch_size=2), 0)
    latents = adaptation.encode(np.stack([picture(), picture()]))
    loss = adaptation.loss(latents, [CAPTION, CAPTION])(adaptation.model, np.random.default_rng(0))
    loss.backward()
    assert torch.isfinite(loss)
    adaptation.save(tmp_path)
    order, method = Order(CAPTION, 1), parse_method("text2img")
    adapted, plain = (models.painter.paint([order], method, adapter)[0] for adapter in (tmp_path, None))
    assert np.abs(adapted.astype(int) - plain).mean() < 4  # a fresh adapter changes nothing


@pytest.mark.gpu
@pytest.mark.parametrize("low_memory", ["slicing", "offload"])
@pytest.mark.parametrize("method", ["text2img", "inpaint-0.9"])
def test_a_painter_short_of_memory_paints_the_same(low_memory, method):
    order = Order(CAPTION, 1, picture(), np.ones((64, 64), bool))
    kept, spare = (
        Models(mini("cuda", low_memory=how)).painter.paint([order], parse_method(method), None)[0]
        for how in ("off", low_memory)
    )
    assert np.abs(kept.astype(int) - spare).mean() < 1


@pytest.mark.gpu
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_killed_training_on_a_gpu_goes_on(optimizer, tmp_path):
    task, frames = tiny_task(tmp_path, "combined", synthetic_norm=True, ema=0.9, mixup=0.2, optimizer=optimizer)
    whole = fit(task, frames, tmp_path / "whole", "cuda")
    with pytest.raises(Killed):
        completed(tmp_path / "killed", task, lambda: Dying(task, frames, "cuda"))
    assert fit(task, frames, tmp_path / "killed", "cuda").steps == whole.steps


@pytest.mark.gpu
def test_a_gpu_and_the_processor_begin_a_training_alike(tmp_path):
    losses = [Trainer(*tiny_task(tmp_path / device, "real"), device).step(0).item() for device in ("cpu", "cuda")]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)  # FP16
