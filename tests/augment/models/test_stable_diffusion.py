"""The painter: the embedded one's text encoder, and a checkpoint laid out as the published one."""

from dataclasses import replace

import numpy as np

from augment.methods import parse_method
from augment.models.interfaces import Order
from augment.models.registry import Models
from augment.presets import PRESETS


def test_the_token_budget_counts_what_the_text_encoder_gets():
    budget = Models(PRESETS["mini"]).token_budget
    assert budget.limit == 32
    assert budget.tokens("") == 2
    assert budget.tokens("a photo of a valve") > budget.tokens("a photo")


def test_the_sampler_keeps_what_the_published_scheduler_says(published_settings):
    painter = Models(published_settings).painter
    config = painter.pipeline.scheduler.config
    assert type(painter.pipeline.scheduler).__name__ == "DPMSolverMultistepScheduler"
    assert (config.prediction_type, config.beta_schedule, config.steps_offset) == ("v_prediction", "scaled_linear", 1)
    assert painter.pipeline.text_encoder.config.hidden_act == "gelu"
    assert painter.pipeline.unet.config.use_linear_projection
    assert painter.side == 768
    assert painter.pipeline.vae.config.scaling_factor == 0.18215


def test_inpainting_leaves_what_the_mask_leaves_with_four_latent_channels(published_settings):
    painter = Models(replace(published_settings, generate=replace(published_settings.generate, size=64))).painter
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
