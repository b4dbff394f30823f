"""A linear classifier on a frozen backbone: what a handful of images can train, in seconds, without overfitting.

Features of a few random views of every image are computed once and shared by all arms and seeds; each training is then
one convex problem (multinomial logistic regression), so that arms differ in their images and in nothing else. The
result is an ordinary checkpoint: the backbone with the fitted classifier.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from augment.fit import Task, finished, measures, predict, predictions, write_json
from augment.frames import Frames
from augment.progress import progress, say
from augment.records import digest_of, item_seed
from augment.views import random_views, trivial_augment
from export.checkpoint import read_card, save_checkpoint
from export.network import normalise

VIEWS = 3  # of each image: as it is, and random ones
PENALTIES = (0.01, 0.1)  # inverse strength of the L2 penalty on standardised features; validation chooses
ROWS_PER_BLOCK = 64
NEVER = -30.0  # logit of a class that an arm has no image of

Features = npt.NDArray[np.float16]


@dataclass(frozen=True)
class FeatureCache:
    """Features (rows, VIEWS, D) of the frame cache's images, on disk in blocks, so that a killed run keeps them."""

    place: Path
    frames: Frames
    network: nn.Module  # in evaluation mode
    device: str
    seed: int
    key: Mapping[str, Any]  # what frames and network are

    def of(self, rows: npt.NDArray[np.int64], strong: bool) -> Features:
        """Features of some rows; `strong`: TrivialAugment beside the mild views."""
        wanted = np.unique(rows // ROWS_PER_BLOCK).tolist()
        digest = digest_of([dict(self.key), self.seed, VIEWS, strong])[:16]
        folder = self.place / f"features-{digest}"
        folder.mkdir(parents=True, exist_ok=True)
        missing = [block for block in wanted if not (folder / f"{block:05d}.npy").exists()]
        for block in progress(missing, len(missing), f"blocks of {ROWS_PER_BLOCK} images to features"):
            self._write(folder / f"{block:05d}.npy", block, strong)
        found = {block: np.load(folder / f"{block:05d}.npy", allow_pickle=False) for block in wanted}
        return np.stack([found[row // ROWS_PER_BLOCK][row % ROWS_PER_BLOCK] for row in rows.tolist()])

    def _write(self, path: Path, block: int, strong: bool) -> None:
        frames = torch.from_numpy(np.array(self.frames[block * ROWS_PER_BLOCK : (block + 1) * ROWS_PER_BLOCK]))
        views = [normalise(frames)]
        for view in range(1, VIEWS):
            seed = item_seed(self.seed, "features", f"{block}/{view}")
            seen = trivial_augment(frames, seed) if strong else frames
            views.append(random_views(normalise(seen), torch.Generator().manual_seed(seed)))
        with torch.inference_mode():
            features = [self.network.features(view.to(self.device)).mean((2, 3)).cpu().numpy() for view in views]
        spare = path.with_suffix(".part")
        with spare.open("wb") as file:
            np.save(file, np.stack(features, axis=1).astype(np.float16), allow_pickle=False)
        spare.replace(path)


def fit_classifier(task: Task, cache: FeatureCache, folder: Path) -> dict[str, Any]:
    """Fit the classifier of `task` into `folder`; returns the checkpoint's card. Files as `fit` writes them."""
    if (card := finished(folder, task.key)) is not None:
        return card
    network = task.build().to(cache.device).eval()
    features = cache.of(task.training.rows, task.strong_views).astype(np.float32)
    held_out = cache.of(task.validation.rows, False)[:, 0].astype(np.float32)
    best: tuple[float, float] | None = None
    for penalty in PENALTIES:
        weight, bias, steps = _solve(features, task.training.targets, task.weights, penalty, len(task.labels))
        found = measures(held_out @ weight.T + bias, task.validation.targets)
        score = (found["macro_f1"], -found["loss"])
        if best is None or score > best:
            best, chosen = score, {"penalty": penalty, "steps": steps, "best_step": steps}
            head = network.get_submodule(network.classifier)
            head.weight.data = torch.from_numpy(weight).to(cache.device)
            head.bias.data = torch.from_numpy(bias).to(cache.device)
    folder.mkdir(parents=True, exist_ok=True)
    logits = predict(network, cache.frames[task.validation.rows], cache.device)
    validation = measures(logits, task.validation.targets)
    write_json(folder / "predictions.json", predictions(task.labels, task.validation, logits))
    training = {**task.card["training"], "key": task.key, **chosen, "validation": validation}
    save_checkpoint(folder, network, {**task.card, "training": training})
    say(f"train {task.name}: validation macro F1 {validation['macro_f1']:.3f}, accuracy {validation['accuracy']:.3f}")
    return read_card(folder)


def _solve(
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
