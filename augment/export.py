"""Stage 9, export: the chosen classifier, calibrated on validation images, packed as the bundle that stations run."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from augment.images import ImageStore
from augment.records import Document, Record, RunFolder
from augment.settings import Settings, as_json
from edge_runtime.bundle.decision import DecisionRule
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.manifest import model_file
from export.calibration import choose_thresholds, fit_temperature
from export.golden import LabelledFrame
from export.pack import pack_bundle

STAGE = "export"
FRAMES_PER_LABEL = 12  # validation images per class that golden frames and parity are measured on


def run(settings: Settings, folder: RunFolder) -> Document:
    """Pack RUN/bundle: one record per precision with its digest, size and parity with the network."""
    comparison, training = folder.require("comparison"), folder.require("training")
    chosen = choose(training.records, settings.export.arm)
    inputs = {
        "parent": comparison.digest,
        "settings": as_json(settings.export),
        "models": {chosen["id"]: chosen["sha256"]},
    }
    done = folder.finished(STAGE, **inputs)
    if done and (folder.path / "bundle" / "manifest.json").exists():
        return done
    rule, thresholds = calibrate(settings, folder, training, chosen)
    manifest = pack_bundle(
        folder.path / chosen["path"],
        held_out_frames(settings, folder.require("dataset").records),
        folder.path / "bundle",
        name=settings.export.name,
        version=f"{training.version}.{comparison.version}.0",
        decision=rule,
        metrics=_metrics(comparison, chosen, thresholds),
        lineage=lineage(folder, chosen),
        precisions=settings.export.precisions,
    )
    records = [
        {"id": precision, **asdict(manifest.files[model_file(precision)]), **manifest.metrics["parity"][precision]}
        for precision in manifest.precisions
    ]
    summary = {"training": chosen["id"], "decision": rule.to_json(), "thresholds": thresholds}
    return folder.write(Document(STAGE, records=records, summary=summary, **inputs))


def told(document: Document) -> str:
    """The stage in one line."""
    worst = max(record["worst_probability"] for record in document.records)
    return (
        f"{document.summary['training']} packed as {', '.join(record['id'] for record in document.records)}; "
        f"largest difference of a probability from the network's own {worst:.1e}{_unproven(document)}"
    )


def _unproven(document: Document) -> str:
    """The fault labels whose thresholds rest on too few validation images."""
    few = [
        f"{label} {choice['positives']} of {choice['needed']}"
        for label, choice in document.summary["thresholds"].items()
        if not choice["fitted"]
    ]
    return f"; too few validation images to vouch for a threshold: {', '.join(few)}" if few else ""


def choose(trainings: Sequence[Record], arm: str) -> Record:
    """The training of `arm` with the best validation macro F1; the lower seed on a tie."""
    of_arm = [record for record in trainings if record["arm"] == arm]
    if not of_arm:
        raise InputError(f"arm {arm} has not been trained; name it in train.arms and run `rarefault train`")
    return max(of_arm, key=lambda record: (record["validation"]["macro_f1"], -record["seed"]))


def calibrate(
    settings: Settings, folder: RunFolder, training: Document, chosen: Record
) -> tuple[DecisionRule, dict[str, Any]]:
    """Temperature and thresholds from the validation logits that training left; never from test images."""
    predictions = json.loads((folder.path / chosen["path"] / "predictions.json").read_bytes())
    labels, faults = tuple(predictions["labels"]), tuple(training.summary["fault_labels"])
    logits = np.array([image["logits"] for image in predictions["images"]])
    targets = np.array([labels.index(image["label"]) for image in predictions["images"]])
    temperature = fit_temperature(logits, targets)
    probabilities = DecisionRule(labels, (), temperature).probabilities(logits)
    choices = choose_thresholds(probabilities, targets, labels, faults, settings.export.recall_target)
    rule = DecisionRule(labels, faults, temperature, {label: choice.threshold for label, choice in choices.items()})
    return rule, {label: choice.to_json() for label, choice in choices.items()}


def held_out_frames(settings: Settings, records: Sequence[Record]) -> list[LabelledFrame]:
    """A few validation images of each class, the first by id."""
    store, taken, frames = ImageStore(settings), Counter[str](), []
    for record in records:
        if record["split"] == "val" and taken[record["label"]] < FRAMES_PER_LABEL:
            taken[record["label"]] += 1
            frames.append(LabelledFrame(record["id"], record["label"], store.frame(record)))
    return frames


def lineage(folder: RunFolder, chosen: Record) -> dict[str, Any]:
    """Where the bundle comes from: the digest of every document, the models, and the share of generated images."""
    documents = {stage: folder.require(stage) for stage in ("dataset", "captions", "prompts", "synthetic", "curation")}
    documents |= {stage: folder.require(stage) for stage in ("training", "comparison")}
    counts = {kind: sum(per_label.values()) for kind, per_label in chosen["images"].items()}
    return {
        "documents": {stage: document.digest for stage, document in documents.items()},
        "models": {role: identity for document in documents.values() for role, identity in document.models.items()},
        "training": {"arm": chosen["arm"], "seed": chosen["seed"], "images": counts},
    }


def _metrics(comparison: Document, chosen: Record, thresholds: dict[str, Any]) -> dict[str, Any]:
    return {
        "test": comparison.summary["arms"][chosen["arm"]],
        "verdict": comparison.summary["verdict"],
        "validation": chosen["validation"],
        "thresholds": thresholds,
    }
