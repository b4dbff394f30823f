"""End-to-end training of a spatial network: what crops leave of cells, that it learns to point, and that a kill changes
nothing."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from augment.settings import TrainSettings
from augment.spatial.cells import IGNORED, NEGATIVE, POSITIVE, cell_targets
from augment.spatial.end_to_end import (
    FALSE_COLOURS,
    PHOTOGRAPHS,
    Learner,
    SpatialTrainer,
    fit_spatial,
    predict,
    ranking,
    seen_cells,
)
from augment.spatial.lessons import Lessons
from augment.spatial.loss import UNKNOWN
from augment.spatial.tap_cache import TapCache
from augment.training.finetune import STATE_FILE, Examples, Task
from edge_runtime.bundle.heads import Group, SpatialHead
from edge_runtime.bundle.preprocess import Frames, PreprocessSpec
from export.checkpoint import load_checkpoint
from export.network import build_network
from export.spatial_network import HeadShape
from tests.support.drawn_run import DiesAtStep, Killed

SIDE, SPOT, HELD_OUT = 64, 12, 40
LABELS = ("healthy", "hot")
HEAD = SpatialHead((Group("mast", "healthy", {"spot": "hot"}),), ("spot",))


@pytest.fixture(autouse=True)
def short_fit_of_the_head(monkeypatch):
    monkeypatch.setattr("augment.spatial.head_training.LEAST_STEPS", 60)


def drawn(count: int, width: int = SIDE) -> tuple[Frames, list[np.ndarray]]:
    """Noise of any brightness; every second picture has a bright square in a random place, whose box is told."""
    random = np.random.default_rng(0)
    frames = random.integers(0, 90, (count, SIDE, width, 3)) + random.integers(0, 60, (count, 1, 1, 1))
    boxes = [np.zeros((0, 4))] * count
    for at in range(1, count, 2):
        left, top = random.integers(0, width - SPOT), random.integers(0, SIDE - SPOT)
        frames[at, top : top + SPOT, left : left + SPOT] += 100
        boxes[at] = np.array([[left, top, SPOT, SPOT]], np.float64)
    return frames.astype(np.uint8), boxes


def spot_lessons(boxes: list[np.ndarray], spec: PreprocessSpec, boxed: bool = True) -> Lessons:
    """What the drawn pictures teach."""
    cells, shape, size = [], (spec.height // 16, spec.width // 16), (spec.height, spec.width)
    for own in boxes:
        cells.append([[cell_targets((own - (x, y, 0, 0)).tolist(), shape, size)] for y, x in spec.tile_places])
    pictures = np.array([[len(own)] for own in boxes])
    return Lessons(
        head=HEAD,
        shape=HeadShape(width=8),
        boxes=boxes,
        cells=np.array(cells),
        has_cells=np.array([[boxed or not len(own)] for own in boxes]),
        pictures=pictures,
        groups=np.zeros(len(boxes), np.int64),
        weigh_as=pictures[:, 0],
        shares=np.ones(len(boxes)),
    )


def spot_training(
    folder: Path,
    count: int = 60,
    boxed: bool = True,
    tiles: int = 1,
    generated: tuple[int, ...] = (),
    **changed: object,
) -> tuple[Task, Lessons, TapCache]:
    """A training on the drawn pictures, the last HELD_OUT of which are for validation."""
    spec = PreprocessSpec(SIDE, SIDE, "letterbox", tiles=(1, tiles))
    frames, boxes = drawn(count + HELD_OUT, spec.canvas[1])
    lessons = spot_lessons(boxes, spec, boxed)
    basic = TrainSettings(
        width=8, size=SIDE, steps=6, evaluate_every=2, batch_size=8, learning_rate=1e-2, label_smoothing=0.0, ema=0.9
    )
    section = replace(basic, **changed)
    rows = np.arange(count + HELD_OUT)
    parts = [Examples(own, lessons.pictures[own, 0], [f"p{row}" for row in own]) for own in np.split(rows, [count])]
    made = np.isin(rows[:count], generated)

    def build() -> nn.Module:
        torch.manual_seed(0)
        return build_network("resnet50", 2, section.width)

    head = {**HEAD.to_json(), "shape": lessons.shape.to_json()}
    card = {"backbone": "resnet50", "width": section.width, "labels": list(LABELS), "fault_labels": ["hot"]}
    task = Task(
        name="real/seed-0",
        key=json.dumps([count, boxed, tiles, changed]),
        section=section,
        run_seed=0,
        seed=0,
        labels=LABELS,
        training=parts[0],
        generated=made,
        stand_ins=made,
        weightings={0.0: np.ones(count)},
        last_weights=(~made).astype(float),
        strong_transforms=False,
        validation=parts[1],
        build=build,
        card={**card, "input": spec.to_json(), "head": head, "training": {}},
    )
    extract = build().eval().taps
    taps = TapCache(
        folder,
        frames,
        [f"p{row}" for row in rows],
        spec,
        lambda images: [tap.numpy() for tap in extract(images)],
        "toy",
    )
    return task, lessons, taps


def pointing(folder: Path, lessons: Lessons, taps: TapCache, rows: np.ndarray) -> float:
    """How often the highest cell of a fault's map shows the fault."""
    network, _ = load_checkpoint(folder)
    faults = rows[lessons.pictures[rows, 0] == 1]
    _, maps = predict(network, lessons, taps.canvases, faults, taps.spec, "cpu")
    flat, cells = maps.reshape(len(faults), -1), lessons.cells[faults].reshape(len(faults), -1)
    return float((cells[np.arange(len(faults)), flat.argmax(axis=1)] != NEGATIVE).mean())


