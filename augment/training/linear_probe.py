"""A linear classifier on a frozen backbone: what a handful of images can train, in seconds, without overfitting.

Features of a few random transforms of every image are computed once and shared by all arms and seeds; each training is
then one convex problem (multinomial logistic regression), so that arms differ in their images and in nothing else. The
result is an ordinary checkpoint: the backbone with the fitted classifier.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from augment.arrays import Labels, Numbers, RowStore, Vectors
from augment.models.image_embedding import store_missing
from augment.record_types import TrainingResult
from augment.records import digest_of, item_seed
from augment.training.finetune import Task, classify, finished, head, measures, save_result
from augment.training.image_transforms import random_transforms, trivial_augment
from edge_runtime.bundle.preprocess import Frames
from export.features import Extract
from export.network import normalise

VARIANTS = 3  # of each image: as it is, and random transforms
PENALTIES = (0.01, 0.1)  # inverse strength of the L2 penalty on standardised features; validation chooses
NEVER = -30.0  # logit of a class that an arm has no image of


@dataclass(frozen=True)
class FeatureCache:
    """Features of images on disk: functions of image, network and transforms; runs may share them."""

    place: Path
    frames: Frames
    ids: Sequence[str]  # of the frames; an id stands for an image's content
    extract: Extract  # of the network's features
    key: object  # JSON of what the network and its input are

    def of(self, rows: Labels, strong: bool) -> Vectors:
        """Return (len(rows), VARIANTS, D) features; `strong`: TrivialAugment beside the mild transforms."""
        place = self.place / f"features-{digest_of([self.key, VARIANTS, strong])[:16]}"
        row_of = {image: row for row, image in enumerate(self.ids)}

        def compute(images: list[str]) -> Vectors:
            batch = torch.stack([variants(self.frames[row_of[image]], image, strong) for image in images])
            with torch.inference_mode():
                return self.extract(batch.flatten(0, 1)).reshape(len(images), VARIANTS, -1)

        store, ids = RowStore(place), [self.ids[row] for row in rows.tolist()]
        store_missing(store, ids, compute, "batches of images to features")
        return store.read(ids)


def variants(frame: npt.NDArray[np.uint8], image: str, strong: bool) -> Tensor:
    """Return (VARIANTS, 3, H, W) float normalised: the frame itself, then random transforms that its id seeds."""
    one = torch.from_numpy(np.array(frame[None]))
    found = [normalise(one)]
    for number in range(1, VARIANTS):
        seed = item_seed(0, "views", f"{image}/{number}")
        seen = trivial_augment(one, seed) if strong else one
        found.append(random_transforms(normalise(seen), torch.Generator().manual_seed(seed)))
    return torch.cat(found)


def fit_classifier(task: Task, cache: FeatureCache, folder: Path) -> TrainingResult:
    """Fit the classifier of `task` into `folder`, where it writes what `fit` writes but the history."""
    if (result := finished(folder, task.key)) is not None:
        return result
    network = task.build().eval()
    classifier = head(network)
    features = cache.of(task.training.rows, task.strong_transforms)
    held_out = cache.of(task.validation.rows, False)[:, 0]
    best = (-1.0, 0.0)
    for penalty, (share, weights) in itertools.product(PENALTIES, task.weightings.items()):
        judged = _judged(task, features, held_out, weights, penalty)
        found = measures(judged, task.validation.targets)
        score = (found["macro_f1"], -found["loss"])
        if score > best:
            best, logits, chosen = score, judged, {"penalty": penalty, "synthetic_share": share}
    weights = task.weightings[chosen["synthetic_share"]]
    weight, bias, steps = solve(features, task.training.targets, weights, chosen["penalty"], len(task.labels))
    classifier.weight.data = torch.from_numpy(weight)
    classifier.bias.data = torch.from_numpy(bias)
    if task.folds is None:
        logits = classify(network, torch.from_numpy(held_out))
    folder.mkdir(parents=True, exist_ok=True)
    return save_result(task, folder, network, logits, {**chosen, "steps": steps, "best_step": steps})


def _judged(task: Task, features: Vectors, held_out: Vectors, weights: Numbers, penalty: float) -> Vectors:
    """Return the logits (V, K) of the validation pictures, with folds each from a classifier that has not seen it."""
    everything = np.ones((1, len(features)), bool), np.ones((1, len(held_out)), bool)
    learned, judged = (~task.folds.left_out, task.folds.judged) if task.folds else everything
    logits = np.zeros((len(held_out), len(task.labels)), np.float32)
    for own, seen in zip(learned, judged, strict=True):
        weight, bias, _ = solve(features[own], task.training.targets[own], weights[own], penalty, len(task.labels))
        logits[seen] = held_out[seen] @ weight.T + bias
    return logits


def solve(
    features: Vectors, targets: Labels, weights: Numbers, penalty: float, classes: int
) -> tuple[Vectors, Vectors, int]:
    """Return (weight (classes, D), bias (classes,), iterations) for a backbone's features (N, VARIANTS, D)."""
    rows = features.reshape(-1, features.shape[-1])
    mean, deviation = rows.mean(axis=0), rows.std(axis=0) + 1e-3
    weight, bias = np.zeros((classes, len(mean)), np.float32), np.full(classes, NEVER, np.float32)
    if len(present := np.unique(targets)) == 1:  # as in a fold that took the last group of the other class
        bias[present] = 0
        return weight, bias, 0
    each = np.repeat(np.asarray(weights) / np.mean(weights) / features.shape[1], features.shape[1])
    model = LogisticRegression(C=penalty, max_iter=1000, tol=1e-3)
    model.fit((rows - mean) / deviation, np.repeat(targets, features.shape[1]), sample_weight=each)
    coefficients, intercepts = model.coef_, model.intercept_
    if len(model.classes_) == 2:  # scikit-learn gives one row for two classes
        coefficients, intercepts = np.vstack([-coefficients, coefficients]) / 2, np.array([-1, 1]) * intercepts / 2
    weight[model.classes_] = coefficients / deviation
    bias[model.classes_] = intercepts - (coefficients / deviation) @ mean
    return weight, bias, int(np.max(model.n_iter_))
