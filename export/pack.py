"""From a checkpoint to a bundle that has proved itself: ONNX files, golden frames, manifest; proved, then in place."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from edge_runtime.bundle.decision import DecisionRule
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.golden import GoldenSet, check_golden, load_golden, write_golden
from edge_runtime.bundle.manifest import Manifest, model_file, precision_of
from edge_runtime.bundle.preprocess import PreprocessSpec
from edge_runtime.bundle.store import MANIFEST, Bundle, open_bundle, write_bundle_manifest
from edge_runtime.inference.engines import load_engine
from export.acceptance import Evidence, Gate, Judged
from export.checkpoint import checkpoint_digest, load_checkpoint
from export.folders import replace_folder
from export.int8 import CPU, CPU_FULL_RANGE, TENSORRT, sensitive, write_int8
from export.onnx_files import DIRECT_PRECISIONS, OPSET, write_onnx

INT8_TENSORRT = "int8.trt"
VARIANTS = {"int8": ("int8", INT8_TENSORRT)}  # the files of a precision, where they are more than one
# How an INT8 file is made, turn by turn, until it loses little enough: dialect, convolutions left in float.
TURNS = {
    "int8": ((CPU, 0), (CPU_FULL_RANGE, 0), (CPU_FULL_RANGE, 4), (CPU_FULL_RANGE, 8), (CPU_FULL_RANGE, 16)),
    INT8_TENSORRT: ((TENSORRT, 0), (TENSORRT, 4), (TENSORRT, 8), (TENSORRT, 16)),
}


def pack_bundle(
    checkpoint_folder: Path,
    evidence: Evidence,
    out_folder: Path,
    *,
    name: str,
    version: str,
    decision: DecisionRule,
    metrics: Mapping[str, Any],
    lineage: Mapping[str, Any],
    precisions: Sequence[str] = DIRECT_PRECISIONS,
    recall_target: float = 0.0,
    created: str | None = None,
) -> Manifest:
    """Write a verified bundle to `out_folder`, in the place of an older one if there is one, and return its manifest.

    `decision` is the network's own rule; every other precision gets its own, fitted to `recall_target`. What each file
    makes of the test set is added to `metrics`; a precision that is worse than it may be is left out, and `metrics`
    says why. The checkpoint's digest is added to `lineage`. `created` is an ISO 8601 time, now by default; everything
    else is the same bytes for the same input.

    Raises InputError where decision and checkpoint disagree, `out_folder` holds something else, or the FP32 file does
    not answer as the network does. Until the last step nothing at `out_folder` changes.
    """
    _check_target(out_folder)
    if "fp32" not in precisions:
        raise InputError(
            f"the precisions are {list(precisions)}, expected fp32 among them: the others are judged by it"
        )
    network, card = load_checkpoint(checkpoint_folder)
    _check_decision(decision, card)
    gate = Gate(network, PreprocessSpec.from_json(card["input"]), decision, recall_target, evidence)
    spare = _fresh_spare(out_folder)
    written = _write_files(gate, precisions, spare)
    packed = tuple(precision for precision in precisions if precision in written.accepted)
    reduced = gate.judge_reduced()
    draft = Manifest(
        name=name,
        version=version,
        created=created or datetime.now(timezone.utc).isoformat(timespec="seconds"),
        input=replace(gate.spec, decode="reduced" if reduced and not reduced["refused"] else "full"),
        decision=decision,
        rules={precision: written.accepted[precision].rule for precision in packed if precision != "fp32"},
        precisions=packed,
        opset=OPSET,
        metrics={**metrics, **written.to_json(gate), "reduced_decode": reduced},
        lineage={**lineage, "checkpoint": checkpoint_digest(checkpoint_folder), "torch": torch.__version__},
    )
    manifest = write_bundle_manifest(spare, draft)
    prove(spare)
    replace_folder(spare, out_folder)
    return manifest


def prove(folder: Path) -> dict[str, float]:
    """Open the bundle in `folder`, run its golden frames through every file; the worst logit difference per precision.

    Raises InputError where a file is damaged or answers beyond its tolerance.
    """
    bundle = open_bundle(folder)
    golden = load_golden(bundle)
    return {precision: _prove_one(bundle, golden, precision) for precision in bundle.manifest.precisions}


def _prove_one(bundle: Bundle, golden: GoldenSet, precision: str) -> float:
    engine = load_engine(bundle, "cpu", precision)  # the edge's own engine: what passes here runs there
    return check_golden(lambda frames: engine.run(frames)[0], golden, precision)


def _check_target(folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise InputError(f"{folder} is not a folder; choose another place for the bundle")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MANIFEST).is_file():
        raise InputError(f"{folder} is not empty and holds no bundle; nothing was written: choose another folder")


def _check_decision(decision: DecisionRule, card: Mapping[str, Any]) -> None:
    for what, seen in (("labels", decision.labels), ("fault_labels", decision.fault_labels)):
        if list(seen) != card[what]:
            raise InputError(
                f"the decision rule has {what} {list(seen)}, the checkpoint {card[what]}; make both from the same run"
            )


def _fresh_spare(target: Path) -> Path:
    """An empty hidden folder beside `target`; what a killed run left there is removed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    spare = target.parent / f".{target.name}.packing"
    if spare.exists():
        shutil.rmtree(spare)
    spare.mkdir()
    return spare


@dataclass
class _Written:
    """The files that were good enough, by variant, and why the others were not."""

    accepted: dict[str, Judged] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def to_json(self, gate: Gate) -> dict[str, Any]:
        """Part of the manifest's metrics."""
        return {
            "network": gate.accuracy.to_json(),
            "parity": {variant: judged.to_json() for variant, judged in self.accepted.items()},
            "refused": self.refused,
        }


def _write_files(gate: Gate, precisions: Sequence[str], folder: Path) -> _Written:
    """The ONNX files that pass, and the golden frames with a tolerance for each precision."""
    written = _Written()
    bounds: dict[str, float] = {}
    for variant in [variant for precision in precisions for variant in VARIANTS.get(precision, (precision,))]:
        if precision_of(variant) in written.refused:
            continue
        path = folder / model_file(variant)
        judged = _write_one(gate, variant, path)
        if judged.refusal is None:
            written.accepted[variant] = judged
            precision = precision_of(variant)
            bounds[precision] = max(bounds.get(precision, 0.0), judged.tolerance)
        elif variant == "fp32":
            raise InputError(f"the fp32 file does not answer as the network does: {judged.refusal}")
        else:
            written.refused[variant] = judged.refusal
            path.unlink()
    write_golden(folder, gate.golden, gate.golden_logits, gate.rule, bounds)
    return written


def _write_one(gate: Gate, variant: str, path: Path) -> Judged:
    """Write one file and judge it; INT8 again and again, with more layers in float, until it is good enough."""
    if not variant.startswith("int8"):
        write_onnx(gate.network, gate.spec, path, variant)
        return gate.judge(variant, path)
    source, frames = path.with_name(model_file("fp32")), gate.evidence.calibration
    ranked: list[str] = []
    for dialect, count in TURNS[variant]:
        if count and not ranked:
            ranked = sensitive(source, frames)
        write_int8(source, frames, path, dialect, ranked[:count])
        judged = replace(gate.judge(variant, path), dialect=dialect, kept_in_float=tuple(ranked[:count]))
        if judged.refusal is None:
            break
    return judged
