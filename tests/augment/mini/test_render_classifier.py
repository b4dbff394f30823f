"""The classifier of renders answers for each picture alone."""

import numpy as np
import torch

from augment.mini.render_classifier import classified, new_classifier
from augment.mini.scenes import LABELS, render, sample_scene


def test_the_answer_for_a_picture_does_not_depend_on_its_batch():
    torch.manual_seed(0)
    classifier = new_classifier(8).eval()
    images = np.stack([render(sample_scene(seed, "catalogue"), 64) for seed in range(6)])
    together = classified(classifier, images)
    assert together.tolist() == [int(classified(classifier, image[None])[0]) for image in images]
    assert together.dtype == np.int64
    assert set(together.tolist()) <= set(range(len(LABELS)))
