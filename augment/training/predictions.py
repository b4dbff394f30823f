"""The validation logits that a training leaves beside its checkpoint, as predictions.json."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from augment.arrays import Labels, Numbers, Vectors
from augment.json_objects import write_json
from augment.record_types import PlainJson
from edge_runtime.bundle.errors import InputError, os_errors_as

PREDICTIONS_FILE = "predictions.json"
PAINTED = "painted"  # of the changed copies: the picture with the boxes of its faults painted over


@dataclass(frozen=True)
class Predictions:
    """What a network said of N images whose labels are known."""

    labels: tuple[str, ...]  # the K classes
    ids: Sequence[str]  # of the images
    targets: Labels  # (N,) the true classes
    logits: Numbers | Vectors  # (N, K); of a spatial head, logarithms of its rule's probabilities
    head: PlainJson | None = None  # of a spatial head
    scores: Numbers | None = None  # (N, M), what a spatial head said of each image
    copies: Mapping[str, Numbers] = field(default_factory=dict)  # (N, M) each, of changed copies; NaN without one

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
    for at, image in enumerate(images if predictions.copies else []):
        own = {name: scores[at] for name, scores in predictions.copies.items()}
        image["copies"] = {name: scores.tolist() for name, scores in own.items() if not np.isnan(scores).any()}
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
        _copies(images),
    )


def _copies(images: Sequence[Mapping[str, Any]]) -> dict[str, Numbers]:
    """Return the scores (N, M) of changed copies by what was done to them, NaN where an image has none."""
    found = {name for image in images for name in image.get("copies", {})}
    blank = [np.nan] * len(images[0].get("scores", ()))
    return {
        name: np.array([image["copies"].get(name, blank) for image in images], np.float64) for name in sorted(found)
    }
