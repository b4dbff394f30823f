"""Make a tiny real bundle whose answers can be worked out by hand: `python -m tests.support.colour_bundle DIR`.

The model names the strongest colour. Input 8 x 8 pixels, labels normal (green), rust (red), leak (blue).
Its cam is the colour plane divided by 32, so logits = mean of that colour over the frame / 32: a frame of pure
red (0, 0, 255 in BGR) has logits 0, 7.96875, 0. There is no bias, so mean(cam) == logits.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from edge_runtime.bundle.decision import DecisionRule
from edge_runtime.bundle.golden import write_golden
from edge_runtime.bundle.manifest import Manifest, model_file
from edge_runtime.bundle.preprocess import PreprocessSpec
from edge_runtime.bundle.radiometric import RadiometricRule
from edge_runtime.bundle.store import write_bundle_manifest

SIDE = 8  # pixels
OPSET = 18
LABELS = ("normal", "rust", "leak")
FAULTS = ("rust", "leak")
PLANES = (1, 2, 0)  # where the colour of each label stands in BGR
RULE = DecisionRule(LABELS, FAULTS, temperature=1.0, thresholds={"rust": 0.4, "leak": 0.9})
TRUTHS = ("normal", "rust", "leak")  # of the first golden frames
TOLERANCE = {"fp32": 1e-4, "fp16": 0.01}


def make_bundle(
    folder: Path, precisions: tuple[str, ...] = ("fp32", "fp16"), radiometric: RadiometricRule | None = None
) -> Path:
    """Write the bundle into `folder` (made where absent) and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for precision in precisions:
        onnx.save(model(precision == "fp16"), str(folder / model_file(precision)))
    frames = golden_frames()
    spec = PreprocessSpec(SIDE, SIDE, radiometric=radiometric)
    scores = np.stack([expected_logits(frame) for frame in frames])
    write_golden(folder, frames, scores, RULE, TOLERANCE, spec, TRUTHS)
    manifest = Manifest(
        name="colours",
        version="1",
        created="2000-01-01T00:00:00Z",
        input=spec,
        decision=RULE,
        precisions=precisions,
        opset=OPSET,
    )
    write_bundle_manifest(folder, manifest)
    return folder


def model(half: bool) -> onnx.ModelProto:
    """frames uint8 (N, 8, 8, 3) BGR -> logits (N, 3), cam (N, 3, 8, 8)."""
    inner = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    kernel = np.zeros((3, 3, 1, 1), np.float16 if half else np.float32)
    for label, plane in enumerate(PLANES):
        kernel[label, plane] = 1 / 32
    nodes = [
        helper.make_node("Cast", ["frames"], ["float"], to=inner),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "kernel"], ["map"]),
        helper.make_node("Cast", ["map"], ["cam"], to=TensorProto.FLOAT),
        helper.make_node("GlobalAveragePool", ["cam"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, ["N", SIDE, SIDE, 3])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3]),
            helper.make_tensor_value_info("cam", TensorProto.FLOAT, ["N", 3, SIDE, SIDE]),
        ],
        [onnx.numpy_helper.from_array(kernel, "kernel")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    return made


def golden_frames() -> list[np.ndarray]:
    """Each colour, a near-black frame, and one of another size that preprocessing has to shrink."""
    flat = [np.full((SIDE, SIDE, 3), colour, np.uint8) for colour in ((0, 255, 0), (0, 0, 255), (255, 0, 0), (1, 0, 1))]
    large = np.zeros((2 * SIDE, 3 * SIDE, 3), np.uint8)
    large[:, : SIDE * 3 // 2, 2] = 255  # left half red: mean red is 127.5
    return [*flat, large]


def expected_logits(frame: np.ndarray) -> np.ndarray:
    """By hand: the mean of each label's colour plane over 32."""
    return np.array([frame[..., plane].mean() / 32 for plane in PLANES])


if __name__ == "__main__":
    make_bundle(Path(sys.argv[1]))
