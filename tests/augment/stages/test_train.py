import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from augment.records import RunFolder
from augment.settings import Settings, TrainSettings
from augment.stages import train
from augment.training import finetune as fitting
from augment.training.arms import parse_arm
from augment.training.finetune import batch_positions, learning_rate
from augment.training.image_transforms import ViewRanges, random_views, trivial_augment
from edge_runtime.bundle.errors import InputError
from export.checkpoint import load_checkpoint
from tests.support.drawn_run import COUNTS, GENERATED, LABELS, tiny_run


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Settings, RunFolder]:
    settings, folder = tiny_run(tmp_path_factory.mktemp("trained"))
    train.run(settings, folder)
    return settings, folder


def files(folder: RunFolder) -> dict[str, bytes]:
    """Everything that training left but its documents, whose date differs."""
    paths = (folder.path / "training").rglob("*")
    return {
        path.name if path.parent.name == "training" else str(path.relative_to(folder.path)): path.read_bytes()
        for path in paths
        if path.is_file() and not path.name.startswith("v0")
    }


def test_each_arm_learns_from_its_own_images_with_equal_steps(trained):
    _, folder = trained
    records = {record["id"]: record for record in folder.require("training").records}
    assert list(records) == [f"{arm}/seed-{seed}" for arm in ("real", "synthetic", "combined") for seed in (0, 1)]
    assert {record["steps"] for record in records.values()} == {6}
    real, generated = dict(zip(LABELS, COUNTS["train"], strict=True)), dict(zip(LABELS, GENERATED, strict=True))
    none = dict.fromkeys(LABELS, 0)
    assert records["real/seed-0"]["images"] == {"real": real, "synthetic": none}
    assert records["synthetic/seed-0"]["images"] == {"real": none, "synthetic": generated}
    assert records["combined/seed-1"]["images"] == {"real": real, "synthetic": generated}


def test_the_document_names_labels_faults_input_and_initial_weights(trained):
    _, folder = trained
    document = folder.require("training")
    assert document.summary["labels"] == list(LABELS)
    assert document.summary["fault_labels"] == ["breaker_burnt"]
    expected = {"height": 32, "width": 32, "resize": "halve-area", "colour": "bgr", "decode": "full"}
    assert document.summary["input"] == expected
    assert document.models == {"initial_weights": {"source": "none", "classifier": "fresh"}}
    assert document.parent == folder.require("curation").digest
    assert "best on validation" in train.told(document)


def test_a_checkpoint_gives_the_predictions_that_lie_beside_it(trained):
    _, folder = trained
    place = folder.path / "training" / "real" / "seed-0"
    network, card = load_checkpoint(place)
    kept = json.loads((place / "predictions.json").read_bytes())
    frames = np.load(next((folder.path / "training").glob("frames-*.npy")), allow_pickle=False)
    rows = slice(sum(COUNTS["train"]), sum(COUNTS["train"]) + sum(COUNTS["val"]))
    logits = fitting.predict(network, frames[rows], "cpu")
    assert np.allclose(logits, [image["logits"] for image in kept["images"]], atol=1e-4)
    right = np.mean([LABELS[row.argmax()] == image["label"] for row, image in zip(logits, kept["images"], strict=True)])
    assert card["training"]["validation"]["accuracy"] == pytest.approx(right)
    best = max(json.loads((place / "history.json").read_bytes()), key=lambda look: look["validation"]["macro_f1"])
    assert card["training"]["validation"]["macro_f1"] == best["validation"]["macro_f1"]


def test_no_test_image_is_opened_or_cached(trained, tmp_path):
    settings, folder = tiny_run(tmp_path)
    for path in Path(settings.data.source).rglob("test-*.png"):
        path.unlink()
    train.run(short(settings, steps=1), folder)
    cached = np.load(next((folder.path / "training").glob("frames-*.npy")), mmap_mode="r", allow_pickle=False)
    assert len(cached) == sum(COUNTS["train"]) + sum(COUNTS["val"]) + sum(GENERATED)


class Killed(BaseException):
    """Stands for kill -9: nothing in the code under test may catch it."""


def short(settings: Settings, **changed: object) -> Settings:
    """Two arms, one seed, two looks."""
    section = {"arms": ("real", "combined"), "seeds": 1, "steps": 4, "evaluate_every": 2, **changed}
    return replace(settings, train=replace(settings.train, **section))


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> RunFolder:
    settings, folder = tiny_run(tmp_path_factory.mktemp("whole"))
    train.run(short(settings), folder)
    return folder


