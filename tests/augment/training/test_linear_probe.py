"""Classifiers on frozen features: right on paper, ordinary checkpoints, shared features, killed runs."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch

from augment.record_types import DatasetRecord
from augment.records import CURATION, DATASET
from augment.stages import train
from augment.training import linear_probe
from augment.training.arms import parse_arm
from augment.training.finetune import predict
from export.checkpoint import load_checkpoint
from export.network import build_network, normalise
from tests.support.drawn_run import LABELS, tiny_run


def test_the_classifier_separates_points_in_the_features_own_scale():
    rng = np.random.default_rng(0)
    targets = np.array([0, 2] * 20)
    features = (rng.standard_normal((40, 2, 5)) + np.where(targets[:, None, None] == 2, 6, 0)).astype(np.float32) * 7
    weight, bias, _ = linear_probe.solve(features, targets, np.ones(40), 0.1, classes=3)
    logits = features[:, 0] @ weight.T + bias
    assert (logits.argmax(axis=1) == targets).all()
    assert (logits[:, 1] == linear_probe.NEVER).all()  # no image of class 1


def test_weights_decide_where_images_contradict():
    features = np.ones((4, 1, 2), np.float32) + np.random.default_rng(0).normal(0, 0.01, (4, 1, 2)).astype(np.float32)
    targets = np.array([0, 0, 1, 1])
    for weights, winner in (([9, 9, 1, 1], 0), ([1, 1, 9, 9], 1)):
        weight, bias, _ = linear_probe.solve(features, targets, np.array(weights, float), 0.01, classes=2)
        assert (features[:, 0] @ weight.T + bias).argmax(axis=1).tolist() == [winner] * 4


@pytest.fixture
def prepared(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "backbone.safetensors"
    safetensors.torch.save_file(build_network("efficientnet_lite0", 5, 8).state_dict(), path)
    settings, folder = tiny_run(tmp_path / "run")
    section = replace(
        settings.train, backbone="efficientnet_lite0", width=8, weights=str(path), layers="classifier", seeds=1,
        arms=("real", "combined+balanced"), synthetic_shares=(0.3, 0.6),
    )  # fmt: skip
    return replace(settings, train=section), folder


def test_only_the_classifier_changes_and_the_checkpoint_gives_its_predictions(prepared):
    settings, folder = prepared
    document = train.run(settings, folder)
    states = {}
    for arm in settings.train.arms:
        place = folder.path / "training" / arm / "seed-0"
        network, card = load_checkpoint(place)
        states[arm] = network.state_dict()
        kept = json.loads((place / "predictions.json").read_bytes())["images"]
        frames = np.load(next((folder.path / "training").glob("frames-*.npy")), allow_pickle=False)
        rows = [row for row, split in enumerate(_splits(folder)) if split == "val"]
        assert np.allclose(predict(network, frames[rows], "cpu"), [image["logits"] for image in kept], atol=1e-4)
        assert card["training"]["penalty"] in linear_probe.PENALTIES
        assert card["training"]["synthetic_share"] in ((0.0,) if arm == "real" else (0.3, 0.6))
    changed = {
        name for name in states["real"] if not torch.equal(states["real"][name], states["combined+balanced"][name])
    }
    assert changed == {"fc.weight", "fc.bias"}
    assert document.records[0].images["real"][LABELS[0]] == 4


def _splits(folder) -> list[str]:
    material = train.gather(folder.require(DATASET), folder.require(CURATION), [parse_arm("combined", ())])
    return [image.split if isinstance(image, DatasetRecord) else "train" for image in material.images]


def test_a_killed_run_keeps_its_features_and_ends_the_same(prepared):
    settings, folder = prepared
    whole = train.run(settings, folder).digest
    for path in (folder.path / "training").glob("v*.json"):
        path.unlink()
    (folder.path / "training/combined+balanced/seed-0/card.json").unlink()
    kept = {path: path.stat().st_size for path in (folder.path / "cache").glob("features-*/*.ids")}
    for path in kept:  # a kill in the middle of a line
        os.truncate(path, path.stat().st_size - 20)
    assert train.run(settings, folder).digest == whole
    assert all(path.stat().st_size == size - 20 for path, size in kept.items())  # what was there was not made again


def test_variants_belong_to_the_image_and_the_first_is_the_image_itself():
    frame = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    found = linear_probe.variants(frame, "a", strong=True)
    assert found.shape == (linear_probe.VARIANTS, 3, 32, 32)
    torch.testing.assert_close(found[0], normalise(torch.from_numpy(frame[None]))[0])
    torch.testing.assert_close(found, linear_probe.variants(frame, "a", strong=True), atol=0, rtol=0)
    assert not torch.equal(found, linear_probe.variants(frame, "b", strong=True))
