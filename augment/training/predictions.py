"""The validation logits that a training leaves beside its checkpoint, as predictions.json."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from augment.arrays import Labels, Numbers, Vectors
from augment.json_objects import write_json
from augment.record_types import PlainJson
from edge_runtime.bundle.errors import InputError, os_errors_as

PREDICTIONS_FILE = "predictions.json"


@dataclass(frozen=True)
class Predictions:
    """What a network said of N images whose labels are known."""

    labels: tuple[str, ...]  # the K classes
    ids: Sequence[str]  # of the images
    targets: Labels  # (N,) the true classes
    logits: Numbers | Vectors  # (N, K); of a spatial head, logarithms of its rule's probabilities
    head: PlainJson | None = None  # of a spatial head
    scores: Numbers | None = None  # (N, M), what a spatial head said of each image
    painted: Numbers | None = None  # (N, M), and once the image's boxes are painted over; NaN without a box

    @property
    def predicted(self) -> Labels:
        """The likeliest class of each image, (N,)."""
        return np.asarray(self.logits.argmax(axis=1), np.int64)


def write_predictions(checkpoint: Path, predictions: Predictions) -> None:
    """Write predictions.json into the folder of a checkpoint, whole or not at all."""
    rows = zip(predictions.ids, predictions.targets.tolist(), predictions.logits.tolist(), strict=True)
    images = [{"id": item, "label": predictions.labels[target], "logits": row} for item, target, row in rows]
    content: dict[str, object] = {"labels": list(predictions.labels), "images": images}
    if predictions.scores is not None:
        content["head"] = predictions.head
        for image, scores in zip(images, predictions.scores.tolist(), strict=True):
            image["scores"] = scores
    if predictions.painted is not None:
        for image, scores in zip(images, predictions.painted, strict=True):
            image["painted"] = None if np.isnan(scores).any() else scores.tolist()
    write_json(checkpoint / PREDICTIONS_FILE, content)


def read_predictions(checkpoint: Path) -> Predictions:
    """Read predictions.json from the folder of a checkpoint. Raises InputError where it is not there."""
    with os_errors_as(InputError, f"{checkpoint} holds no predictions that can be read", "run `rarefault train` again"):
        found = json.loads((checkpoint / PREDICTIONS_FILE).read_bytes())
    labels, images = tuple(found["labels"]), found["images"]
    return Predictions(
        labels,
        [image["id"] for image in images],
        np.array([labels.index(image["label"]) for image in images], dtype=np.int64),
        np.array([image["logits"] for image in images], dtype=np.float64),
        found.get("head"),
        np.array([image["scores"] for image in images], dtype=np.float64) if "head" in found else None,
        _painted(images),
    )


def _painted(images: Sequence[Mapping[str, Any]]) -> Numbers | None:
    """Return the scores (N, M) of painted copies, NaN where an image has none; None where none was judged."""
    if not any(image.get("painted") for image in images):
        return None
    blank = [np.nan] * len(images[0]["scores"])
    return np.array([image.get("painted") or blank for image in images], dtype=np.float64)
