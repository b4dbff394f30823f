"""Colour bundles that pass their golden frames and are good or bad on what a camera shows, and an update to them.

A live frame of the fake camera has some blue in it, a golden frame none or nothing else: that tells them apart.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.bundle.decision import DecisionRule
from edge_runtime.bundle.golden import write_golden
from edge_runtime.bundle.manifest import Manifest, model_file
from edge_runtime.bundle.store import Bundle, open_bundle, write_bundle_manifest
from edge_runtime.updates.slots import Slots
from edge_runtime.updates.state import Stage, UpdateState, load
from edge_runtime.updates.trusted_repository import Release
from tests.support import colour_bundle as maker

# A rule by which the fake camera's green frames show rust, and golden frames what they show.
ALWAYS_RUST = replace(maker.RULE, thresholds={"rust": 0.02, "leak": 0.9})


def make_version(
    folder: Path,
    version: str,
    rule: DecisionRule = maker.RULE,
    change: Callable[[onnx.ModelProto], None] = lambda model: None,
) -> Bundle:
    """The colour bundle in FP32 as another `version`, with another `rule`, its model changed by `change`."""
    maker.make_bundle(folder, ("fp32",))
    model = onnx.load(str(folder / model_file("fp32")))
    change(model)
    onnx.save(model, str(folder / model_file("fp32")))
    frames = maker.golden_frames()
    manifest = Manifest.from_json(json.loads((folder / "manifest.json").read_bytes()))
    scores = np.stack([maker.expected_logits(frame) for frame in frames])
    write_golden(folder, frames, scores, rule, maker.TOLERANCE, manifest.input)
    write_bundle_manifest(folder, replace(manifest, version=version, decision=rule))
    return open_bundle(folder)


def no_numbers_on_live_frames(model: onnx.ModelProto) -> None:
    """Let the logits be no numbers on live frames: zero times the root of what is negative there alone."""
    _add(model, [helper.make_node("Sqrt", ["apart"], ["root"]), helper.make_node("Mul", ["root", "zero"], ["extra"])])


def failing_on_live_frames(model: onnx.ModelProto) -> None:
    """Let the engine fail on live frames: it looks up an entry that is not there."""
    nodes = [
        helper.make_node("Less", ["apart", "zero"], ["live"]),
        helper.make_node("Cast", ["live"], ["entry"], to=TensorProto.INT64),
        helper.make_node("Gather", ["zero", "entry"], ["extra"]),
    ]
    _add(model, nodes)


def _add(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    """Add what `nodes` make as `extra` to the logits; `apart` (N, 1) is below zero on live frames alone."""
    graph = model.graph
    graph.node[-1].output[0] = "bare"
    for name, values, kind in (
        ("blue", [2], np.int64),
        ("low", [0.1], np.float32),
        ("high", [7.0], np.float32),
        ("zero", [0.0], np.float32),
    ):
        graph.initializer.append(numpy_helper.from_array(np.array(values, kind), name))
    graph.node.extend(
        [
            helper.make_node("Gather", ["bare", "blue"], ["share"], axis=1),
            helper.make_node("Sub", ["share", "low"], ["above"]),
            helper.make_node("Sub", ["share", "high"], ["below"]),
            helper.make_node("Mul", ["above", "below"], ["apart"]),
            *nodes,
            helper.make_node("Add", ["bare", "extra"], ["logits"]),
        ]
    )
    onnx.checker.check_model(model, full_check=True)


def hand_over(slots: Slots, bundle: Bundle, number: int, stage: Stage = Stage.GOLDEN_OK) -> UpdateState:
    """Leave `bundle` in its slot as the update process does that has proved it."""
    slots.folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(bundle.folder, slots.folder / bundle.digest, dirs_exist_ok=True)
    release = Release(number, bundle.digest, bundle.manifest.name, bundle.manifest.version, "all")
    state = load(slots.state_dir).begun(release).at(stage)
    state.save(slots.state_dir)
    return state
