"""Stage 8, compare: every arm on the locked test set, with intervals, paired tests and a verdict.

Nothing that it finds goes back into a training.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save
from safetensors.torch import save as save_torch
from torch import Tensor, nn

from augment.arrays import Vectors
from augment.data.image_store import ImageStore
from augment.data.split import TEST
from augment.evaluation.arm_comparison import Truth, summarise
from augment.evaluation.tables import METRIC_NAMES, points
from augment.models.model_folders import pick_device
from augment.progress import progress
from augment.record_types import ComparisonRecord, ComparisonSummary, DatasetRecord, TrainingRecord
from augment.records import COMPARISON, DATASET, TRAINING, Document, RunFolder, StageInputs, digest_of
from augment.settings import CompareSettings, Settings
from augment.training.finetune import classify, pooled_features
from augment.training.frame_cache import cached_frames
from augment.training.predictions import read_predictions
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.files import replace_file, sha256_bytes
from edge_runtime.bundle.preprocess import Frames, PreprocessSpec
from export.calibration import fit_temperature
from export.checkpoint import WEIGHTS_FILE, load_checkpoint

ComparisonDocument = Document[ComparisonRecord, ComparisonSummary]


def run(settings: Settings, folder: RunFolder) -> ComparisonDocument:
    """Measure all trainings: one record per test image with every training's label, and the summary of the arms.

    RUN/comparison/logits/<arm>/seed-<n>.safetensors keeps the `logits` (N, K), in the order of the records.
    """
    dataset, training = folder.require(DATASET), folder.require(TRAINING)
    others = {"seed": settings.seed, "dataset": dataset.digest}
    weights = {record.id: record.sha256 for record in training.records}
    inputs = StageInputs.of(training.digest, settings.compare, others, weights)
    if done := folder.finished(COMPARISON, inputs):
        return done
    _check_arms(settings.compare, training.records)
    images = sorted((record for record in dataset.records if record.split == TEST), key=lambda record: record.id)
    if not images:
        raise InputError("no image is set apart for testing; raise data.test_share, and run `rarefault dataset` again")
    spec = PreprocessSpec.from_json(training.summary.input)
    place = folder.subfolder(COMPARISON.document)
    frames = cached_frames(place, images, spec, ImageStore(settings).frame, dataset.digest, "test images")
    seen, logits = _Backbones(frames, pick_device(settings.device)), {}
    for record in progress(training.records, len(training.records), "trainings compared"):
        path = place / "logits" / f"{record.id}.safetensors"  # a killed run keeps those it has
        key = digest_of([record.sha256, dataset.digest, spec.to_json()])
        logits[record.id] = _logits(folder.path / record.path, record, seen, path, key)
    labels = training.summary.labels
    targets = np.array([labels.index(record.label) for record in images])
    faults, groups = tuple(training.summary.fault_labels), [record.group for record in images]
    truth = Truth(tuple(labels), faults, targets, groups)
    calibrated = {r.id: logits[r.id] / temperature(folder.path / r.path) for r in training.records}
    summary = summarise(settings, training.records, truth, calibrated)
    return folder.write(Document(COMPARISON, inputs, _records(images, labels, logits), summary))


def summary_line(document: ComparisonDocument) -> str:
    """Say in one line what the stage found."""
    summary = document.summary
    change = summary.differences[summary.candidate].metrics[summary.metric]
    return (
        f"{summary.verdict}: {METRIC_NAMES[summary.metric]} of {summary.candidate} minus {summary.baseline} is "
        f"{points(change)} on {summary.test.images} test images"
    )


# Measuring


def temperature(checkpoint: Path) -> float:
    """Return the temperature that the validation predictions beside a checkpoint ask for."""
    found = read_predictions(checkpoint)
    return fit_temperature(found.logits, found.targets)


def _check_arms(section: CompareSettings, trainings: Sequence[TrainingRecord]) -> None:
    trained = {record.arm for record in trainings}
    for key, arm in (("baseline", section.baseline), ("candidate", section.candidate)):
        if arm not in trained:
            raise InputError(
                f"compare.{key} is {arm!r}, but only {', '.join(sorted(trained))} were trained; "
                "name it in train.arms and run `rarefault train`"
            )


class _Backbones:
    """The features of the test frames; of networks that differ in their classifier alone they are computed once."""

    def __init__(self, frames: Frames, device: str) -> None:
        self._frames, self._device = frames, device
        self._latest: tuple[str, Tensor] | None = None

    def logits(self, network: nn.Module) -> Vectors:
        """Return the logits (N, K) of the test frames."""
        network.to(self._device)
        prefix = f"{network.classifier}."
        state = {name: t for name, t in network.state_dict().items() if not name.startswith(prefix)}
        digest = sha256_bytes(save_torch({name: tensor.contiguous() for name, tensor in state.items()}))
        if self._latest is None or self._latest[0] != digest:
            self._latest = digest, pooled_features(network, self._frames, self._device)
        return classify(network, self._latest[1])


def _logits(checkpoint: Path, record: TrainingRecord, seen: _Backbones, path: Path, key: str) -> Vectors:
    if path.exists():
        with safe_open(path, "np") as file:
            if (file.metadata() or {}).get("key") == key:
                known: Vectors = file.get_tensor("logits")
                return known
    network, card = load_checkpoint(checkpoint)
    if card["files"][WEIGHTS_FILE]["sha256"] != record.sha256:
        raise InputError(f"{checkpoint} is not what the training document describes; run `rarefault train` again")
    logits = seen.logits(network)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, save({"logits": logits}, {"key": key}))
    return logits


def _records(
    images: Sequence[DatasetRecord], labels: Sequence[str], logits: Mapping[str, Vectors]
) -> list[ComparisonRecord]:
    predicted = {training: [labels[k] for k in found.argmax(axis=1)] for training, found in logits.items()}
    of_images = [{training: found[row] for training, found in predicted.items()} for row in range(len(images))]
    return [
        ComparisonRecord(id=image.id, label=image.label, group=image.group, predicted=of_image)
        for image, of_image in zip(images, of_images, strict=True)
    ]
