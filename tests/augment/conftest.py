"""Checkpoints laid out exactly as the published ones, and the settings of a run on them."""

from dataclasses import replace

import pytest

from augment.presets import PRESETS
from augment.settings import DataSettings
from tests.support import published_layout


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    place = tmp_path_factory.mktemp("published")
    return {
        "blip": published_layout.write_blip(place / "blip"),
        "gpt2": published_layout.write_gpt2(place / "gpt2"),
        "stable-diffusion": published_layout.write_stable_diffusion(place / "stable-diffusion"),
    }


@pytest.fixture(scope="session")
def published_settings(published, tmp_path_factory):
    preset, images = PRESETS["sd21"], tmp_path_factory.mktemp("images")
    return replace(
        preset,
        device="cpu",
        data=DataSettings(source=str(images)),
        caption=replace(preset.caption, model=str(published["blip"]), max_new_tokens=6),
        refine=replace(
            preset.refine,
            model=str(published["gpt2"]),
            meaning="lexical",
            variants=1,
            attempts=2,
            rounds=1,
            max_new_tokens=8,
        ),
        generate=replace(
            preset.generate, model=str(published["stable-diffusion"]), steps=2, methods=("text2img", "img2img-0.5")
        ),
    )