def test_it_learns_to_see_and_to_point(tmp_path):
    task, lessons, taps = spot_training(tmp_path, steps=90, evaluate_every=30)
    result = fit_spatial(task, lessons, taps, tmp_path / "done", "cpu")
    assert result.validation["macro_f1"] >= 0.9
    assert pointing(tmp_path / "done", lessons, taps, task.validation.rows) >= 0.9
    written = json.loads((tmp_path / "done" / "predictions.json").read_bytes())
    assert written["head"] == task.card["head"]
    assert [image["id"] for image in written["images"]] == list(task.validation.ids)
    assert np.array([image["scores"] for image in written["images"]]).shape == (HELD_OUT, 2)


class Dying(DiesAtStep, SpatialTrainer):
    pass


@pytest.mark.parametrize("options", [{}, {"weights": "imagenet", "backbone_rate": 0.1}], ids=["scratch", "given"])
def test_a_killed_training_ends_with_the_same_bytes(options, tmp_path):
    task, lessons, taps = spot_training(tmp_path, **options)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    fit_spatial(task, lessons, taps, whole, "cpu")
    killed.mkdir()
    dying = Dying(task, lessons, taps, "cpu")
    dying.dies_at = 3
    with pytest.raises(Killed):
        dying.run(killed / STATE_FILE)
    assert (killed / STATE_FILE).exists()
    torch.rand(7)  # whatever the global generator did meanwhile
    fit_spatial(task, lessons, taps, killed, "cpu")
    assert {path.name: path.read_bytes() for path in killed.iterdir()} == {
        path.name: path.read_bytes() for path in whole.iterdir()
    }


def test_a_backbone_that_unlearns_is_left_as_it_was(tmp_path, monkeypatch):
    falling = iter((0.9, 0.8))
    monkeypatch.setattr("augment.spatial.end_to_end.ranking", lambda *pictures: next(falling))
    task, lessons, taps = spot_training(tmp_path, weights="imagenet", steps=2)
    training = SpatialTrainer(task, lessons, taps, "cpu")
    before = {name: tensor.clone() for name, tensor in training.network.network.state_dict().items()}
    training.run(tmp_path / STATE_FILE)
    training.finish(tmp_path)
    after = load_checkpoint(tmp_path)[0].state_dict()
    assert training.progress.best_step == 0
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_given_weights_begin_with_a_fitted_head_and_keep_their_statistics(tmp_path):
    task, lessons, taps = spot_training(tmp_path, weights="imagenet", backbone_rate=0.1, learning_rate=1e-3)
    training = SpatialTrainer(task, lessons, taps, "cpu")
    assert training.measured()[0]["ranking"] > 0.75  # before the first step
    before = {name: tensor.clone() for name, tensor in training.network.state_dict().items()}
    training.step(0)
    after = training.network.state_dict()
    statistics = [name for name in before if name.endswith(("running_mean", "running_var"))]
    assert all(torch.equal(before[name], after[name]) for name in statistics)
    moved = {
        part: max(float((after[name] - before[name]).abs().max()) for name in before if name.startswith(part))
        for part in ("network.backbone.layer3", "network.head.narrow")
    }
    assert 0 < moved["network.backbone.layer3"] <= 0.2 * moved["network.head.narrow"]


