"""One training: its order and rate, its options, and that a kill changes nothing."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch.nn import functional

from augment.settings import TrainSettings
from augment.training.ema import average_decay, update_average
from augment.training.finetune import STATE_FILE, Trainer, batch_positions, fit, learning_rate, repeated
from augment.training.image_transforms import random_transforms
from augment.training.split_batch_norm import norm_state
from edge_runtime.bundle.errors import InputError
from export.checkpoint import load_checkpoint
from export.network import BACKBONES, build_network, normalise
from tests.support.drawn_run import DiesAtStep, Killed, tiny_task

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


def trainer(folder: Path, arm: str, **changed: object) -> Trainer:
    """A training of `arm` that has not begun."""
    return Trainer(*tiny_task(folder, arm, **changed), "cpu")


def generated(training: Trainer, step: int) -> np.ndarray:
    """Which images of a step a model made."""
    return training.task.generated[training.positions(step)]


@pytest.mark.parametrize("arm", ["real", "combined"])
def test_with_everything_off_the_first_step_is_plain_cross_entropy(arm, tmp_path):
    training = trainer(tmp_path, arm)
    examples = training.task.training
    positions = batch_positions(len(examples.rows), 8, 0, lambda turn: training.seed(f"order/{turn}"))
    images = normalise(torch.from_numpy(training.frames[examples.rows[positions]]))
    changed = random_transforms(images, torch.Generator().manual_seed(training.seed("views/0")))
    network = training.task.build().to(memory_format=torch.channels_last).train()
    logits = network(changed.contiguous(memory_format=torch.channels_last))
    expected = functional.cross_entropy(logits, torch.from_numpy(examples.targets[positions]), label_smoothing=0.1)
    assert torch.equal(training.step(0), expected.detach())


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
    assert not torch.equal(plain.step(0), changed.step(0))


def test_a_balanced_arm_takes_trivial_augment_whatever_the_views(tmp_path):
    losses = []
    for views in ("mild", "rand", "trivial"):
        training = trainer(tmp_path / views, "real+balanced", views=views)
        losses.append(training.step(0).item())
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


def test_the_average_of_the_weights_is_what_is_measured_and_kept(tmp_path):
    training = trainer(tmp_path, "real", ema=0.99, steps=3, evaluate_every=3)
    expected = copy.deepcopy(training.network)
    for step in range(3):
        training.step(step)
        update_average(expected.state_dict(), training.network.state_dict(), average_decay(0.99, step))
    training.evaluate()
    raw = training.network.state_dict()
    for name, tensor in expected.state_dict().items():
        assert torch.equal(training.best[name], tensor)
    assert not torch.equal(training.best["bn1.running_mean"], raw["bn1.running_mean"])
    (tmp_path / "done").mkdir()
    training.finish(tmp_path / "done")
    network, _ = load_checkpoint(tmp_path / "done")
    assert torch.equal(network.fc.weight, expected.fc.weight)


def test_replacement_keeps_the_steps_on_every_class(tmp_path):
    real, mixed = (
        trainer(tmp_path / arm, arm, steps=8, **options)
        for arm, options in (("real", {}), ("combined", {"replace": 0.5}))
    )
    shares = []
    for step in range(8):
        asked, given = (one.positions(step) for one in (real, mixed))
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
    positions = training.positions(0)
    rows = np.flatnonzero(~training.task.generated[positions])
    assert 1 < len(rows) < len(positions) - 1
    network.train()(training.images(positions, 0)[rows].contiguous(memory_format=torch.channels_last))
    training.step(0)
    expected, found, own = (norm_state(one) for one in (network, training.network, training.counterpart))
    means = [name for name in expected if name.endswith("running_mean")]
    assert all(torch.equal(found[name], expected[name]) for name in means)
    assert not any(torch.equal(found[name], own[name]) for name in means)


def test_norms_of_their_own_end_with_the_training_and_are_trained(tmp_path):
    training = trainer(tmp_path, "combined", synthetic_norm=True, ema=0.9)
    before = copy.deepcopy(norm_state(training.counterpart))
    training.run(tmp_path / "state")
    (tmp_path / "done").mkdir()
    training.finish(tmp_path / "done")
    after = norm_state(training.counterpart)
    assert not torch.equal(after["bn1.weight"], before["bn1.weight"])
    assert not torch.equal(after["bn1.weight"], training.network.bn1.weight)
    kept = safetensors.torch.load_file(tmp_path / "done" / "model.safetensors")
    assert kept.keys() == build_network("resnet50", 3, 8).state_dict().keys()


def test_an_arm_of_one_kind_has_no_second_set_of_norms(tmp_path):
    assert trainer(tmp_path / "real", "real", synthetic_norm=True).counterpart is None
    assert trainer(tmp_path / "synthetic", "synthetic", synthetic_norm=True).counterpart is None


def test_a_lone_image_of_a_kind_sits_the_step_out(tmp_path):
    training = trainer(tmp_path, "combined", synthetic_norm=True)
    ((network, rows),) = training.branches(np.array([False, False, True, False]))
    assert network is training.network
    assert rows.tolist() == [0, 1, 3]


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_the_backbone_may_learn_more_slowly_than_the_head(optimizer, tmp_path):
    plain, slow, still = (
        trainer(tmp_path / str(rate), "real", backbone_rate=rate, optimizer=optimizer, weight_decay=0.0)
        for rate in (1.0, 0.1, 0.0)
    )
    for training in (plain, slow, still):
        training.step(0)
    before = plain.task.build().state_dict()
    heads, stems = (
        [(training.network.get_parameter(name) - before[name]).detach() for training in (plain, slow, still)]
        for name in ("fc.weight", "conv1.weight")
    )
    assert torch.equal(heads[0], heads[1])
    assert torch.allclose(stems[0], 10 * stems[1], atol=1e-6)
    assert not stems[2].any()


class Dying(DiesAtStep, Trainer):
    pass


@pytest.mark.parametrize(
    ("arm", "options", "step"),
    [
        *(("combined", EVERYTHING, step) for step in (1, 3, 5)),
        ("real+balanced", EVERYTHING, 3),
        ("real", {"optimizer": "sgd"}, 3),
    ],
)
def test_a_killed_training_ends_with_the_same_bytes(arm, options, step, tmp_path):
    task, frames = tiny_task(tmp_path / "run", arm, **{"steps": 6, **options})
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    fit(task, frames, whole, "cpu")
    killed.mkdir()
    dying = Dying(task, frames, "cpu")
    dying.dies_at = step
    with pytest.raises(Killed):
        dying.run(killed / STATE_FILE)
    assert (killed / STATE_FILE).exists() == (step >= 2)
    fit(task, frames, killed, "cpu")
    assert contents(killed) == contents(whole)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_state_of_another_task_is_not_taken_up(tmp_path):
    task, frames = tiny_task(tmp_path / "run")
    first = Trainer(task, frames, "cpu")
    first.run(tmp_path / STATE_FILE)
    other = Trainer(tiny_task(tmp_path / "other", learning_rate=0.1)[0], frames, "cpu")
    other.resume(tmp_path / STATE_FILE)
    assert (first.progress.step, other.progress.step) == (4, 0)


def test_early_stopping_keeps_the_best_weights(tmp_path):
    task, frames = tiny_task(tmp_path / "run", steps=80, evaluate_every=2, patience=2)
    result = fit(task, frames, tmp_path / "done", "cpu")
    history = json.loads((tmp_path / "done" / "history.json").read_bytes())
    scores = [(entry["validation"]["macro_f1"], -entry["validation"]["loss"]) for entry in history]
    assert result.best_step == history[scores.index(max(scores))]["step"]
    assert result.steps == history[-1]["step"] == result.best_step + 2 * 2 < 80


def test_a_diverging_training_stops_with_a_sentence(tmp_path):
    options = {"optimizer": "sgd", "learning_rate": 10.0, "weight_decay": 10.0, "warmup": 0.0}
    task, frames = tiny_task(tmp_path / "run", steps=40, evaluate_every=40, **options)
    with pytest.raises(InputError, match=r"diverged.*lower train.learning_rate"):
        fit(task, frames, tmp_path / "done", "cpu")


def test_batches_show_every_image_once_per_pass():
    seen = np.concatenate([batch_positions(10, 4, step, lambda turn: turn) for step in range(5)])
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))
    assert list(seen[:10]) != list(seen[10:])
    alone = batch_positions(10, 4, 3, lambda turn: turn)
    assert list(alone) == list(seen[12:16])  # a step needs nothing but its number


def test_a_batch_may_be_larger_than_the_set():
    counts = np.bincount(batch_positions(3, 6, 0, lambda turn: turn))
    assert list(counts) == [2, 2, 2]


def test_the_learning_rate_rises_then_falls_to_nothing():
    section = TrainSettings(steps=100, warmup=0.1, learning_rate=1.0)
    rates = [learning_rate(section, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == pytest.approx(1.0)
    assert rates[55] == pytest.approx(0.5)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[99] < 0.001


def test_weights_become_repetitions():
    assert repeated(np.array([1.0, 2.1, 0.7])).tolist() == [0, 1, 1, 1, 2]
