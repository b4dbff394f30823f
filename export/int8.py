"""INT8 files from the FP32 one: quantise and dequantise nodes with scales measured on training images.

Dialects, because no single one is fast everywhere. For processors: unsigned activations, signed weights in seven bits,
since AVX2 without VNNI may saturate on eight; where seven cost too much, eight are tried. For TensorRT: everything
signed and symmetric, biases left alone, the only form its parser takes. All keep preprocessing and head in float, so
that scores and maps still belong together.
"""

import tempfile
from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, qdq_loss_debug, quantize_static

from edge_runtime.bundle.files import replace_file
from edge_runtime.bundle.preprocess import Frames
from export.network import CLASS_OUTPUTS
from export.onnx_files import INPUT, finished_bytes, quiet

CPU, CPU_FULL_RANGE, TENSORRT = "cpu", "cpu, full range", "tensorrt"
DIALECTS: dict[str, dict[str, Any]] = {
    CPU: {"activation_type": QuantType.QUInt8, "reduce_range": True},
    CPU_FULL_RANGE: {"activation_type": QuantType.QUInt8, "reduce_range": False},
    TENSORRT: {
        "activation_type": QuantType.QInt8,
        "extra_options": {
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "QuantizeBias": False,
            "AddQDQPairToWeight": True,
        },
    },
}
PREPROCESSING = ("Cast", "Transpose", "Sub")
HEAD = "network.head."  # begins the names of a spatial head's weights
BACKBONE = ("Conv", "Add", "Relu", "Clip")  # a backbone ends in one of them
PROBE = 4  # calibration frames on which the damage of single layers is measured; every activation is kept


def write_int8(source: Path, frames: Frames, path: Path, dialect: str, kept: Collection[str] = ()) -> None:
    """Quantise the FP32 file `source` to `path`, with scales measured on `frames`; the same bytes for the same input.

    `frames` are uint8 (N, H, W, 3) BGR of training images. `kept` are names of nodes that stay in float.
    """
    graph = onnx.load(source).graph
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "int8.onnx"
        with quiet():
            quantize_static(
                source,
                made,
                _Reader(frames),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=[*_floating(graph), *kept],
                **DIALECTS[dialect],
            )
        replace_file(path, finished_bytes(onnx.load(made)))


def sensitive(source: Path, frames: Frames) -> list[str]:
    """Return names of the convolutions of `source` that may be quantised, those that eight bits suit least first.

    They are ranked by the ratio of signal to noise of what each one is given, after its round trip through eight bits.
    The one that meets the pixels comes before all of them: it is cheap, and its noise passes through every other
    (measured on EfficientNet-Lite0: 1.7 of 20 decibels).
    """
    some = frames[:PROBE]
    graph = onnx.load(source).graph
    floating = _floating(graph)
    with tempfile.TemporaryDirectory() as place, quiet():
        folder = Path(place)
        write_int8(source, some, folder / "int8.onnx", CPU)
        watched = folder / "watched.onnx"
        qdq_loss_debug.modify_model_output_intermediate_tensors(str(folder / "int8.onnx"), str(watched))
        pairs = qdq_loss_debug.create_activation_matching(
            qdq_loss_debug.collect_activations(str(watched), _Reader(some))
        )
    decibels = {
        name: qdq_loss_debug.compute_signal_to_quantization_noice_ratio(pair["pre_qdq"], pair["post_qdq"])
        for name, pair in pairs.items()
    }
    layers = [node for node in graph.node if node.op_type == "Conv" and node.input[0] in decibels]
    layers = [node for node in layers if node.name not in floating]
    ranked = [node.name for node in sorted(layers[1:], key=lambda node: (decibels[node.input[0]], node.name))]
    return [layers[0].name, *ranked]


def _floating(graph: onnx.GraphProto) -> list[str]:
    """Return names of the nodes that no dialect quantises: preprocessing, and the head that gives scores and maps."""
    head = _head(graph)
    return [node.name for node in graph.node if node.op_type in PREPROCESSING or node.name in head]


def _head(graph: onnx.GraphProto) -> set[str]:
    """Return names of the two nodes that give a classifier's logits and map, or of all nodes of a spatial head."""
    head = {node.name for node in graph.node if set(CLASS_OUTPUTS) & set(node.output)}
    if head:
        return head
    follows = {value.name for value in graph.initializer if value.name.startswith(HEAD)}
    for node in graph.node:  # the nodes stand in the order in which they run
        if follows & set(node.input):
            follows |= set(node.output)
            head.add(node.name)
    readers: dict[str, set[str]] = defaultdict(set)
    for node in graph.node:
        for name in node.input:
            readers[name].add(node.name)
    for node in reversed(graph.node):  # what only prepares the head's input, such as the pooling of the finest tap
        if node.op_type not in BACKBONE and all(readers[name] and readers[name] <= head for name in node.output):
            head.add(node.name)
    return head


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Hands frames one by one to ONNX Runtime's calibration."""

    def __init__(self, frames: Frames) -> None:
        self._left: Iterator[Frames] = iter(frames[:, None])

    def get_next(self) -> dict[str, Frames] | None:
        frame = next(self._left, None)
        return None if frame is None else {INPUT: frame}
