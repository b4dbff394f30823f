"""From a checkpoint to a bundle that has proved itself: ONNX files, golden frames, manifest; proved, then in place."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from edge_runtime.bundle.decision import DecisionRule
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.golden import GoldenSet, check_golden, load_golden, write_golden
from edge_runtime.bundle.manifest import Manifest, model_file
from edge_runtime.bundle.preprocess import PreprocessSpec
from edge_runtime.bundle.store import MANIFEST, Bundle, open_bundle, write_bundle_manifest
from edge_runtime.engines import load_engine
from export.checkpoint import checkpoint_digest, load_checkpoint
from export.folders import replace_folder
from export.golden import LabelledFrame, choose_golden, tolerance
from export.onnx_files import OPSET, PRECISIONS, write_onnx
from export.parity import measure_parity, onnx_runner, torch_logits


@dataclass(frozen=True)
class _Model:
    """What is packed: the network, its input and its rule."""

    network: nn.Module
    spec: PreprocessSpec
    rule: DecisionRule
    precisions: tuple[str, ...]


def pack_bundle(
    checkpoint_folder: Path,
    frames: Sequence[LabelledFrame],
    out_folder: Path,
    *,
    name: str,
    version: str,
    decision: DecisionRule,
    metrics: Mapping[str, Any],
    lineage: Mapping[str, Any],
    precisions: Sequence[str] = PRECISIONS,
    created: str | None = None,
) -> Manifest:
    """Write a verified bundle to `out_folder`, in the place of an older one if there is one, and return its manifest.

    `frames` are held-out pictures (validation or test): golden frames are chosen among them, and parity between the
    network and each file is measured on all of them and added to `metrics`. The checkpoint's digest is added to
    `lineage`. `created` is an ISO 8601 time, now by default; everything else is the same bytes for the same input.

    Raises InputError where decision and checkpoint disagree, `out_folder` holds something else, or a file does not
    answer as the network does. Until the last step nothing at `out_folder` changes.
    """
    _check_target(out_folder)
    network, card = load_checkpoint(checkpoint_folder)
    _check_decision(decision, card)
    model = _Model(network, PreprocessSpec.from_json(card["input"]), decision, tuple(precisions))
    spare = _fresh_spare(out_folder)
    parity = _write_files(model, frames, spare)
    draft = Manifest(
        name=name,
        version=version,
        created=created or datetime.now(timezone.utc).isoformat(timespec="seconds"),
        input=model.spec,
        decision=decision,
        precisions=model.precisions,
        opset=OPSET,
        metrics={**metrics, "parity": parity},
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


def _write_files(model: _Model, frames: Sequence[LabelledFrame], folder: Path) -> dict[str, dict[str, float | int]]:
    """The ONNX files and the golden frames; returns parity per precision over all `frames`."""
    golden = choose_golden(frames, model.spec)
    expected = torch_logits(model.network, golden)
    held_out = np.stack([model.spec.apply(item.frame) for item in frames])
    answers = torch_logits(model.network, held_out)
    parity, bounds = {}, {}
    for precision in model.precisions:
        path = folder / model_file(precision)
        write_onnx(model.network, model.spec, path, precision)
        run = onnx_runner(path)
        bounds[precision] = tolerance(precision, expected, run(golden))
        parity[precision] = measure_parity(precision, answers, run(held_out), model.rule).to_json()
    write_golden(folder, list(golden), expected, model.rule, bounds)
    return parity
