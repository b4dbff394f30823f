"""The training options at work in `fit`: off they change nothing, on they do what they say and survive a kill."""

import copy
import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch.nn import functional

from augment.settings import TrainSettings
from augment.stages import train
from augment.training import finetune as fitting
from augment.training.arms import parse_arm
from augment.training.ema import average_decay, average_into, norm_state
from augment.training.finetune import _Trainer, batch_positions, learning_rate
from augment.training.image_transforms import random_views
from export.checkpoint import load_checkpoint
from export.network import BACKBONES, build_network, normalise
from tests.augment.stages.test_train import Killed, files, short
from tests.support.drawn_run import tiny_run

EVERYTHING = {
    "views": "rand",
    "mixup": 0.2,
    "cutmix": 1.0,
    "balance": "softmax",
    "ema": 0.9,
    "replace": 0.5,
    "real_last": 0.4,
    "synthetic_norm": True,
}


def trainer(folder: Path, arm: str, **changed: object) -> _Trainer:
    """A training of `arm` that has not begun."""
    settings, run = tiny_run(folder)
    settings = short(settings, arms=(arm,), **changed)
    arms = [parse_arm(arm, settings.generate.methods)]
    material = train.gather(run.require("dataset"), run.require("curation"), arms)
    build, initial = train.initial_network(settings, len(material.labels))
    task = train.plan(settings, material, arms[0], 0, initial, build)
    return _Trainer(task, train._frames(settings, run, material), "cpu")


def generated(training: _Trainer, step: int) -> np.ndarray:
    """Which images of a step a model made."""
    return training.task.generated[training._positions(training._pool_at(step), step)]


@pytest.mark.parametrize("arm", ["real", "combined"])
def test_with_everything_off_the_first_step_is_plain_cross_entropy(arm, tmp_path):
    training = trainer(tmp_path, arm)
    examples = training.task.training
    positions = batch_positions(len(examples.rows), 8, 0, lambda turn: training._seed(f"order/{turn}"))
    images = normalise(torch.from_numpy(training.frames[examples.rows[positions]]))
    views = random_views(images, torch.Generator().manual_seed(training._seed("views/0")))
    network = training.task.build().to(memory_format=torch.channels_last).train()
    logits = network(views.contiguous(memory_format=torch.channels_last))
    expected = functional.cross_entropy(logits, torch.from_numpy(examples.targets[positions]), label_smoothing=0.1)
    training._step(0)
    assert torch.equal(training.losses[0], expected.detach())


@pytest.mark.parametrize(
    "option",
    [
        {"views": "trivial"},
        {"views": "rand"},
        {"mixup": 0.2},
        {"cutmix": 1.0},
        {"balance": "softmax"},
        {"replace": 0.9},
        {"synthetic_norm": True},
        {"real_last": 1.0},
    ],
    ids=str,
)
def test_every_option_reaches_the_loss(option, tmp_path):
    plain, changed = trainer(tmp_path / "plain", "combined"), trainer(tmp_path / "changed", "combined", **option)
    plain._step(0)
    changed._step(0)
    assert not torch.equal(plain.losses[0], changed.losses[0])


def test_a_balanced_arm_takes_trivial_augment_whatever_the_views(tmp_path):
    losses = []
    for views in ("mild", "rand", "trivial"):
        training = trainer(tmp_path / views, "real+balanced", views=views)
        training._step(0)
        losses.append(training.losses[0].item())
    assert losses[0] == losses[1] == losses[2]


def test_priors_are_those_of_the_images_that_the_arm_draws(tmp_path):
    def priors(arm: str, **changed: object) -> list[float]:
        found = trainer(tmp_path / arm, arm, balance="softmax", **changed)
        return [*found.pool.margin.exp().tolist(), *found.last_pool.margin.exp().tolist()]

    real = [4 / 28, 12 / 28, 12 / 28]
    assert priors("real") == pytest.approx(real + real)
    assert priors("combined") == pytest.approx([12 / 40, 14 / 40, 14 / 40, *real])
    assert priors("real+balanced") == pytest.approx([1 / 3] * 6)
    assert priors("combined+balanced", replace=0.5) == pytest.approx([1 / 3] * 6)


def test_the_average_of_the_weights_is_what_is_looked_at_and_kept(tmp_path):
    training = trainer(tmp_path, "real", ema=0.99, steps=3, evaluate_every=3)
    expected = copy.deepcopy(training.network)
    for step in range(3):
        training._step(step)
        average_into(expected, training.network, average_decay(0.99, step))
    training.progress.step = 3
    training._look()
    raw = training.network.state_dict()
    for name, tensor in expected.state_dict().items():
        assert torch.equal(training.best[name], tensor)
    assert not torch.equal(training.best["bn1.running_mean"], raw["bn1.running_mean"])
    (tmp_path / "done").mkdir()
    training.finish(tmp_path / "done")
    network, _ = load_checkpoint(tmp_path / "done")
    assert torch.equal(network.fc.weight, expected.fc.weight)


