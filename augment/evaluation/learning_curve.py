"""How recall grows with the number of real images of a class, and how many more to photograph.

Measured by cross-validation among the training images alone, on embeddings: what it says is about the data, not about
the network that is shipped, and generated images play no part.
"""

import math
import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import curve_fit

from augment.arrays import Labels, Numbers, Vectors
from augment.data.split import stratified_folds
from augment.evaluation.label_check import MOST_TAUGHT, embedding_classifier, evenly, reduced
from augment.record_types import ClassCurve, LearningCurve

SHARES = (0.25, 0.5, 0.75, 1.0)  # of the images of every class
REPEATS, FOLDS = 3, 4
LEAST_IMAGES, LEAST_GROUPS = 6, 3  # of a class; with fewer its curve is chance
# Images beyond which the principal components of all serve every fold: 48 times those of three quarters of so many cost
# minutes, and are nearly the same.
MANY = 5000
MOST_TIMES = 10  # what exists; nobody should believe a curve further out
ENOUGH, PHOTOGRAPH, MORE_THAN, TOO_FEW = "enough", "photograph", "more than", "too few"


def learning_curve(
    features: Vectors, targets: Labels, groups: Sequence[str], labels: Sequence[str], seed: int, recall_target: float
) -> LearningCurve:
    """Measure recall (0..1) at each share of the images, and derive advice for each class.

    `features` (N, D), `targets` (N,) and `groups` are those of the training images. The advice of a class is "enough",
    "photograph" or "more than" so many further images to reach `recall_target`, or "too few" images to say.
    """
    rows = evenly(targets, MOST_TAUGHT)  # of many more images the first ten thousands tell how recall grows
    shown = reduced(features[rows]) if len(rows) > MANY else features[rows]
    recall = _recall(shown, targets[rows], np.asarray(groups)[rows], len(labels), seed)
    learnt = np.bincount(targets[rows], minlength=len(labels))
    classes = {}
    for label, name in enumerate(labels):
        own = targets == label
        count, held = int(own.sum()), len({groups[row] for row in np.flatnonzero(own).tolist()})
        images = [_part(int(learnt[label]) * (FOLDS - 1) / FOLDS, share) for share in SHARES]
        curve = recall[:, label]
        known = count >= LEAST_IMAGES and held >= LEAST_GROUPS and not np.isnan(curve).any()
        says, photograph = _advice(images, curve, count, recall_target) if known else (TOO_FEW, None)
        known_recall = [None if np.isnan(value) else float(value) for value in curve]
        classes[name] = ClassCurve(images=images, recall=known_recall, now=count, says=says, photograph=photograph)
    return LearningCurve(
        recall_target=recall_target,
        shares=list(SHARES),
        macro_recall=[None if np.isnan(row).all() else float(np.nanmean(row)) for row in recall],
        classes=classes,
    )


def _part(count: float, share: float) -> int:
    return max(1, round(count * share))


def _recall(
    features: Vectors | Numbers, targets: Labels, groups: npt.NDArray[np.str_], classes: int, seed: int
) -> Numbers:
    """Return mean recall (len(SHARES), classes) over repeats and folds of whole groups; NaN for an untested class."""
    hits, tested = np.zeros((len(SHARES), classes)), np.zeros(classes)
    if len(np.unique(groups)) < FOLDS or classes < 2 or np.bincount(targets).max() < FOLDS:
        return np.full((len(SHARES), classes), np.nan)
    for repeat in range(REPEATS):
        rng = np.random.default_rng([seed % 2**32, repeat])
        for test in stratified_folds(targets, groups, FOLDS, int(rng.integers(2**31))):
            order = rng.permutation(np.delete(np.arange(len(targets)), test))
            tested += np.bincount(targets[test], minlength=classes)
            for place, share in enumerate(SHARES):
                rows = _first(order, targets, share)
                if len(np.unique(targets[rows])) < 2:
                    continue
                found = embedding_classifier(features[rows], targets[rows]).predict(features[test].astype(np.float64))
                hits[place] += np.bincount(targets[test][found == targets[test]], minlength=classes)
    with np.errstate(invalid="ignore"):
        return hits / np.where(tested > 0, tested, np.nan)


def _first(order: Labels, targets: Labels, share: float) -> Labels:
    """Return the first part of every class in `order`, at least one image of each."""
    rows = [order[targets[order] == label] for label in np.unique(targets[order])]
    return np.concatenate([own[: _part(len(own), share)] for own in rows])


def _advice(images: Sequence[int], recall: Numbers, now: int, target: float) -> tuple[str, int]:
    """Return the advice and its number of images.

    Errors are extrapolated as a n^-b with 0 <= b <= 1 (Hestness et al. 2017, arXiv:1712.00409).
    """
    if recall[-1] >= target:
        return ENOUGH, 0
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Covariance of the parameters")
        (scale, power), _ = curve_fit(
            lambda n, a, b: a * n**-b, np.array(images, float), 1 - recall, p0=(1.0, 0.3), bounds=([0, 0], [50, 1])
        )
    if scale * (MOST_TIMES * now) ** -power > 1 - target:
        return MORE_THAN, (MOST_TIMES - 1) * now
    needed = (scale / (1 - target)) ** (1 / power)
    if math.ceil(needed) <= now and images[-1] < now * (FOLDS - 1) / FOLDS - 1:  # of many images a part was learnt from
        return ENOUGH, 0
    return PHOTOGRAPH, max(1, math.ceil(needed) - now)
