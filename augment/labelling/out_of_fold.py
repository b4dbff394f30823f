"""How likely each label is for each picture, by classifiers that have not learnt from the picture.

The trainings of a run say it of the pictures that they were validated on, and its bundle of test pictures and of
pictures that no run has seen. For the rest a quick classifier on embeddings is taught in folds, each without the
pictures that it judges and without all that show the same thing.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from augment.arrays import Labels, Numbers, Vectors
from augment.data.split import TEST, stratified_folds
from augment.evaluation.arm_comparison import of_arms
from augment.evaluation.label_check import embedding_classifier, probabilities_of
from augment.labelling.order import UNKNOWN
from augment.records import DATASET, TRAINING, RunFolder
from augment.settings import Settings
from augment.training.arms import stand_in
from augment.training.predictions import read_predictions
from edge_runtime.bundle.decision import Decision, DecisionRule
from export.calibration import fit_temperature

FOLDS = 5
Chances = Mapping[str, npt.NDArray[np.float64]]
"""Probabilities (K,) of the labels, by the id of the picture."""


def by_embedding(vectors: Vectors, targets: Labels, groups: Sequence[str], classes: int, seed: int) -> Numbers | None:
    """Return probabilities (N, K) of N pictures from their embeddings (N, D); None with labels of one class only.

    `targets` (N,) may be UNKNOWN: such a picture is judged by a classifier of all that have a label.
    """
    known = np.flatnonzero(targets != UNKNOWN)
    if len(np.unique(targets[known])) < 2:
        return None
    found = np.full((len(targets), classes), 1 / classes)
    blank = np.flatnonzero(targets == UNKNOWN)
    if len(blank):
        found[blank] = probabilities_of(embedding_classifier(vectors[known], targets[known]), vectors[blank], classes)
    own_groups = [groups[row] for row in known.tolist()]
    for places in stratified_folds(targets[known], own_groups, FOLDS, seed):
        judged = known[places]
        taught = np.setdiff1d(known, judged)
        if len(judged) and len(np.unique(targets[taught])) > 1:
            model = embedding_classifier(vectors[taught], targets[taught])
            found[judged] = probabilities_of(model, vectors[judged], classes)
    total: Numbers = found.sum(axis=1, keepdims=True)
    return np.asarray(found / total, np.float64)


def by_run(run: Path, settings: Settings, labels: Sequence[str]) -> tuple[Chances, set[str]]:
    """Return what the packed trainings of a run said of pictures they were validated on, and the ids of its test set.

    Both are empty where the run has not come so far.
    """
    folder = RunFolder(run)
    dataset, training = folder.latest(DATASET), folder.latest(TRAINING)
    tests = {record.id for record in dataset.records if record.split == TEST} if dataset else set()
    if training is None or not training.records:
        return {}, tests
    found: dict[str, list[npt.NDArray[np.float64]]] = {}
    for record in of_arms(training.records)[stand_in(settings.export.arm, training.records)]:
        said = read_predictions(run / record.path)
        known = [place for place, label in enumerate(said.labels) if label in labels]
        columns = [labels.index(said.labels[place]) for place in known]
        rule = DecisionRule(said.labels, (), fit_temperature(said.logits, said.targets))
        for name, row in zip(said.ids, rule.probabilities(said.logits), strict=True):
            wide = np.zeros(len(labels))
            wide[columns] = row[known]
            found.setdefault(name, []).append(wide)
    return {name: np.mean(rows, axis=0) for name, rows in found.items()}, tests


def of_decision(decision: Decision, labels: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return the chances (K,) of the labels that a bundle's decision leaves, which add up to 1."""
    found = np.zeros(len(labels))
    for label, chance in decision.top:
        found[labels.index(label)] = chance
    total = float(found.sum())
    return found / total if total > 0 else np.full(len(labels), 1 / len(labels))


def joined(ids: Sequence[str], base: Numbers | None, better: Chances) -> Numbers | None:
    """Return (N, K): of each picture what `better` says, else its row of `base`, else the same for every label.

    None where nothing says anything of any picture.
    """
    if base is None and not any(picture in better for picture in ids):
        return None
    classes = len(next(iter(better.values()))) if base is None else base.shape[1]
    even = np.full(classes, 1 / classes)
    return np.stack([better.get(name, even if base is None else base[row]) for row, name in enumerate(ids)])