def test_replacement_keeps_the_steps_on_every_class(tmp_path):
    real, mixed = trainer(tmp_path / "real", "real"), trainer(tmp_path / "mixed", "combined", replace=0.5)
    shares = []
    for step in range(8):
        asked, given = (one._positions(one.pool, step) for one in (real, mixed))
        targets = mixed.task.training.targets[given]
        assert targets.tolist() == real.task.training.targets[asked].tolist()
        shares.append(mixed.task.generated[given].mean())
    assert 0.3 < np.mean(shares) < 0.7


@pytest.mark.parametrize("option", [{}, {"replace": 1.0}], ids=["pool", "replace"])
def test_the_last_steps_see_real_images_only(option, tmp_path):
    training = trainer(tmp_path, "combined", steps=10, real_last=0.3, **option)
    shares = [generated(training, step).mean() for step in range(10)]
    assert np.mean(shares[:7]) > 0.1
    assert max(shares[7:]) == 0


def test_an_arm_of_one_kind_has_no_last_steps(tmp_path):
    training = trainer(tmp_path, "synthetic", real_last=0.5)
    assert training.pool.places.tolist() == training.last_pool.places.tolist() == list(range(12))


@pytest.mark.parametrize("backbone", sorted(BACKBONES))
def test_generated_images_do_not_move_the_statistics_that_are_kept(backbone, tmp_path):
    training = trainer(tmp_path, "combined", backbone=backbone, synthetic_norm=True, size=64)
    network = copy.deepcopy(training.network)
    positions = training._positions(training.pool, 0)
    rows = np.flatnonzero(~training.task.generated[positions])
    assert 1 < len(rows) < len(positions) - 1
    network.train()(training._views(positions, 0)[rows].contiguous(memory_format=torch.channels_last))
    training._step(0)
    expected, found, twin = (norm_state(one) for one in (network, training.network, training.twin))
    means = [name for name in expected if name.endswith("running_mean")]
    assert all(torch.equal(found[name], expected[name]) for name in means)
    assert not any(torch.equal(found[name], twin[name]) for name in means)


def test_norms_of_their_own_end_with_the_training_and_are_trained(tmp_path):
    training = trainer(tmp_path, "combined", synthetic_norm=True, ema=0.9)
    before = copy.deepcopy(norm_state(training.twin))
    training.run(tmp_path / "state")
    (tmp_path / "done").mkdir()
    training.finish(tmp_path / "done")
    after = norm_state(training.twin)
    assert not torch.equal(after["bn1.weight"], before["bn1.weight"])
    assert not torch.equal(after["bn1.weight"], training.network.bn1.weight)
    kept = safetensors.torch.load_file(tmp_path / "done" / "model.safetensors")
    assert kept.keys() == build_network("resnet50", 3, 8).state_dict().keys()


def test_an_arm_of_one_kind_has_no_twin(tmp_path):
    assert trainer(tmp_path / "real", "real", synthetic_norm=True).twin is None
    assert trainer(tmp_path / "synthetic", "synthetic", synthetic_norm=True).twin is None


def test_a_lone_image_of_a_kind_sits_the_step_out(tmp_path):
    training = trainer(tmp_path, "combined", synthetic_norm=True)
    ((network, rows),) = training._branches(np.array([False, False, True, False]))
    assert network is training.network
    assert rows.tolist() == [0, 1, 3]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    settings, folder = tiny_run(tmp_path_factory.mktemp("whole"))
    settings = short(settings, steps=6, arms=("combined", "real+balanced"), **EVERYTHING)
    train.run(settings, folder)
    return settings, folder


@pytest.mark.parametrize("step", [1, 3, 5])
def test_a_training_with_everything_on_is_killed_and_ends_with_the_same_bytes(whole, step, tmp_path, monkeypatch):
    settings, uninterrupted = whole
    _, folder = tiny_run(tmp_path)
    settings = replace(settings, data=replace(settings.data, source=str(tmp_path / "images")))
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "learning_rate", functools.partial(dying, at=step))
        with pytest.raises(Killed):
            train.run(settings, folder)
    assert (folder.path / "training/combined/seed-0" / fitting.STATE_FILE).exists() == (step >= 2)
    train.run(settings, folder)
    assert files(folder) == files(uninterrupted)


def dying(section: TrainSettings, step: int, at: int) -> float:
    """The rate of a step, or the end of the process."""
    if step == at:
        raise Killed
    return learning_rate(section, step)
