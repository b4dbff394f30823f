"""The figures of the model card: numbers from paper, and the embedded captioner and writer on a few held-out scenes."""

import math

import numpy as np
import pytest
import torch

from augment.mini import card_figures
from augment.mini.scenes import LABELS
from augment.models.model_folders import EMBEDDED


def test_labels_come_in_pairs_of_one_equipment():
    truth = np.array([0, 1, 2, 3])
    assert card_figures.agreement(np.array([0, 0, 2, 0]), truth) == (0.5, 0.75)


def test_decibels_of_an_error_of_a_tenth_of_the_peak():
    truth = torch.zeros(1, 3, 4, 4)
    assert card_figures.decibels(truth + 0.2, truth) == pytest.approx(20)


def test_held_out_scenes_show_the_classes_in_turn():
    images, truth, scenes = card_figures.held_out("station", 14, seed=1)
    assert images.shape == (14, 64, 64, 3)
    assert truth.tolist() == [*range(12), 0, 1]
    assert [scene.label for scene in scenes[:12]] == list(LABELS)


@torch.no_grad()
def test_the_embedded_writer_keeps_the_class_in_every_prompt():
    figures = card_figures.language_figures(EMBEDDED / "gpt2", seed=1, count=24)
    assert figures["gpt2 class phrase kept after the check"] == 1
    assert figures["gpt2 well-formed continuations"] > 0.9
    assert all(math.isfinite(value) for value in figures.values())
