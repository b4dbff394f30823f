"""Stage 8, compare: every arm on the locked test set, with intervals, paired tests and a verdict.

The only stage that opens test images. Nothing that it finds goes back into a training.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save
from safetensors.torch import save as save_torch
from torch import Tensor, nn

from augment.arrays import Numbers
from augment.data.image_store import ImageStore
from augment.evaluation.arm_comparison import Truth, summarise
from augment.evaluation.tables import METRIC_NAMES, points, table
from augment.models.model_folders import pick_device
from augment.progress import progress
from augment.records import Document, Record, RunFolder, digest_of
from augment.settings import CompareSettings, Settings, as_json
from augment.training.finetune import classify, pooled_features
from augment.training.frame_cache import cached_frames
from augment.training.predictions import read_predictions
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.files import replace_file, sha256_bytes
from edge_runtime.bundle.preprocess import Frames, PreprocessSpec
from export.calibration import fit_temperature
from export.checkpoint import WEIGHTS_FILE, load_checkpoint

STAGE = "comparison"
__all__ = ["STAGE", "run", "table", "told"]


def run(settings: Settings, folder: RunFolder) -> Document:
    """Measure all trainings: one record per test image with every training's label, and the summary of the arms.

    RUN/comparison/logits/<arm>/seed-<n>.safetensors keeps the `logits` (N, K), in the order of the records.
    """
    dataset, training = folder.require("dataset"), folder.require("training")
    inputs = {
        "parent": training.digest,
        "settings": {"seed": settings.seed, "dataset": dataset.digest, **as_json(settings.compare)},
        "models": {record["id"]: record["sha256"] for record in training.records},
    }
    if done := folder.finished(STAGE, **inputs):
        return done
    _check_arms(settings.compare, training.records)
    images = sorted((record for record in dataset.records if record["split"] == "test"), key=lambda item: item["id"])
    if not images:
        raise InputError("no image is set apart for testing; raise data.test_share, and run `rarefault dataset` again")
    logits = _measure(settings, folder, training, dataset.digest, images)
    labels = training.summary["labels"]
    targets = np.array([labels.index(record["label"]) for record in images])
    faults = tuple(training.summary["fault_labels"])
    truth = Truth(tuple(labels), faults, targets, [record["group"] for record in images])
    calibrated = {r["id"]: logits[r["id"]] / temperature(folder.path / r["path"]) for r in training.records}
    summary = summarise(settings, training, truth, calibrated)
    return folder.write(Document(STAGE, records=_records(images, labels, logits), summary=summary, **inputs))


def told(document: Document) -> str:
    """The stage in one line."""
    summary = document.summary
    metric, candidate, baseline = (summary[key] for key in ("metric", "candidate", "baseline"))
    change = summary["differences"][candidate]["metrics"][metric]
    return (
        f"{summary['verdict']}: {METRIC_NAMES[metric]} of {candidate} minus {baseline} is {points(change)} "
        f"on {summary['test']['images']} test images"
    )


# Measuring


def temperature(checkpoint: Path) -> float:
    """What the validation predictions beside a checkpoint ask for."""
    found = read_predictions(checkpoint)
    return fit_temperature(found.logits, found.targets)


def _check_arms(section: CompareSettings, trainings: Sequence[Record]) -> None:
    trained = {record["arm"] for record in trainings}
    for key, arm in (("baseline", section.baseline), ("candidate", section.candidate)):
        if arm not in trained:
            raise InputError(
                f"compare.{key} is {arm!r}, but only {', '.join(sorted(trained))} were trained; "
                "name it in train.arms and run `rarefault train`"
            )


def _measure(
    settings: Settings, folder: RunFolder, training: Document, dataset: str, images: Sequence[Record]
) -> dict[str, Numbers]:
    """Logits of every training on the test images, by the training's id; a killed run keeps those it has."""
    spec = PreprocessSpec.from_json(training.summary["input"])
    frames = cached_frames(folder.stage(STAGE), images, spec, ImageStore(settings).frame, dataset, "test images")
    seen = _Backbones(frames, pick_device(settings.device))
    logits = {}
    for record in progress(training.records, len(training.records), "trainings compared"):
        path = folder.stage(STAGE) / "logits" / f"{record['id']}.safetensors"
        key = digest_of([record["sha256"], dataset, spec.to_json()])
        logits[record["id"]] = _logits(folder.path / record["path"], record, seen, path, key)
    return logits


class _Backbones:
    """Features of the test frames; of networks that differ in their classifier alone they are computed once."""

    def __init__(self, frames: Frames, device: str) -> None:
        self._frames, self._device = frames, device
        self._latest: tuple[str, Tensor] | None = None

    def logits(self, network: nn.Module) -> Numbers:
        """(N, K) of the test frames."""
        network.to(self._device)
        state = {name: t for name, t in network.state_dict().items() if not name.startswith(f"{network.classifier}.")}
        digest = sha256_bytes(save_torch({name: tensor.contiguous() for name, tensor in state.items()}))
        if self._latest is None or self._latest[0] != digest:
            self._latest = digest, pooled_features(network, self._frames, self._device)
        return classify(network, self._latest[1])


def _logits(checkpoint: Path, record: Record, seen: _Backbones, path: Path, key: str) -> Numbers:
    if path.exists():
        with safe_open(path, "np") as file:
            if (file.metadata() or {}).get("key") == key:
                return file.get_tensor("logits")
    network, card = load_checkpoint(checkpoint)
    if card["files"][WEIGHTS_FILE]["sha256"] != record["sha256"]:
        raise InputError(f"{checkpoint} is not what the training document describes; run `rarefault train` again")
    logits = seen.logits(network)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, save({"logits": logits}, {"key": key}))
    return logits


def _records(images: Sequence[Record], labels: Sequence[str], logits: Mapping[str, Numbers]) -> list[Record]:
    predicted = {training: [labels[k] for k in found.argmax(axis=1)] for training, found in logits.items()}
    return [
        {
            "id": record["id"],
            "label": record["label"],
            "group": record["group"],
            "predicted": {training: found[row] for training, found in predicted.items()},
        }
        for row, record in enumerate(images)
    ]