@pytest.mark.parametrize(("weights", "batch", "frozen"), [("none", 8, False), ("x.pth", 8, True), ("x.pth", 32, False)])
def test_statistics_stay_where_given_weights_meet_small_batches(weights, batch, frozen, tmp_path):
    task, lessons, taps = spot_training(tmp_path, count=8, weights=weights, batch_size=batch)
    learner = SpatialTrainer(task, lessons, taps, "cpu").network.train()
    norms = [module for module in learner.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {norm.training for norm in norms} == {not frozen}
    assert learner.training


def test_generated_pictures_train_their_cells_until_the_last_steps(tmp_path):
    task, lessons, taps = spot_training(tmp_path, count=8, generated=(0, 1), real_last=0.5, batch_size=6, steps=4)
    training = SpatialTrainer(task, lessons, taps, "cpu")
    assert sorted({*training.positions(0).tolist(), *training.positions(1).tolist()}) == list(range(8))
    assert set(training.positions(3).tolist()) == set(range(2, 8))
    _, cells, pictures = training.views(np.array([1]), 0)
    assert pictures.tolist() == [[1]]
    assert (cells == POSITIVE).any()


def test_the_cells_of_a_view_are_where_its_spot_is(tmp_path):
    task, lessons, taps = spot_training(tmp_path, tiles=2)
    training = SpatialTrainer(task, lessons, taps, "cpu")
    rows = np.arange(1, 60, 2)
    images, cells, pictures = training.views(rows, 0)
    assert images.shape == (2 * len(rows), 3, SIDE, SIDE)
    bright = nn.functional.avg_pool2d(images.mean(1, keepdim=True), 16).reshape(cells.shape)
    shown = (cells == POSITIVE).flatten(1).any(1)
    assert shown.float().mean() > 0.8
    assert torch.equal(pictures[:, 0] == 1, shown)
    flat = bright.flatten(1).argmax(1, keepdim=True)
    assert (cells.flatten(1).gather(1, flat)[shown] != NEGATIVE).all()


def test_a_fault_without_boxes_is_learned_by_its_picture(tmp_path):
    task, lessons, taps = spot_training(tmp_path, boxed=False)
    training = SpatialTrainer(task, lessons, taps, "cpu")
    _, cells, pictures = training.views(np.array([0, 1]), 0)
    assert pictures.tolist() == [[0], [1]]
    assert not cells.any()
    assert torch.isfinite(training.step(0))


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([4, 4, 8, 8], {POSITIVE, NEGATIVE}),
        ([-4, 4, 8, 8], {POSITIVE, NEGATIVE}),  # a half is left
        ([-6, 4, 8, 8], {IGNORED, NEGATIVE}),
        ([-9, 4, 8, 8], {NEGATIVE}),
        ([-100, -100, 300, 300], {POSITIVE}),  # larger than the view
    ],
)
def test_a_box_counts_as_far_as_the_view_shows_it(box, expected):
    assert set(seen_cells(np.array([box], float), (4, 4), (64, 64)).flat) == expected


def test_a_picture_whose_faults_are_cut_away_is_unknown(tmp_path, monkeypatch):
    task, lessons, taps = spot_training(tmp_path)
    training = SpatialTrainer(task, lessons, taps, "cpu")
    monkeypatch.setattr("augment.spatial.end_to_end.carried", lambda boxes, crop, size: np.add(boxes, (100, 0, 0, 0)))
    _, cells, pictures = training.views(np.array([0, 1]), 0)
    assert pictures.tolist() == [[0], [UNKNOWN]]
    assert not cells.any()


def test_the_ranking_sees_pictures_cells_and_groups(tmp_path):
    _, lessons, _ = spot_training(tmp_path, count=4)
    rows = np.arange(8)
    faults, right = lessons.pictures[rows], lessons.cells[rows].astype(np.float32)
    scores = np.concatenate([np.zeros((8, 1)), faults], axis=1)
    assert ranking(lessons, rows, scores, right) == 1.0
    assert ranking(lessons, rows, -scores, right) == pytest.approx(2 / 3)
    assert ranking(lessons, rows, -scores, -right) == pytest.approx(1 / 3)
    assert ranking(lessons, rows[::2], scores[::2], right[::2]) == 1.0  # nothing to rank but the group


def test_the_scale_of_the_loss_is_trained_and_left_behind(tmp_path):
    task, lessons, taps = spot_training(tmp_path)
    training = SpatialTrainer(task, lessons, taps, "cpu")
    training.step(0)
    assert isinstance(training.network, Learner)
    assert training.network.scale.bias.item() != 0
    training.evaluate()
    training.finish(tmp_path)
    assert not [name for name in load_checkpoint(tmp_path)[0].state_dict() if "scale" in name]


def test_light_changes_less_where_it_is_what_was_measured(tmp_path):
    task, lessons, taps = spot_training(tmp_path)
    assert SpatialTrainer(task, lessons, taps, "cpu").ranges == PHOTOGRAPHS
    iron = np.stack([cv2.applyColorMap(frame[..., 0], cv2.COLORMAP_INFERNO) for frame in taps.canvases])
    assert SpatialTrainer(task, lessons, replace(taps, canvases=iron), "cpu").ranges == FALSE_COLOURS
