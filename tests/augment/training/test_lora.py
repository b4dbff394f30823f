"""The adapter on a checkpoint laid out as the published one."""

from dataclasses import replace

import numpy as np

from augment.methods import parse_method
from augment.models.interfaces import Order
from augment.models.registry import Models
from augment.training.lora import Adaptation


def test_an_adapter_trains_on_this_layout_and_the_painter_takes_it(published_settings, published, tmp_path):
    adaptation = Adaptation(
        published["stable-diffusion"], "cpu", replace(published_settings.adapt, rank=2, batch_size=1), seed=0
    )
    latents = adaptation.encode(np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8))
    assert latents.shape == (2, 4, 8, 8)
    adaptation.loss(latents, ["one", "two"])(adaptation.model, np.random.default_rng(0)).backward()
    gained = [weight.grad for weight in adaptation.model.parameters() if weight.requires_grad]
    assert any(gradient.abs().max() > 0 for gradient in gained)
    for weight in (weight for weight in adaptation.model.parameters() if weight.requires_grad):
        weight.data += 0.5  # an adapter that shows
    adaptation.save(tmp_path / "adapter")
    painter = Models(replace(published_settings, generate=replace(published_settings.generate, size=64))).painter
    plain, adapted, again = (
        painter.paint([Order("a valve", 1)], parse_method("text2img"), adapter)[0]
        for adapter in (None, tmp_path / "adapter", None)
    )
    assert np.abs(plain.astype(int) - adapted).max() > 10
    np.testing.assert_allclose(again.astype(int), plain, atol=1)  # grey levels; the embedded model's are equal
