"""Stage 9, export: the chosen classifier, calibrated on validation images, packed as the bundle that stations run.

Its files are held against the network on the locked test set. Nothing is chosen by that but whether a file is packed.
"""

import importlib.metadata
import json
import subprocess
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import zip_longest
from pathlib import Path
from typing import TypeVar

import numpy as np

from augment import record_types as types
from augment.data.image_store import ImageStore
from augment.data.split import TEST, TRAIN, VAL
from augment.evaluation.metrics import PASS
from augment.evaluation.paint_out import untested
from augment.json_objects import as_plain, from_json
from augment.licences import licences
from augment.records import COMPARISON, CURATION, DATASET, EXPORT, STAGES, TRAINING, Document, RunFolder, StageInputs
from augment.settings import PROVEN, Settings
from augment.training.arms import parse_arm, stand_in
from augment.training.predictions import read_predictions
from edge_runtime.bundle.decision import Rule
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.heads import ClassHead, Head, head_from_json
from edge_runtime.bundle.manifest import Manifest, model_file
from edge_runtime.bundle.preprocess import Frame, Frames, PreprocessSpec
from edge_runtime.bundle.store import MANIFEST
from edge_runtime.media.image_files import read_image
from export.acceptance import Evidence
from export.calibration import fit_rule
from export.checkpoint import read_card
from export.golden_frames import LabelledFrame
from export.pack import pack_bundle

CALIBRATION_FRAMES = 128  # training images that the scales of INT8 are measured on
CANDIDATES = 64  # validation pictures among which the golden frames are chosen
TOOLS = ("torch", "onnx", "onnxruntime", "diffusers", "transformers")
# The stages whose documents a bundle comes from.
ORIGIN = [stage for stage in STAGES if stage.document not in ("adapter", "export")]
Image = TypeVar("Image", types.DatasetRecord, types.CurationRecord)
ExportDocument = Document[types.ExportRecord, types.ExportSummary]


def run(settings: Settings, folder: RunFolder) -> ExportDocument:
    """Pack RUN/bundle: one record per precision with its digest, size and parity with the network."""
    comparison, training = folder.require(COMPARISON), folder.require(TRAINING)
    chosen = choose(training.records, stand_in(wanted_arm(settings, comparison.summary), training.records))
    inputs = StageInputs.of(comparison.digest, settings.export, {}, {chosen.id: chosen.sha256})
    done = folder.finished(EXPORT, inputs)
    if done and _readable(folder.path / "bundle" / MANIFEST):
        return done
    rule, thresholds = calibrate(settings, folder, training.summary, chosen)
    arm = comparison.summary.arms[chosen.arm]
    manifest = pack_bundle(
        folder.path / chosen.path,
        evidence(settings, folder, chosen, PreprocessSpec.from_json(read_card(folder.path / chosen.path)["input"])),
        folder.path / "bundle",
        name=settings.export.name,
        version=f"{training.version}.{comparison.version}.0",
        decision=rule,
        metrics={
            "test": as_plain(arm),
            **_seen(arm, comparison.summary.fault_labels),
            "verdict": comparison.summary.verdict,
            "validation": chosen.validation,
            "thresholds": as_plain(thresholds),
        },
        lineage=lineage(settings, folder, chosen),
        precisions=settings.export.precisions,
        recall_target=settings.export.recall_target,
        specificity=settings.export.specificity,
    )
    records = [
        from_json(types.ExportRecord, {"id": variant, **asdict(manifest.files[model_file(variant)]), **measured})
        for variant, measured in manifest.metrics["parity"].items()
    ]
    summary = types.ExportSummary(
        training=chosen.id,
        decision=rule.to_json(),
        thresholds=thresholds,
        network=manifest.metrics["network"],
        refused=manifest.metrics["refused"],
    )
    return folder.write(Document(EXPORT, inputs, records, summary))


def _readable(manifest: Path) -> bool:
    """Whether this version can read the bundle of a manifest; one of an earlier format is packed anew."""
    try:
        Manifest.from_json(json.loads(manifest.read_bytes()))
    except (OSError, ValueError, InputError):
        return False
    return True


def _seen(arm: types.ArmResult, faults: Sequence[str]) -> dict[str, object]:
    """Return what the manifest says of `faults`: whether each score rests on the fault, and how small one may be."""
    spots = arm.spots
    if spots is None:
        return {"support": {}, "smallest_fault": None}
    support: dict[str, object] = {label: {"supported": False, "why": untested(label)} for label in faults}
    support |= {label: {"supported": fault.supported, "why": fault.why} for label, fault in spots.faults.items()}
    return {"support": support, "smallest_fault": spots.smallest_fault and as_plain(spots.smallest_fault)}


def summary_line(document: ExportDocument) -> str:
    """Say in one line what the stage did."""
    files = ", ".join(f"{record.id} ({100 * record.agreement:.1f} %)" for record in document.records)
    refused = "".join(f"; {variant} refused: {why}" for variant, why in document.summary.refused.items())
    return (
        f"{document.summary.training} packed as {files}; in brackets the share of test images with the network's "
        f"likeliest label{refused}{_unproven(document.summary)}"
    )


def _unproven(summary: types.ExportSummary) -> str:
    """Name the fault labels whose thresholds rest on too few validation images."""
    choices = (summary.thresholds or {}).items()
    few = [f"{label} {choice.positives} of {choice.needed}" for label, choice in choices if not choice.fitted]
    return f"; too few validation images to vouch for a threshold: {', '.join(few)}" if few else ""


