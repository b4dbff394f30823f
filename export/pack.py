"""Packing: makes a bundle of a checkpoint (ONNX files, golden frames, manifest), proves it, and puts it in place."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edge_runtime.bundle.decision import Rule
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.golden import GoldenSet, check_outputs, load_golden, write_golden
from edge_runtime.bundle.manifest import Manifest, model_file, precision_of
from edge_runtime.bundle.preprocess import Frames, PreprocessSpec
from edge_runtime.bundle.store import MANIFEST, Bundle, open_bundle, write_bundle_manifest
from edge_runtime.inference.engines import load_engine
from export.acceptance import AcceptanceTest, Evidence, FileVerdict
from export.checkpoint import checkpoint_digest, head_of, load_checkpoint
from export.folders import replace_folder
from export.int8 import CPU, CPU_FULL_RANGE, TENSORRT, sensitive, write_int8
from export.onnx_files import DIRECT_PRECISIONS, OPSET, write_onnx
from export.parity import Runner, onnx_runner

INT8_TENSORRT = "int8.trt"
VARIANTS = {"int8": ("int8", INT8_TENSORRT)}  # the files of a precision, where they are more than one
# How an INT8 file is made, turn by turn, until it loses little enough: dialect, convolutions left in float.
TURNS = {
    "int8": ((CPU, 0), (CPU_FULL_RANGE, 0), (CPU_FULL_RANGE, 4), (CPU_FULL_RANGE, 8), (CPU_FULL_RANGE, 16)),
    INT8_TENSORRT: ((TENSORRT, 0), (TENSORRT, 4), (TENSORRT, 8), (TENSORRT, 16)),
}


def prove(folder: Path) -> dict[str, float]:
    """Open the bundle in `folder` and run its golden frames through every file.

    Return the worst score difference of each precision.

    Raises InputError where a file is damaged or answers beyond its tolerance.
    """
    bundle = open_bundle(folder)
    golden = load_golden(bundle)
    return {precision: _prove_one(bundle, golden, precision) for precision in bundle.manifest.precisions}


def _prove_one(bundle: Bundle, golden: GoldenSet, precision: str) -> float:
    engine = load_engine(bundle, "cpu", precision)  # the edge's own engine: what passes here runs there
    return check_outputs(engine.run(golden.flat), golden, precision, precision)


@dataclass(frozen=True)
class PackTools:
    """The slow steps of packing, which tests replace by quick ones."""

    write_onnx: Callable[[nn.Module, PreprocessSpec, Path, str], None] = write_onnx
    write_int8: Callable[[Path, Frames, Path, str, Sequence[str]], None] = write_int8
    run_file: Callable[[Path], Runner] = onnx_runner
    prove: Callable[[Path], object] = prove


REAL_TOOLS = PackTools()


def pack_bundle(
    checkpoint_folder: Path,
    evidence: Evidence,
    out_folder: Path,
    *,
    name: str,
    version: str,
    decision: Rule,
    metrics: Mapping[str, Any],
    lineage: Mapping[str, Any],
    precisions: Sequence[str] = DIRECT_PRECISIONS,
    recall_target: float = 0.0,
    specificity: float = 0.0,
    created: str | None = None,
    tools: PackTools = REAL_TOOLS,
) -> Manifest:
    """Write a verified bundle to `out_folder`, in the place of an older one if there is one, and return its manifest.

    `decision` is the network's own rule; every other precision gets its own, fitted to `recall_target` or
    `specificity`. What each file makes of the test set is added to `metrics`; a precision that is worse than it may be
    is left out, and `metrics` says why. The checkpoint's digest is added to `lineage`. `created` is an ISO 8601 time,
    now by default; everything else is the same bytes for the same input.

    Raises InputError where decision and checkpoint disagree, `out_folder` holds something else, or the FP32 file does
    not answer as the network does. Until the last step nothing at `out_folder` changes.
    """
    _check_target(out_folder)
    _check_precisions(precisions)
    network, card = load_checkpoint(checkpoint_folder)
    _check_decision(decision, card)
    spec = PreprocessSpec.from_json(card["input"])
    acceptance = AcceptanceTest(network, spec, decision, recall_target, specificity, evidence, tools.run_file)
    spare = _fresh_spare(out_folder)
    draft = _write_files(acceptance, precisions, spare, tools).manifest(
        acceptance,
        name=name,
        version=version,
        created=created or datetime.now(timezone.utc).isoformat(timespec="seconds"),
        metrics=metrics,
        lineage={**lineage, "checkpoint": checkpoint_digest(checkpoint_folder), "torch": torch.__version__},
    )
    manifest = write_bundle_manifest(spare, draft)
    tools.prove(spare)
    replace_folder(spare, out_folder)
    return manifest


def _check_target(folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise InputError(f"{folder} is not a folder; choose another place for the bundle")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MANIFEST).is_file():
        raise InputError(f"{folder} is not empty and holds no bundle; nothing was written: choose another folder")


def _check_precisions(precisions: Sequence[str]) -> None:
    if "fp32" not in precisions:
        raise InputError(
            f"the precisions are {list(precisions)}, expected fp32 among them: the others are judged by it"
        )


def _check_decision(decision: Rule, card: Mapping[str, Any]) -> None:
    for what, seen in (("labels", decision.labels), ("fault_labels", decision.fault_labels)):
        if list(seen) != card[what]:
            raise InputError(
                f"the decision rule has {what} {list(seen)}, the checkpoint {card[what]}; make both from the same run"
            )
    if decision.head != head_of(card):
        raise InputError("the decision rule is for another head than the checkpoint's; make both from the same run")


def _fresh_spare(target: Path) -> Path:
    """Return an empty hidden folder beside `target`; what a killed run left there is removed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    spare = target.parent / f".{target.name}.packing"
    if spare.exists():
        shutil.rmtree(spare)
    spare.mkdir()
    return spare