# What is written: the mark of the cache (once), then per training a state after each look, history, predictions,
# weights, card.
@pytest.mark.parametrize("writes", [0, 2, 4, 6, 8])
def test_a_training_killed_at_any_write_ends_with_the_same_bytes(whole, tmp_path, monkeypatch, writes):
    settings, folder = tiny_run(tmp_path)
    settings = short(settings)
    left = [writes]

    def dying(path, data, write=fitting.replace_file):
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        write(path, data)

    with monkeypatch.context() as patch:
        for module in ("augment.training.finetune", "augment.training.frame_cache", "export.checkpoint"):
            patch.setattr(f"{module}.replace_file", dying)
        with pytest.raises(Killed):
            train.run(settings, folder)
    train.run(settings, folder)
    assert files(folder) == files(whole)
    assert folder.require("training").digest == whole.require("training").digest


def test_sgd_resumes_to_the_same_bytes(tmp_path, monkeypatch):
    settings, uninterrupted = tiny_run(tmp_path / "whole")
    settings = short(settings, optimizer="sgd", arms=("real",))
    train.run(settings, uninterrupted)
    _, folder = tiny_run(tmp_path / "killed")
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "learning_rate", _dying_at_step_3)
        with pytest.raises(Killed):
            train.run(settings, folder)
    train.run(settings, folder)
    assert files(folder) == files(uninterrupted)


def _dying_at_step_3(section: TrainSettings, step: int) -> float:
    if step == 3:
        raise Killed
    return learning_rate(section, step)


def test_a_finished_training_is_not_repeated_and_a_new_seed_adds_to_it(trained, monkeypatch, tmp_path):
    settings, folder = tiny_run(tmp_path)
    settings = short(settings, steps=2)
    first = train.run(settings, folder)
    assert train.run(settings, folder).version == first.version
    done = []
    monkeypatch.setattr(
        fitting._Trainer,
        "run",
        lambda self, state, run=fitting._Trainer.run: (done.append(self.task.name), run(self, state)),
    )
    train.run(replace(settings, train=replace(settings.train, seeds=2)), folder)
    assert done == ["real/seed-1", "combined/seed-1"]


def test_early_stopping_keeps_the_best_weights(tmp_path):
    settings, folder = tiny_run(tmp_path)
    document = train.run(short(settings, arms=("real",), steps=80, evaluate_every=2, patience=2), folder)
    (record,) = document.records
    looks = json.loads((folder.path / record["path"] / "history.json").read_bytes())
    scores = [(look["validation"]["macro_f1"], -look["validation"]["loss"]) for look in looks]
    assert record["best_step"] == looks[scores.index(max(scores))]["step"]
    assert record["steps"] == looks[-1]["step"] == record["best_step"] + 2 * 2 < 80


def test_seeds_share_initial_weights_across_arms_and_differ_between_seeds(trained):
    settings, _ = trained
    build, _ = train.initial_network(settings, 3)
    first, again, other = build(0).state_dict(), build(0).state_dict(), build(1).state_dict()
    assert torch.equal(first["conv1.weight"], again["conv1.weight"])
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])


def test_a_diverging_training_stops_with_a_sentence(tmp_path):
    settings, folder = tiny_run(tmp_path)
    settings = short(
        settings, optimizer="sgd", learning_rate=10.0, weight_decay=10.0, steps=40, evaluate_every=40, warmup=0.0
    )
    with pytest.raises(InputError, match=r"diverged.*lower train.learning_rate"):
        train.run(settings, folder)


def test_an_arm_without_images_is_refused(tmp_path):
    settings, folder = tiny_run(tmp_path)
    curation = folder.require("curation")
    folder.write(replace(curation, records=[{**record, "kept": False} for record in curation.records]))
    with pytest.raises(InputError, match=r"arm synthetic has no image.*generate\.floor"):
        train.run(settings, folder)


def test_an_unknown_arm_is_refused(tmp_path):
    settings, folder = tiny_run(tmp_path)
    with pytest.raises(InputError, match="'reel', expected parts joined by"):
        train.run(replace(settings, train=replace(settings.train, arms=("real", "reel"))), folder)


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


def test_views_that_may_not_differ_are_the_image():
    images = torch.rand(2, 3, 8, 8)
    still = ViewRanges(smallest_crop=1.0, aspect=1.0, contrast=1.0, brightness=0.0, mirror=False)
    assert torch.allclose(random_views(images, torch.Generator().manual_seed(0), still), images, atol=1e-5)