def wanted_arm(settings: Settings, found: types.ComparisonSummary) -> str:
    """Return the arm that is to be packed, by the settings or by the verdict."""
    if settings.export.arm != PROVEN:
        return settings.export.arm
    return found.candidate if found.verdict == PASS else found.baseline


def choose(trainings: Sequence[types.TrainingRecord], arm: str) -> types.TrainingRecord:
    """Choose the training of `arm` with the best validation macro F1; the lower seed on a tie."""
    of_arm = [record for record in trainings if record.arm == arm]
    if not of_arm:
        raise InputError(f"arm {arm} has not been trained; name it in train.arms and run `rarefault train`")
    return max(of_arm, key=lambda record: (record.validation["macro_f1"], -record.seed))


def calibrate(
    settings: Settings, folder: RunFolder, training: types.TrainingSummary, chosen: types.TrainingRecord
) -> tuple[Rule, dict[str, types.Threshold]]:
    """Fit the decision rule on the held-out predictions that training left; never on test images."""
    found, faults = read_predictions(folder.path / chosen.path), tuple(training.fault_labels)
    head: Head = ClassHead(found.labels)
    scores = found.logits
    if found.head is not None and found.scores is not None:
        head, scores = head_from_json(found.head, found.labels), found.scores
    aims = settings.export.recall_target, settings.export.specificity
    rule, choices = fit_rule(head, scores, found.targets, found.labels, faults, *aims)
    return rule, {label: from_json(types.Threshold, choice.to_json()) for label, choice in choices.items()}


def evidence(settings: Settings, folder: RunFolder, chosen: types.TrainingRecord, spec: PreprocessSpec) -> Evidence:
    """Gather images of the chosen training's arm, and all validation and test images, on the canvas of `spec`."""
    store = ImageStore(settings)
    records = folder.require(DATASET).records
    arm = replace(parse_arm(chosen.arm, settings.generate.methods), dropped=frozenset(chosen.dropped))

    def of_split(split: str) -> list[types.DatasetRecord]:
        return [record for record in records if record.split == split]

    def held_out(split: str) -> list[LabelledFrame]:
        return [LabelledFrame(record.id, record.label, spec.draw(store.frame(record))) for record in of_split(split)]

    # With cross-fitting the network has learned from validation images too; no rule is fitted on what it says of those.
    judged = set(read_predictions(folder.path / chosen.path).ids)
    learned = any(record.id in judged for record in of_split(TRAIN))
    real = [record for record in of_split(TRAIN) if arm.takes(record)]
    made = [record for record in folder.require(CURATION).records if arm.takes(record)]
    some = [store.frame(record) for record in _evenly(real)]
    if len(some) < CALIBRATION_FRAMES:
        paths = [folder.path / record.path for record in _evenly([r for r in made if r.path]) if record.path]
        some += [read_image(path).frame for path in paths]
    for_golden = _evenly(of_split(VAL) or of_split(TRAIN))[:CANDIDATES]
    smaller = [(record, store.reduced(record, spec)) for record in of_split(TEST)]
    return Evidence(
        calibration=_one_view_each(some[:CALIBRATION_FRAMES], spec),
        golden=[LabelledFrame(record.id, record.label, store.frame(record)) for record in for_golden],
        validation=[] if learned else held_out(VAL),
        test=held_out(TEST),
        reduced={record.id: spec.draw(frame) for record, frame in smaller if frame is not None},
    )


def _one_view_each(frames: Sequence[Frame], spec: PreprocessSpec) -> Frames:
    """Return one view of every frame, with tiles each time the next one."""
    tiles = len(spec.tile_places)
    return np.stack([spec.views(frame)[place % tiles] for place, frame in enumerate(frames)])


def _evenly(records: Sequence[Image]) -> list[Image]:
    """Choose at most CALIBRATION_FRAMES of the records, each class in turn."""
    of_label: dict[str, list[Image]] = defaultdict(list)
    for record in sorted(records, key=lambda record: record.id):
        of_label[record.label].append(record)
    turns = zip_longest(*(of_label[label] for label in sorted(of_label)))
    return [record for turn in turns for record in turn if record is not None][:CALIBRATION_FRAMES]


def lineage(settings: Settings, folder: RunFolder, chosen: types.TrainingRecord) -> types.PlainJson:
    """Say where the bundle comes from: documents, models, tools, the share of generated images, and the licences."""
    documents = {stage.document: folder.require(stage) for stage in ORIGIN}
    counts = {kind: sum(per_label.values()) for kind, per_label in chosen.images.items()}
    roles = {role: document for document in documents.values() for role in document.inputs.models}
    trained = {record.id for record in documents[TRAINING.document].records}
    models = {role: document.model(role) for role, document in roles.items() if role not in trained}
    return {
        "run": folder.path.resolve().name,
        "commit": _commit(),
        "rarefault": importlib.metadata.version("rarefault"),  # where the code is installed, there is no commit
        "documents": {name: document.digest for name, document in documents.items()},
        "models": models,
        "training": {"arm": chosen.arm, "seed": chosen.seed, "run_seed": settings.seed, "images": counts},
        "synthetic_share": counts["synthetic"] / max(sum(counts.values()), 1),
        "licences": licences(settings, models),
        "tools": {name: importlib.metadata.version(name) for name in TOOLS},
    }


def _commit() -> str | None:
    """Return the commit of the code that runs, where it runs from a repository."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except OSError:  # no git
        return None
    return done.stdout.strip() or None