@dataclass
class _Written:
    """The files that were good enough, by variant, and why the others were not."""

    accepted: dict[str, FileVerdict] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def manifest(self, acceptance: AcceptanceTest, metrics: Mapping[str, Any], **about: Any) -> Manifest:
        """Return the manifest of the accepted files, still without their digests; it takes over the fields `about`."""
        packed = tuple(variant for variant in self.accepted if variant == precision_of(variant))
        reduced = acceptance.examine_reduced()
        measured = {
            "network": acceptance.accuracy.to_json(),
            "parity": {variant: verdict.to_json() for variant, verdict in self.accepted.items()},
            "refused": self.refused,
            "reduced_decode": reduced,
        }
        return Manifest(
            input=replace(acceptance.spec, decode="reduced" if reduced and not reduced["refused"] else "full"),
            decision=acceptance.rule,
            rules={precision: self.accepted[precision].rule for precision in packed if precision != "fp32"},
            precisions=packed,
            opset=OPSET,
            metrics={**metrics, **measured},
            **about,
        )


def _write_files(acceptance: AcceptanceTest, precisions: Sequence[str], folder: Path, tools: PackTools) -> _Written:
    """Write the ONNX files that pass, and the golden frames with a tolerance for each precision."""
    written = _Written()
    bounds: dict[str, float] = {}
    for variant in [variant for precision in precisions for variant in VARIANTS.get(precision, (precision,))]:
        if precision_of(variant) in written.refused:
            continue
        path = folder / model_file(variant)
        verdict = _write_one(acceptance, variant, path, tools)
        if verdict.refusal is None:
            written.accepted[variant] = verdict
            precision = precision_of(variant)
            bounds[precision] = max(bounds.get(precision, 0.0), verdict.tolerance)
        elif variant == "fp32":
            raise InputError(f"the fp32 file does not answer as the network does: {verdict.refusal}")
        else:
            written.refused[variant] = verdict.refusal
            path.unlink()
    own = {variant: verdict.own for variant, verdict in written.accepted.items() if verdict.own is not None}
    about = (acceptance.rule, bounds, acceptance.spec, acceptance.golden_truths, own)
    write_golden(folder, acceptance.golden, acceptance.golden_scores, *about)
    return written


def _write_one(acceptance: AcceptanceTest, variant: str, path: Path, tools: PackTools) -> FileVerdict:
    """Write one file and examine it; INT8 again and again, with more layers in float, until it is good enough."""
    if not variant.startswith("int8"):
        tools.write_onnx(acceptance.network, acceptance.spec, path, variant)
        return acceptance.examine(variant, path)
    source, frames = path.with_name(model_file("fp32")), acceptance.evidence.calibration
    ranked: list[str] = []
    for dialect, count in TURNS[variant]:
        if count and not ranked:
            ranked = sensitive(source, frames)
        tools.write_int8(source, frames, path, dialect, ranked[:count])
        verdict = replace(acceptance.examine(variant, path), dialect=dialect, kept_in_float=tuple(ranked[:count]))
        if verdict.refusal is None:
            break
    return verdict
