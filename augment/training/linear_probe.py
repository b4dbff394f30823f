"""A linear classifier on a frozen backbone: what a handful of images can train, in seconds, without overfitting.

Features of a few random views of every image are computed once and shared by all arms and seeds; each training is then
one convex problem (multinomial logistic regression), so that arms differ in their images and in nothing else. The
result is an ordinary checkpoint: the backbone with the fitted classifier.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from augment.models.image_embedding import stored_vectors
from augment.progress import say
from augment.records import digest_of, item_seed
from augment.training.finetune import Task, classify, finished, measures
from augment.training.frame_cache import Frames
from augment.training.image_transforms import random_views, trivial_augment
from augment.training.predictions import Predictions, write_predictions
from export.checkpoint import read_card, save_checkpoint
from export.features import Extract
from export.network import normalise

VIEWS = 3  # of each image: as it is, and random ones
PENALTIES = (0.01, 0.1)  # inverse strength of the L2 penalty on standardised features; validation chooses
NEVER = -30.0  # logit of a class that an arm has no image of

Features = npt.NDArray[np.float32]


@dataclass(frozen=True)
class FeatureCache:
    """Features of images on disk, one file each: functions of image, network and kind of views; runs may share them."""

    place: Path
    frames: Frames
    ids: Sequence[str]  # of the frames; an id stands for an image's content
    extract: Extract  # of the network's features
    key: Mapping[str, Any]  # what the network and its input are

    def of(self, rows: npt.NDArray[np.int64], strong: bool) -> Features:
        """(len(rows), VIEWS, D) features; `strong`: TrivialAugment beside the mild views."""
        place = self.place / f"features-{digest_of([dict(self.key), VIEWS, strong])[:16]}"
        row_of = {image: row for row, image in enumerate(self.ids)}

        def compute(images: list[str]) -> npt.NDArray[np.float32]:
            views = torch.stack([_views(self.frames[row_of[image]], image, strong) for image in images])
            with torch.inference_mode():
                return self.extract(views.flatten(0, 1)).reshape(len(images), VIEWS, -1)

        return stored_vectors(place, [self.ids[row] for row in rows.tolist()], compute, "batches of images to features")


def _views(frame: npt.NDArray[np.uint8], image: str, strong: bool) -> Tensor:
    """(VIEWS, 3, H, W) float normalised: the frame itself, then random views that its id seeds."""
    one = torch.from_numpy(np.array(frame[None]))
    views = [normalise(one)]
    for number in range(1, VIEWS):
        seed = item_seed(0, "views", f"{image}/{number}")
        seen = trivial_augment(one, seed) if strong else one
        views.append(random_views(normalise(seen), torch.Generator().manual_seed(seed)))
    return torch.cat(views)


def fit_classifier(task: Task, cache: FeatureCache, folder: Path) -> dict[str, Any]:
    """Fit the classifier of `task` into `folder`; returns the checkpoint's card. Files as `fit` writes them."""
    if (card := finished(folder, task.key)) is not None:
        return card
    network = task.build().eval()
    features = cache.of(task.training.rows, task.strong_views)
    held_out = cache.of(task.validation.rows, False)[:, 0]
    best: tuple[float, float] | None = None
    for penalty, (share, weights) in itertools.product(PENALTIES, task.weightings.items()):
        weight, bias, steps = solve(features, task.training.targets, weights, penalty, len(task.labels))
        found = measures(held_out @ weight.T + bias, task.validation.targets)
        score = (found["macro_f1"], -found["loss"])
        if best is None or score > best:
            best = score
            chosen = {"penalty": penalty, "synthetic_share": share, "steps": steps, "best_step": steps}
            head = network.get_submodule(network.classifier)
            head.weight.data = torch.from_numpy(weight)
            head.bias.data = torch.from_numpy(bias)
    folder.mkdir(parents=True, exist_ok=True)
    logits = classify(network, torch.from_numpy(held_out))
    validation = measures(logits, task.validation.targets)
    write_predictions(folder, Predictions(task.labels, task.validation.ids, task.validation.targets, logits))
    training = {**task.card["training"], "key": task.key, **chosen, "validation": validation}
    save_checkpoint(folder, network, {**task.card, "training": training})
    say(f"train {task.name}: validation macro F1 {validation['macro_f1']:.3f}, accuracy {validation['accuracy']:.3f}")
    return read_card(folder)


def solve(
    features: npt.NDArray[np.float32],
    targets: npt.NDArray[np.int64],
    weights: Sequence[float],
    penalty: float,
    classes: int,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], int]:
    """(weight (classes, D), bias (classes,), iterations) for features (N, VIEWS, D) as they come from the backbone."""
    rows = features.reshape(-1, features.shape[-1])
    mean, deviation = rows.mean(axis=0), rows.std(axis=0) + 1e-3
    each = np.repeat(np.asarray(weights) / np.mean(weights) / features.shape[1], features.shape[1])
    model = LogisticRegression(C=penalty, max_iter=1000, tol=1e-3)
    model.fit((rows - mean) / deviation, np.repeat(targets, features.shape[1]), sample_weight=each)
    weight, bias = np.zeros((classes, len(mean)), np.float32), np.full(classes, NEVER, np.float32)
    coefficients, intercepts = model.coef_, model.intercept_
    if len(model.classes_) == 2:  # scikit-learn gives one row for two classes
        coefficients, intercepts = np.vstack([-coefficients, coefficients]) / 2, np.array([-1, 1]) * intercepts / 2
    weight[model.classes_] = coefficients / deviation
    bias[model.classes_] = intercepts - (coefficients / deviation) @ mean
    return weight, bias, int(np.max(model.n_iter_))
