"""Stage 9, export: the chosen classifier, calibrated on validation images, packed as the bundle that stations run.

Its files are held against the network on the locked test set. Nothing is chosen by that but whether a file is packed.
"""

import importlib.metadata
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from augment.data.image_store import ImageStore
from augment.licences import licences
from augment.records import Document, Record, RunFolder
from augment.settings import Settings, as_json
from augment.training.arms import REAL, parse_arm
from augment.training.predictions import read_predictions
from edge_runtime.bundle.decision import DecisionRule
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.manifest import model_file
from edge_runtime.bundle.preprocess import Frame, PreprocessSpec
from edge_runtime.media.image_files import read_image
from export.calibration import fit_rule
from export.golden_frames import LabelledFrame
from export.pack import Evidence, pack_bundle

STAGE = "export"
CALIBRATION_FRAMES = 128  # training images that the scales of INT8 are measured on
CANDIDATES = 64  # validation pictures among which the golden frames are chosen
TOOLS = ("torch", "onnx", "onnxruntime", "diffusers", "transformers")


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
        evidence(settings, folder, chosen, PreprocessSpec.from_json(training.summary["input"])),
        folder.path / "bundle",
        name=settings.export.name,
        version=f"{training.version}.{comparison.version}.0",
        decision=rule,
        metrics=_metrics(comparison, chosen, thresholds),
        lineage=lineage(settings, folder, chosen),
        precisions=settings.export.precisions,
        recall_target=settings.export.recall_target,
    )
    records = [
        {"id": variant, **asdict(manifest.files[model_file(variant)]), **measured}
        for variant, measured in manifest.metrics["parity"].items()
    ]
    summary = {
        "training": chosen["id"],
        "decision": rule.to_json(),
        "thresholds": thresholds,
        "network": manifest.metrics["network"],
        "refused": manifest.metrics["refused"],
    }
    return folder.write(Document(STAGE, records=records, summary=summary, **inputs))


def told(document: Document) -> str:
    """The stage in one line."""
    files = ", ".join(f"{record['id']} ({100 * record['agreement']:.1f} %)" for record in document.records)
    refused = "".join(f"; {variant} refused: {why}" for variant, why in document.summary["refused"].items())
    return (
        f"{document.summary['training']} packed as {files}; in brackets the share of test images with the network's "
        f"likeliest label{refused}{_unproven(document)}"
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
    found, faults = read_predictions(folder.path / chosen["path"]), tuple(training.summary["fault_labels"])
    rule, choices = fit_rule(found.logits, found.targets, found.labels, faults, settings.export.recall_target)
    return rule, {label: choice.to_json() for label, choice in choices.items()}


def evidence(settings: Settings, folder: RunFolder, chosen: Record, spec: PreprocessSpec) -> Evidence:
    """Images of the chosen training's arm, and all validation and test images, at the size of the input."""
    store = ImageStore(settings)
    records = folder.require("dataset").records
    arm = parse_arm(chosen["arm"], settings.generate.methods)

    def held_out(split: str) -> list[LabelledFrame]:
        return [
            LabelledFrame(record["id"], record["label"], spec.apply(store.frame(record)))
            for record in records
            if record["split"] == split
        ]

    def generated(record: Record) -> bool:
        kept_out = record["label"] in chosen["dropped"]
        return record["path"] is not None and not kept_out and arm.takes(record["method"], record)

    real = [record for record in records if record["split"] == "train"] if arm.takes(REAL, {}) else []
    made = [record for record in folder.require("curation").records if generated(record)]
    frames: list[Frame] = [spec.apply(store.frame(record)) for record in _evenly(real)]
    if len(frames) < CALIBRATION_FRAMES:
        frames += [spec.apply(read_image(folder.path / record["path"]).frame) for record in _evenly(made)]
    for_golden = _evenly(record for record in records if record["split"] == "val")[:CANDIDATES]
    smaller = [(record, store.reduced(record, spec)) for record in records if record["split"] == "test"]
    return Evidence(
        calibration=np.stack(frames[:CALIBRATION_FRAMES]),
        golden=[LabelledFrame(record["id"], record["label"], store.frame(record)) for record in for_golden],
        validation=held_out("val"),
        test=held_out("test"),
        reduced={record["id"]: spec.apply(frame) for record, frame in smaller if frame is not None},
    )


def _evenly(records: Iterable[Record]) -> list[Record]:
    """At most CALIBRATION_FRAMES of the records, each class in turn."""
    of_label: dict[str, list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda record: record["id"]):
        of_label[record["label"]].append(record)
    turns = zip_longest(*(of_label[label] for label in sorted(of_label)))
    return [record for turn in turns for record in turn if record is not None][:CALIBRATION_FRAMES]


def lineage(settings: Settings, folder: RunFolder, chosen: Record) -> dict[str, Any]:
    """Where the bundle comes from: every document, model and tool, the share of generated images, and the licences."""
    stages = ("dataset", "captions", "prompts", "synthetic", "curation", "training", "comparison")
    documents = {stage: folder.require(stage) for stage in stages}
    counts = {kind: sum(per_label.values()) for kind, per_label in chosen["images"].items()}
    trained = {record["id"] for record in documents["training"].records}
    models = {role: identity for document in documents.values() for role, identity in document.models.items()}
    models = {role: identity for role, identity in models.items() if role not in trained}
    return {
        "run": folder.path.resolve().name,
        "commit": _commit(),
        "documents": {stage: document.digest for stage, document in documents.items()},
        "models": models,
        "training": {"arm": chosen["arm"], "seed": chosen["seed"], "run_seed": settings.seed, "images": counts},
        "synthetic_share": counts["synthetic"] / max(sum(counts.values()), 1),
        "licences": licences(settings, models),
        "tools": {name: importlib.metadata.version(name) for name in TOOLS},
    }


def _commit() -> str | None:
    """The commit of the code that runs, where it runs from a repository."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except OSError:  # no git
        return None
    return done.stdout.strip() or None


def _metrics(comparison: Document, chosen: Record, thresholds: dict[str, Any]) -> dict[str, Any]:
    return {
        "test": comparison.summary["arms"][chosen["arm"]],
        "verdict": comparison.summary["verdict"],
        "validation": chosen["validation"],
        "thresholds": thresholds,
    }
