"""The resumable loop: numbers from paper, and a kill that changes nothing, whatever the layout of the weights."""

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from augment.training.resumable import (
    Schedule,
    load_average,
    load_state,
    optimizer_tensors,
    restore_optimizer,
    save_state,
    steps_done,
    train,
)
from tests.support.drawn_run import Killed


def test_training_follows_the_gradient_and_the_average_lags_behind(tmp_path):
    """One weight, loss = weight: each AdamW step of rate r moves it down by r."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    path = tmp_path / "one.safetensors"
    schedule = Schedule(steps=2, batch=1, rate=0.5, warmup=1, decay=0.0, average=0.5)
    train(path, model, lambda m, rng: m.weight.sum(), schedule, 0, lambda line: None)
    state = load_file(path)
    assert state["model.weight"].item() == pytest.approx(-1.0, abs=1e-4)
    # the average keeps min(.5, 1/10) of the past at step 0 and min(.5, 2/11) at step 1: -.45, then -.45*2/11 - 1*9/11
    assert state["average.weight"].item() == pytest.approx(-0.45 * 2 / 11 - 9 / 11, abs=1e-4)
    assert load_average(path, nn.Linear(1, 1, bias=False)).weight.item() == pytest.approx(model.weight.item())


def test_learning_rate_rises_holds_and_falls():
    schedule = Schedule(steps=100, batch=1, rate=1.0, warmup=10, decay=0.5)
    assert [schedule.rate_at(step) for step in (0, 9, 40)] == [0.1, 1.0, 1.0]
    assert schedule.rate_at(75) == pytest.approx(0.5)
    assert schedule.rate_at(100) == 0.02


def convolution(layout: torch.memory_format) -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3)).to(memory_format=layout)


def squared_output(dies_at: int):
    """The loss of a convolution; the training is killed in its call number `dies_at`."""
    calls = iter(range(1000))

    def loss(model, rng):
        if next(calls) == dies_at:
            raise Killed
        images = torch.from_numpy(rng.standard_normal((2, 3, 8, 8), "float32"))
        return model(images.contiguous(memory_format=torch.channels_last)).square().mean()

    return loss


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_killed_training_ends_with_the_same_bytes(layout, tmp_path):
    schedule = Schedule(steps=6, batch=2, rate=0.01, warmup=1)
    arguments = (schedule, 0, lambda line: None, -1)  # saved after every step
    train(tmp_path / "whole", convolution(layout), squared_output(-1), *arguments)
    with pytest.raises(Killed):
        train(tmp_path / "killed", convolution(layout), squared_output(3), *arguments)
    assert steps_done(tmp_path / "killed") == 3
    train(tmp_path / "killed", convolution(layout), squared_output(-1), *arguments)
    assert (tmp_path / "killed").read_bytes() == (tmp_path / "whole").read_bytes()


def test_a_state_comes_back_as_it_was_saved(tmp_path):
    groups = {"model": {"a.weight": torch.ones(2)}, "best": {"a.weight": torch.zeros(2)}}
    save_state(tmp_path / "state", groups, {"progress": "half"})
    found, texts = load_state(tmp_path / "state")
    assert texts == {"progress": "half"}
    assert {group: named["a.weight"].tolist() for group, named in found.items()} == {
        "model": [1, 1],
        "best": [0, 0],
    }


def test_moments_are_laid_out_in_memory_as_their_weights():
    def stepped(model):
        optimizer = torch.optim.AdamW(model.parameters(), fused=True)
        torch.autograd.backward(model(torch.ones(1, 3, 8, 8)).sum())
        optimizer.step()
        return optimizer

    model = convolution(torch.channels_last)
    optimizer = stepped(model)
    plain = {name: tensor.contiguous() for name, tensor in optimizer_tensors(optimizer).items()}
    restored = torch.optim.AdamW(model.parameters(), fused=True)
    restore_optimizer(restored, plain)
    for parameter in model.parameters():
        for moment in ("exp_avg", "exp_avg_sq"):
            found, expected = restored.state[parameter][moment], optimizer.state[parameter][moment]
            assert torch.equal(found, expected)
            assert found.stride() == parameter.stride()
