import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from augment.settings import TrainSettings
from augment.spatial import head_training
from augment.spatial.lessons import Lessons
from augment.training.cross_fit import Folds
from augment.training.finetune import Examples, Task
from augment.training.predictions import read_predictions
from edge_runtime.bundle.heads import Group, Pooling, SpatialHead
from export.checkpoint import load_checkpoint
from export.network import build_network
from export.spatial_network import HeadShape

LABELS = ("hot", "line", "mast")
HEAD = SpatialHead(
    (Group("line", "line", {"spot": "hot"}), Group("mast", "mast", {"spot": "hot"})), ("spot",), Pooling("max", 1)
)
COUNT, SIDE, WIDTH = 48, 4, 8  # pictures, cells along a side, of the network
CHANNELS = (2 * 5, 14, 40)  # of the taps of EfficientNet-Lite0 at that width, the first one halved


class MadeTaps:
    """Three channels of noise a tap; one is high where a spot is, another says which equipment is shown."""

    def __init__(self, spots: np.ndarray, equipment: np.ndarray) -> None:
        random = np.random.default_rng(0)
        sides = (SIDE, SIDE, SIDE // 2)
        self.taps = [
            random.normal(size=(COUNT, channels, side, side)).astype(np.float32)
            for channels, side in zip(CHANNELS, sides, strict=True)
        ]
        for tap in self.taps:
            tap[:, 3:] = 0
        self.taps[1][:, 0] += 6 * spots
        self.taps[2][:, 0] += 6 * equipment[:, None, None]

    def fill(self, rows) -> None:
        """There is nothing to compute."""

    def of(self, rows, mirrored):
        """What `TapCache.of` returns; mirroring is exact here."""
        found = [torch.from_numpy(tap[rows]) for tap in self.taps]
        flip = torch.from_numpy(mirrored)[:, None, None, None]
        return tuple(torch.where(flip, tap.flip(3), tap) for tap in found)


@pytest.fixture
def course(monkeypatch):
    """A task whose every third picture shows a spot, what it teaches, and its taps."""
    monkeypatch.setattr(head_training, "LEAST_STEPS", 300)
    random = np.random.default_rng(1)
    hot, equipment = np.arange(COUNT) % 3 == 0, np.arange(COUNT) % 2
    cells = np.zeros((COUNT, 1, 1, SIDE, SIDE), np.int8)
    cells[hot, 0, 0, random.integers(0, SIDE, hot.sum()), random.integers(0, SIDE, hot.sum())] = 1
    targets = np.where(hot, 0, 1 + equipment)
    rows, ids = np.arange(COUNT), [f"p{row}" for row in range(COUNT)]
    judged = np.stack([rows // 2 % 2 == fold for fold in range(2)])
    shape, head = HeadShape(width=24), HEAD.to_json()
    task = Task(
        name="real/seed-0", key="k", section=TrainSettings(), run_seed=0, seed=0, labels=LABELS,
        training=Examples(rows, targets, ids), generated=np.zeros(COUNT, bool), stand_ins=np.zeros(COUNT, bool),
        weightings={0.0: np.ones(COUNT)}, last_weights=np.ones(COUNT), strong_transforms=False,
        validation=Examples(rows, targets, ids), build=lambda: build_network("efficientnet_lite0", 3, WIDTH),
        card={
            "backbone": "efficientnet_lite0", "width": WIDTH, "labels": list(LABELS), "fault_labels": ["hot"],
            "input": {}, "head": {**head, "shape": shape.to_json()}, "training": {},
        },
        folds=Folds(judged, judged),
    )  # fmt: skip
    lessons = Lessons(
        HEAD, shape, [np.zeros((0, 4))] * COUNT, cells, np.ones((COUNT, 1), bool), hot[:, None].astype(np.int64),
        np.where(hot, -1, equipment), targets, np.ones(COUNT),
    )  # fmt: skip
    return task, lessons, MadeTaps(cells[:, 0, 0], equipment)


def test_held_out_pictures_are_told_apart_and_the_kept_head_points_at_the_spots(course, tmp_path):
    task, lessons, taps = course
    result = head_training.fit_head(task, lessons, taps, tmp_path)
    found = read_predictions(tmp_path)
    hot = lessons.pictures[:, 0] == 1
    assert found.scores is not None
    assert roc_auc_score(hot, found.scores[:, 2]) > 0.85  # two heads, 24 pictures each
    assert (found.scores[~hot, :2].argmax(axis=1) == lessons.groups[~hot]).mean() > 0.9
    assert (found.predicted == found.targets).mean() > 0.85
    assert result.validation["accuracy"] == pytest.approx((found.predicted == found.targets).mean())
    network, card = load_checkpoint(tmp_path)
    with torch.inference_mode():
        _, maps = network.head(taps.of(np.flatnonzero(hot), np.zeros(hot.sum(), bool)))
    assert (maps.flatten(1).argmax(1).numpy() == lessons.cells[hot].reshape(hot.sum(), -1).argmax(1)).all()
    assert card["head"]["kinds"] == ["spot"]


def test_the_same_task_gives_the_same_bytes_and_a_finished_one_is_not_repeated(course, tmp_path):
    task, lessons, taps = course
    for name in ("one", "two"):
        head_training.fit_head(replace(task, build=_seeded), lessons, taps, tmp_path / name)
    for name in ("model.safetensors", "predictions.json", "card.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert head_training.fit_head(task, lessons, None, tmp_path / "one").steps == 300


def _seeded():
    torch.manual_seed(3)
    return build_network("efficientnet_lite0", 3, WIDTH)


def test_a_picture_is_judged_by_a_head_that_has_not_seen_it(course, tmp_path):
    task, lessons, taps = course
    task = replace(task, build=_seeded)
    head_training.fit_head(task, lessons, taps, tmp_path / "true")
    lies = task.folds.judged[0]  # what these pictures teach is turned round; their own judge must not notice
    other = replace(
        lessons,
        pictures=np.where(lies[:, None], 1 - lessons.pictures, lessons.pictures),
        cells=np.where(lies[:, None, None, None, None], 1 - lessons.cells, lessons.cells).astype(np.int8),
    )
    head_training.fit_head(task, other, taps, tmp_path / "lies")
    scores = [read_predictions(tmp_path / name).scores for name in ("true", "lies")]
    assert (scores[0][lies] == scores[1][lies]).all()
    assert not (scores[0][~lies] == scores[1][~lies]).all()


def test_without_folds_the_kept_head_judges_the_validation_pictures(course, tmp_path):
    task, lessons, taps = course
    rows = np.arange(12)
    task = replace(task, folds=None, validation=Examples(rows, task.training.targets[:12], task.training.ids[:12]))
    head_training.fit_head(task, lessons, taps, tmp_path)
    network, _ = load_checkpoint(tmp_path)
    expected = head_training.scores_of(network.head, lessons, taps, rows)
    assert read_predictions(tmp_path).scores == pytest.approx(expected)


def test_few_pictures_are_seen_more_often():
    assert head_training.steps_for(100) == head_training.LEAST_STEPS
    assert head_training.steps_for(1600) == 1000


def test_predictions_hold_the_head_and_its_scores(course, tmp_path):
    task, lessons, taps = course
    head_training.fit_head(task, lessons, taps, tmp_path)
    content = json.loads((tmp_path / "predictions.json").read_bytes())
    assert content["head"]["groups"] == HEAD.to_json()["groups"]
    assert [len(image["scores"]) for image in content["images"]] == [3] * COUNT