def test_a_mirrored_view_is_the_image_from_right_to_left():
    images = torch.rand(16, 3, 8, 8)
    mirror = ViewRanges(smallest_crop=1.0, aspect=1.0, contrast=1.0, brightness=0.0)
    views = random_views(images, torch.Generator().manual_seed(0), mirror)
    kept = [torch.allclose(view, image, atol=1e-5) for view, image in zip(views, images, strict=True)]
    turned = [torch.allclose(view, image.flip(2), atol=1e-5) for view, image in zip(views, images, strict=True)]
    assert all(a != b for a, b in zip(kept, turned, strict=True))
    assert 3 <= sum(turned) <= 13


def test_crops_stay_inside_the_image_and_take_at_least_their_share():
    ramp = torch.linspace(0, 1, 64).expand(200, 3, 64, 64).contiguous()
    crop = ViewRanges(smallest_crop=0.49, aspect=1.0, contrast=1.0, brightness=0.0, mirror=False)
    views = random_views(ramp, torch.Generator().manual_seed(1), crop)
    spans = views[:, 0, 0, -1] - views[:, 0, 0, 0]
    assert views.min() >= 0
    assert views.max() <= 1
    assert 0.68 < spans.min() < 0.75  # a side of sqrt(0.49) = 0.7 of the image
    assert math.isclose(spans.max(), 1.0, abs_tol=0.03)


def test_views_change_light_within_bounds():
    images = torch.zeros(500, 3, 4, 4)
    views = random_views(images, torch.Generator().manual_seed(2))
    assert views.abs().max() <= 0.25 + 1e-6
    assert views.max() > 0.2
    assert views.min() < -0.2


@pytest.mark.parametrize(
    ("name", "takes", "is_balanced"),
    [
        ("real", {"real"}, False),
        ("synthetic", {"text2img", "codec"}, False),
        ("combined", {"real", "text2img", "codec"}, False),
        ("real+balanced", {"real"}, True),
        ("real+balanced+codec", {"real", "codec"}, True),
    ],
)
def test_an_arm_is_named_by_its_parts(name, takes, is_balanced):
    arm = parse_arm(name, ("text2img", "codec"))
    kept = {"label": "a", "kept": True}
    assert {kind for kind in ("real", "text2img", "codec") if arm.takes(kind, kept)} == takes
    assert arm.balanced is is_balanced


def test_an_arm_takes_what_curation_kept_and_its_gate_lets_through():
    rejected, other = {"label": "a", "kept": False}, {"label": "b", "kept": True}
    plain, raw = (parse_arm(name, ("codec",)) for name in ("real+codec", "real+codec+uncurated"))
    assert [arm.takes("codec", rejected) for arm in (plain, raw)] == [False, True]
    gated = replace(parse_arm("real+codec+gate", ("codec",)), dropped=frozenset("b"))
    assert (gated.gated, gated.ungated) == (True, "real+codec")
    assert [gated.takes(kind, other) for kind in ("real", "codec")] == [True, False]


TARGETS = np.array([0, 0, 0, 0, 1, 1, 2])
IS_GENERATED = np.array([False, False, True, True, False, True, False])


def test_weights_balance_classes_and_kinds():
    plain, even = (parse_arm(name, ()) for name in ("combined", "combined+balanced"))
    assert train.weights_of(TARGETS, IS_GENERATED, plain, 0.0).tolist() == [1] * 7
    assert train.weights_of(TARGETS, IS_GENERATED, plain, 0.2) == pytest.approx([1.6, 1.6, 0.4, 0.4, 1.6, 0.4, 1])
    found = train.weights_of(TARGETS, IS_GENERATED, even, 0.2)
    assert [found[label == TARGETS].sum() for label in range(3)] == pytest.approx([7, 7, 7])
    assert found[IS_GENERATED].sum() == pytest.approx(0.2 * 14)


def test_weights_become_repetitions():
    assert fitting.repeated(np.array([1.0, 2.1, 0.7])).tolist() == [0, 1, 1, 1, 2]


def test_trivial_augment_is_a_function_of_its_seed_and_leaves_the_global_generator_alone():
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8))
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, again, other = (trivial_augment(frames, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert first.dtype == torch.uint8
    assert first.shape == frames.shape
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
