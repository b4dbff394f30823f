"""Make a tiny real bundle of the spatial head, worked out by hand: `python -m tests.support.spot_bundle DIR`.

The model finds red spots on poles and lines. Input 16 x 32 pixels, cells of 4 x 4; a frame of another aspect is
letterboxed. The map is the mean red of a cell less the greater of its mean green and blue, over 32, less 4, so red
(0, 0, 255 in BGR) gives 3.96875 and anything grey -4. The fault score is the mean of the two highest cells. The group
is told by colour: the mean green of the frame over 32 speaks for line, the mean blue for pole.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.bundle.decision import SpatialRule
from edge_runtime.bundle.golden import write_golden
from edge_runtime.bundle.heads import Group, Pooling, SpatialHead
from edge_runtime.bundle.manifest import Manifest, model_file
from edge_runtime.bundle.preprocess import PreprocessSpec
from edge_runtime.bundle.store import write_bundle_manifest

HEIGHT, WIDTH, CELL = 16, 32, 4  # pixels
OPSET = 18
GROUPS = (Group("line", "line_fine", {"hot": "line_hot"}), Group("pole", "pole_fine", {"hot": "pole_hot"}))
HEAD = SpatialHead(GROUPS, ("hot",), Pooling("top", 2))
LABELS = ("line_fine", "line_hot", "pole_fine", "pole_hot")
FAULTS = ("line_hot", "pole_hot")
RULE = SpatialRule(HEAD, LABELS, FAULTS, 1.0, {"hot": 1.0}, {"hot": 0.0}, {"line_hot": 0.5, "pole_hot": 0.5})
SPEC = PreprocessSpec(HEIGHT, WIDTH, "letterbox")
TILED = replace(SPEC, tiles=(2, 2), overlap=0.5)
TRUTHS = ("line_fine", "line_hot", "pole_fine", "pole_hot", "pole_hot")  # of the golden frames
TOLERANCE = {"fp32": 1e-4}
METRICS = {
    "support": {
        "line_hot": {"supported": False, "why": "line_hot: not supported: the score does not rest on the fault"},
        "pole_hot": {"supported": True, "why": "pole_hot: supported: the score rests on the fault"},
    },
    "smallest_fault": {"pixels": 4.0, "share": 0.25, "recall": 0.9, "cell": 4.0},
}


def make_bundle(folder: Path, spec: PreprocessSpec = SPEC, evidence: str = "boxes") -> Path:
    """Write the bundle into `folder` (made where absent) and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model(), str(folder / model_file("fp32")))
    rule = replace(RULE, head=replace(HEAD, evidence=evidence))
    frames = golden_frames()
    scores = [HEAD.join_tiles(expected_scores(spec.views(frame))[None])[0] for frame in frames]
    write_golden(folder, frames, np.stack(scores), rule, TOLERANCE, spec, TRUTHS)
    manifest = Manifest(
        name="spots",
        version="1",
        created="2000-01-01T00:00:00Z",
        input=spec,
        decision=rule,
        precisions=("fp32",),
        opset=OPSET,
        metrics=METRICS,
    )
    write_bundle_manifest(folder, manifest)
    return folder


def model() -> onnx.ModelProto:
    """frames uint8 (N, 16, 32, 3) BGR -> group_logits (N, 2), fault_scores (N, 1), maps (N, 1, 4, 8)."""
    constants = {
        "by": np.float32(1 / 32),
        "less": np.float32(4),
        "two": np.array([2]),
        "cells": np.array([0, 0, -1]),
        "first": np.array([0]),
        "third": np.array([2]),
        "end": np.array([3]),
        "axis": np.array([1]),
        "line_then_pole": np.array([1, 0]),
    }
    pool = {"kernel_shape": [CELL, CELL], "strides": [CELL, CELL]}
    nodes = [
        helper.make_node("Cast", ["frames"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Mul", ["planes", "by"], ["scaled"]),
        helper.make_node("AveragePool", ["scaled"], ["pooled"], **pool),
        helper.make_node("Slice", ["pooled", "third", "end", "axis"], ["red"]),
        helper.make_node("Slice", ["pooled", "first", "third", "axis"], ["others"]),
        helper.make_node("ReduceMax", ["others", "axis"], ["strongest"], keepdims=1),
        helper.make_node("Sub", ["red", "strongest"], ["redness"]),
        helper.make_node("Sub", ["redness", "less"], ["maps"]),
        helper.make_node("Reshape", ["maps", "cells"], ["row"]),
        helper.make_node("TopK", ["row", "two"], ["highest", "places"], axis=2),
        helper.make_node("ReduceMean", ["highest", "third"], ["fault_scores"], keepdims=0),
        helper.make_node("ReduceMean", ["scaled", "sides"], ["means"], keepdims=0),
        helper.make_node("Gather", ["means", "line_then_pole"], ["group_logits"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "spots",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, ["N", HEIGHT, WIDTH, 3])],
        [
            helper.make_tensor_value_info("group_logits", TensorProto.FLOAT, ["N", 2]),
            helper.make_tensor_value_info("fault_scores", TensorProto.FLOAT, ["N", 1]),
            helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["N", 1, HEIGHT // CELL, WIDTH // CELL]),
        ],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in {**constants, "sides": np.array([2, 3])}.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    return made


def scene(group: str, spot: tuple[int, int] | None = None, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A frame of a line (green below) or a pole (blue below), with a red spot of a quarter of its height at `spot`."""
    frame = np.full((height, width, 3), 60, np.uint8)
    frame[height // 2 :, :, 1 if group == "line" else 0] = 160
    if spot is not None:
        top, left = spot
        frame[top : top + height // 4, left : left + height // 2] = (0, 0, 255)
    return frame


def golden_frames() -> list[np.ndarray]:
    """Both groups with and without a spot, and one of another size that preprocessing has to shrink."""
    return [
        scene("line"),
        scene("line", (4, 8)),
        scene("pole"),
        scene("pole", (4, 16)),
        scene("pole", (32, 64), 128, 256),
    ]


def expected_scores(views: np.ndarray) -> np.ndarray:
    """By hand: group logits and fault score (N, 3) of frames uint8 (N, 16, 32, 3)."""
    small = views.reshape(len(views), HEIGHT // CELL, CELL, WIDTH // CELL, CELL, 3).mean(axis=(2, 4)) / 32
    cells = (small[..., 2] - small[..., :2].max(axis=-1) - 4).reshape(len(views), -1)
    means = small.mean(axis=(1, 2))
    return np.column_stack([means[:, 1], means[:, 0], np.sort(cells)[:, -2:].mean(axis=1)])


if __name__ == "__main__":
    make_bundle(Path(sys.argv[1]))
