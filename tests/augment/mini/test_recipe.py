"""The recipe: a killed and resumed training ends with the weights of an uninterrupted one."""

import itertools
import json
from dataclasses import dataclass

import pytest
import torch
from safetensors.torch import load_file

from augment.mini.assemble import assemble
from augment.mini.recipe import Recipe, run, schedules
from augment.training.resumable import Schedule, steps_done
from tests.support.drawn_run import Killed

TINY = Schedule(steps=3, batch=2, rate=1e-3, warmup=1)
STAGES = ("corpus", "judge", "diffusion", "decoder", "encoder", "captioner", "language")


def tiny(work, save_seconds=1e9, kind=Recipe, **options):
    plan = dict.fromkeys(schedules(1), TINY)
    return kind(work, plan, images=24, seed=5, say=lambda line: None, save_seconds=save_seconds, **options)


@dataclass(frozen=True)
class DyingRecipe(Recipe):
    """Stops dead before step `dies_at` of stage `dies_in`."""

    dies_in: str = ""
    dies_at: int = 0

    def fit(self, stage, model, loss):
        steps = itertools.count()

        def fragile(*arguments):
            if stage == self.dies_in and next(steps) == self.dies_at:
                raise Killed
            return loss(*arguments)

        super().fit(stage, model, fragile)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Work folder of an uninterrupted tiny run."""
    torch.set_num_threads(1)
    work = tmp_path_factory.mktemp("whole")
    run(tiny(work), work / "out", STAGES)
    return work


@pytest.mark.parametrize(("stage", "step"), [("diffusion", 2), ("captioner", 1)])
def test_killed_and_resumed_equals_uninterrupted(whole, tmp_path, stage, step):
    dying = tiny(tmp_path, save_seconds=-1, kind=DyingRecipe, dies_in=stage, dies_at=step)
    with pytest.raises(Killed):
        run(dying, tmp_path / "out", ("corpus", stage))
    assert steps_done(tmp_path / "states" / f"{stage}.safetensors") == step
    run(tiny(tmp_path, save_seconds=-1), tmp_path / "out", ("corpus", stage))
    expected = load_file(whole / "states" / f"{stage}.safetensors")
    resumed = load_file(tmp_path / "states" / f"{stage}.safetensors")
    assert expected.keys() == resumed.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensor, resumed[name]), name


def test_assembled_folders_are_small_and_complete(whole):
    out = whole / "checkpoints"
    assemble(whole / "states", out)
    names = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert {
        "stable-diffusion/model_index.json",
        "stable-diffusion/unet/diffusion_pytorch_model.safetensors",
        "stable-diffusion/vae/diffusion_pytorch_model.safetensors",
        "stable-diffusion/text_encoder/model.safetensors",
        "stable-diffusion/scheduler/scheduler_config.json",
        "blip/model.safetensors",
        "gpt2/model.safetensors",
    } <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl"))]
    assert sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) < 25e6
    assert json.loads((out / "blip" / "config.json").read_text())["dtype"] == "float32"


def test_minutes_become_steps():
    """100 minutes, 60 % of them for diffusion at 50 pictures a second in batches of 32: 3600 * 50 / 32."""
    assert schedules(100)["diffusion"].steps == 5625
