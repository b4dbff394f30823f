"""Check whether a generated image shows what its label says, by two sets of classifiers that have not seen it.

One is trained on real images alone, in folds, and knows the fault; the other on real images and the other generated
ones, which share the generator's look, so that a few wrong labels stand out (confident learning, Northcutt et al. 2021,
arXiv:1911.00068). Both log-probabilities are averaged: an image that the whole generator gets wrong fools only the
second, a look that the camera never has confuses only the first. No image, real or generated, is judged by a classifier
that learnt from its own source; and a class whose real images the first set does not recognise is not judged.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh
from sklearn.linear_model import LogisticRegression

from augment.arrays import Labels, Numbers, Vectors
from augment.data.split import stratified_folds
from augment.record_types import DatasetRecord, GeneratedRecord
from augment.records import item_seed

FOLDS = 4
MOST_TAUGHT = 20_000  # images that a classifier learns from; with more its time grows and its judgement does not
JUDGED_AT_ONCE = 8192  # images
DIMENSIONS = 128  # of the embedding that are kept; the rest costs time and adds nothing
DOUBT = 1.0  # nats, of both classifiers together, by which another class may be likelier
LEAST_RECALL = 0.5  # of a class's real images by the first set; with less it knows nothing about the class
NEVER = 1e-6  # probability of a class that a classifier has no image of


def agreement(
    seed: int, training: Sequence[DatasetRecord], real: Vectors, painted: Sequence[GeneratedRecord], pool: Vectors
) -> tuple[Labels, list[str]]:
    """Return for each generated image how many classes are clearly likelier than its label, and the likeliest label.

    The number is 0 where the classifiers cannot judge the label.
    """
    labels = sorted({record.label for record in training} | {record.label for record in painted})
    place = {label: number for number, label in enumerate(labels)}
    own = np.array([place[record.label] for record in painted], np.int64)
    if not len(own):
        return own, []
    fold_of = _folds(training, item_seed(seed, "curation", "committee"))
    targets = np.array([place[record.label] for record in training])
    group_of = {record.id: record.group for record in training}
    folds = np.array([_fold(record, group_of, fold_of) for record in painted])
    real_folds = np.array([fold_of[record.group] for record in training])
    total = np.zeros((len(painted), len(labels)))
    recognised = np.zeros(len(targets), bool)
    for fold in range(FOLDS):
        asked, taught = folds == fold, real_folds != fold
        if len(np.unique(targets[taught])) < 2:  # all that is left shows one class: this fold judges nothing
            continue
        knows = embedding_classifier(real[taught], targets[taught])
        if not taught.all():
            recognised[~taught] = in_blocks(knows.predict, real[~taught]) == targets[~taught]
        if not asked.any():
            continue
        joined = Joined(real, np.flatnonzero(taught), pool, np.flatnonzero(~asked))
        sees = embedding_classifier(joined, np.concatenate([targets[taught], own[~asked]]))
        for model in (knows, sees):
            total[asked] += np.log(probabilities_of(model, pool[asked], len(labels)))
    ranks = (total > total[np.arange(len(own)), own][:, None] + DOUBT).sum(axis=1)
    known = [label for label in range(len(labels)) if recognised[targets == label].mean() >= LEAST_RECALL]
    return np.where(np.isin(own, known), ranks, 0), [labels[best] for best in total.argmax(axis=1)]


@dataclass(frozen=True)
class Joined:
    """The `rows` of embeddings `real` (N, D), and behind them the `pool_rows` of `pool` (M, D), joined as asked for.

    Both may be many, and no classifier learns from all.
    """

    real: Vectors
    rows: Labels
    pool: Vectors
    pool_rows: Labels

    def __getitem__(self, places: Labels) -> npt.NDArray[Any]:
        """Return the embeddings at the ascending `places`."""
        first = int(np.searchsorted(places, len(self.rows)))
        before, behind = self.rows[places[:first]], self.pool_rows[places[first:] - len(self.rows)]
        if not len(behind):  # an empty pool does not know how long an embedding is
            return np.asarray(self.real[before])
        return np.concatenate([self.real[before], self.pool[behind]])


def recall_with(
    features: npt.NDArray[Any] | Joined, labels: Sequence[str], held_out: npt.NDArray[Any], truth: Sequence[str]
) -> dict[str, float | None]:
    """Measure a classifier trained on `features` by its recall of each class on held-out images; None without any."""
    names = sorted(set(labels))
    if len(names) < 2 or not truth:
        return dict.fromkeys(names)
    model = embedding_classifier(features, np.array([names.index(label) for label in labels]))
    found, true = np.array(names)[in_blocks(model.predict, held_out)], np.array(truth)
    return {name: float(np.mean(found[true == name] == name)) if (true == name).any() else None for name in names}


def _folds(training: Sequence[DatasetRecord], seed: int) -> dict[str, int]:
    """Assign a fold to each group of training images."""
    labels = [record.label for record in training]
    groups = [record.group for record in training]
    fold_of = {group: place % FOLDS for place, group in enumerate(sorted(set(groups)))}
    if len(fold_of) >= FOLDS and max(Counter(labels).values()) >= FOLDS:
        for fold, rows in enumerate(stratified_folds(labels, groups, FOLDS, seed)):
            fold_of |= {groups[row]: fold for row in rows.tolist()}
    return fold_of


def _fold(record: GeneratedRecord, group_of: Mapping[str, str], fold_of: Mapping[str, int]) -> int:
    """Return the fold of the real image that a generated one starts from; by its id where it starts from none."""
    group = group_of.get(record.host or record.source, "")
    return fold_of[group] if group in fold_of else int(item_seed(0, "committee", record.id) % FOLDS)


@dataclass(frozen=True)
class EmbeddingClassifier:
    """A logistic regression on the principal components of embeddings (N, D)."""

    mean: Numbers  # (D,)
    components: Numbers  # (D, C)
    model: LogisticRegression

    @property
    def classes(self) -> Labels:
        """The classes that it has learnt, in the order of its probabilities."""
        known: Labels = self.model.classes_
        return known

    def predict(self, features: npt.NDArray[Any]) -> Labels:
        """Return the likeliest class (N,) of each of (N, D) embeddings."""
        found: Labels = self.model.predict((features - self.mean) @ self.components)
        return found

    def predict_proba(self, features: npt.NDArray[Any]) -> Numbers:
        """Return the probability of each class (N, classes) for (N, D) embeddings."""
        found: Numbers = self.model.predict_proba((features - self.mean) @ self.components)
        return found


def embedding_classifier(features: npt.NDArray[Any] | Joined, targets: Labels) -> EmbeddingClassifier:
    """Fit a balanced logistic regression on embeddings (N, D): quick, and good enough to judge images by.

    Of more than MOST_TAUGHT it learns from so many, as large a part of each class.
    """
    rows = evenly(targets, MOST_TAUGHT)
    shown = features[rows].astype(np.float64)
    mean = shown.mean(axis=0)
    shown -= mean
    components = principal_components(shown, DIMENSIONS)
    model = LogisticRegression(C=100.0, max_iter=500, tol=1e-3, class_weight="balanced")
    return EmbeddingClassifier(mean, components, model.fit(shown @ components, targets[rows]))


def reduced(features: npt.NDArray[Any]) -> Numbers:
    """Return embeddings (N, D) as their first DIMENSIONS principal components (N, C), around their mean."""
    centred = features.astype(np.float64)
    centred -= centred.mean(axis=0)
    return np.asarray(centred @ principal_components(centred, DIMENSIONS))


def principal_components(centred: Numbers, count: int) -> Numbers:
    """Return the directions (D, C) along which rows (N, D) of mean 0 vary most, at most `count`, the first most.

    Only these are computed, and from the products of rows where they are fewer than D: all eigenvectors of a large
    matrix take several times as long.
    """
    few = len(centred) < centred.shape[1]
    products = centred @ centred.T if few else centred.T @ centred
    size = len(products)
    values, vectors = eigh(products, subset_by_index=(size - min(count, size), size - 1), overwrite_a=True)
    # Rows of mean 0 vary along one direction fewer than they are, and along fewer where they depend on each other.
    vectors = vectors[:, values > values[-1] * size * np.finfo(float).eps][:, ::-1]
    if not vectors.shape[1]:  # all rows are equal: any direction says so
        return np.eye(centred.shape[1], 1)
    if not few:
        return np.asarray(vectors)
    directions = centred.T @ vectors
    return np.asarray(directions / np.linalg.norm(directions, axis=0))


def evenly(targets: Labels, most: int) -> Labels:
    """Return the rows of about `most` images, spread evenly over each class (N,), one at least; all of fewer."""
    if len(targets) <= most:
        return np.arange(len(targets))
    of_classes = [np.flatnonzero(targets == label) for label in np.unique(targets)]
    part = most / len(targets)
    return np.sort(np.concatenate([rows[_spread(len(rows), part)] for rows in of_classes]))


def _spread(count: int, part: float) -> Labels:
    return np.linspace(0, count - 1, max(1, round(part * count))).astype(np.int64)


def in_blocks(judge: Callable[[npt.NDArray[Any]], npt.NDArray[Any]], features: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return what `judge` says of features (N, D), given some rows at a time as numbers of 8 bytes."""
    starts = range(0, max(1, len(features)), JUDGED_AT_ONCE)
    return np.concatenate([judge(features[start : start + JUDGED_AT_ONCE].astype(np.float64)) for start in starts])


def probabilities_of(model: EmbeddingClassifier, features: npt.NDArray[Any], classes: int) -> Numbers:
    """Return probabilities (N, classes), all of them above 0."""
    found = np.full((len(features), classes), NEVER)
    found[:, model.classes] = np.maximum(in_blocks(model.predict_proba, features), NEVER)
    return found
