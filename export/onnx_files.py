"""ONNX files for the edge: one per precision, self-contained, the same bytes for the same weights."""

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.files import replace_file
from edge_runtime.bundle.preprocess import PreprocessSpec
from export.network import FrameNetwork, output_names

OPSET = 18  # the exporter's own; TensorRT 10.3 (JetPack 6) and onnxruntime 1.23 read it
DIRECT_PRECISIONS = ("fp32", "fp16")  # the exporter writes these itself; INT8 files are made from the first
INPUT = "frames"
NOTES = ("metadata_props", "doc_string")  # where the exporter puts source paths and stack traces


def write_onnx(network: nn.Module, spec: PreprocessSpec, path: Path, precision: str) -> None:
    """Export `network` behind its preprocessing to `path` (its folder must exist); any batch size.

    Input `frames` uint8 (N, H, W, 3) BGR; outputs by their names in the bundle's head, float32 in every precision.
    """
    if precision not in DIRECT_PRECISIONS:
        raise InputError(f"precision {precision!r} cannot be exported; choose one of: {', '.join(DIRECT_PRECISIONS)}")
    whole = FrameNetwork(network, spec, half=precision == "fp16")
    replace_file(path, finished_bytes(export_model(whole, whole.example(2), [INPUT], list(output_names(network)))))


def finished_bytes(model: onnx.ModelProto) -> bytes:
    """Return the bytes of a checked model: no notes, numbered nodes, only operator sets in use; changes `model`."""
    _strip(model)
    _rename_nodes(model.graph)
    model.producer_name, model.producer_version = "rarefault", ""
    used = {node.domain for node in model.graph.node}
    kept = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    onnx.checker.check_model(model, full_check=True)
    serialised: bytes = model.SerializeToString(deterministic=True)
    return serialised


def export_model(network: nn.Module, example: Tensor, inputs: list[str], outputs: list[str]) -> onnx.ModelProto:
    """Return `network` as an ONNX model for any batch size.

    `example` has two rows: from one, the exporter would take the batch for a constant.
    """
    with quiet():
        program = torch.onnx.export(
            network.eval(),
            (example,),
            dynamo=True,
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
    if program is None:
        raise TypeError("torch.onnx.export with dynamo=True gave no program")
    return program.model_proto


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence the warnings and the logging of exporter and quantiser; errors still raise."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _strip(message: Any) -> None:
    """Drop every note in a protobuf message and all messages below it, so that no path of this machine is named."""
    for field, value in message.ListFields():
        if field.name in NOTES:
            message.ClearField(field.name)
        elif field.message_type is not None:
            for child in value if field.is_repeated else [value]:
                _strip(child)


def _rename_nodes(graph: onnx.GraphProto) -> None:
    """Number the nodes in order: the exporter's own numbers depend on what it exported before."""
    for place, node in enumerate(graph.node):
        node.name = f"{node.op_type}_{place}"
