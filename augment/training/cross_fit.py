"""Cross-fitting: every real picture is judged by a training that has not seen it, and the last one learns from all.

With few faults a validation set would hold a handful of them, and what is fitted on it (thresholds, calibration) would
rest on those. So the real training and validation pictures are dealt into folds of whole groups.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from augment import record_types as types
from augment.data.split import stratified_folds
from augment.training.arms import TrainingImage
from edge_runtime.bundle.errors import InputError

Chosen = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Folds:
    """K trainings beside the last one, which learns from all N examples."""

    left_out: Chosen  # (K, N) which of the examples each leaves out
    judged: Chosen  # (K, V) which of the held-out pictures each judges; every picture is judged once


def folds_of(
    examples: Sequence[TrainingImage],
    held_out: Sequence[types.DatasetRecord],
    made: Mapping[str, types.GeneratedRecord],
    folds: int,
    seed: int,
) -> Folds:
    """Deal the `held_out` pictures into `folds`; `made` are the records of generated examples by id.

    A generated example is left out wherever its source or its host is: it shows what they show. The folds do not depend
    on the examples, so that all arms are judged on the same.
    """
    groups = [image.group for image in held_out]
    if len(set(groups)) < folds:
        raise InputError(
            f"train.cross_fit is {folds}, but the training and validation pictures are {len(set(groups))} groups; "
            "lower it, or add pictures"
        )
    dealt = stratified_folds([image.label for image in held_out], groups, folds, seed)
    fold_of = {held_out[place].id: fold for fold, places in enumerate(dealt) for place in places.tolist()}
    left_out = np.zeros((folds, len(examples)), bool)
    for place, image in enumerate(examples):
        record = made.get(image.id)
        for seen in (image.id,) if record is None else (record.source, record.host):
            if seen in fold_of:
                left_out[fold_of[seen], place] = True
    judged = np.zeros((folds, len(held_out)), bool)
    for fold, places in enumerate(dealt):
        judged[fold, places] = True
    return Folds(left_out, judged)
