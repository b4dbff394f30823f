"""Looks at the files of a bundle before any engine or decoder may: they are hostile until they have passed.

A bundle is a manifest, golden.json, ONNX files and PNG pictures, all of them in its manifest, and nothing else: no
links, no archives. An ONNX file is a graph of ONNX's own operators whose weights lie in it: no data of other files, no
operators of other domains, no functions, no graphs inside graphs, and no value larger than a device can hold.
"""

import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..bundle.errors import InputError, UnavailableError
from ..bundle.golden import GOLDEN
from ..bundle.preprocess import MAX_SIDE
from ..bundle.store import MANIFEST, MAX_MANIFEST, Bundle, open_bundle
from ..media.image_headers import read_header
from .errors import Reason, UpdateRefused
from .trusted_repository import MOST_FILES

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

MOST_BYTES = 1 << 29  # of one file
MOST_JSON = MAX_MANIFEST
MOST_PIXELS = 2 * MAX_SIDE**2  # of a golden frame; packed ones have six times the pixels of their canvas at most
MOST_NODES = 20_000
MOST_VALUES = 1 << 28  # of one tensor for one view: 1 GiB in float32
MOST_STEP = 1 << 16  # of a whole number among a node's attributes: pads, strides, kernel sizes
OWN_DOMAINS = ("", "ai.onnx")


def check_content(folder: Path) -> Bundle:
    """Return the verified bundle in `folder`. UpdateRefused says which file is not what a bundle may hold.

    Raises UnavailableError where the package that reads ONNX files is missing.
    """
    try:
        seen = _plain_files(folder)
        bundle = open_bundle(folder)
        if strange := sorted(seen - set(bundle.manifest.files) - {MANIFEST}):
            raise InputError(f"{folder / strange[0]} is not in the manifest, which nobody signed for")
        for name in sorted(seen - {MANIFEST, GOLDEN}):
            (check_model if name.endswith(".onnx") else _check_picture)(folder / name)
    except InputError as error:
        raise UpdateRefused(Reason.CONTENT, str(error)) from error
    return bundle


def _plain_files(folder: Path) -> set[str]:
    """Return the names of all files below `folder`, relative to it; InputError for links and what is too much."""
    names = set()
    for place, entry in enumerate(_entries(folder)):
        path = Path(entry.path)
        mode, size = entry.stat(follow_symlinks=False).st_mode, entry.stat(follow_symlinks=False).st_size
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise InputError(f"{path} is a link or a device, expected plain files and folders")
        most = MOST_JSON if path.name in (MANIFEST, GOLDEN) else MOST_BYTES
        if stat.S_ISREG(mode) and size > most:
            raise InputError(f"{path} has {size} bytes, expected at most {most}")
        if place >= MOST_FILES:
            raise InputError(f"{folder} holds more than {MOST_FILES} files")
        if stat.S_ISREG(mode):
            names.add(path.relative_to(folder).as_posix())
    return names


def _entries(folder: Path) -> Iterator["os.DirEntry[str]"]:
    with os.scandir(folder) as found:
        for entry in found:
            yield entry
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(Path(entry.path))


def _check_picture(path: Path) -> None:
    """Refuse what is no PNG file, or one that unpacks to more pixels than a golden frame has."""
    try:
        header = read_header(path.read_bytes())
    except InputError as error:
        raise InputError(f"{path} {error}") from error
    if header.kind != "PNG" or header.width * header.height > MOST_PIXELS:
        raise InputError(
            f"{path} is a {header.kind} of {header.width} x {header.height} pixels, expected a PNG of at most "
            f"{MOST_PIXELS}"
        )


def check_model(path: Path) -> None:
    """Refuse an ONNX file that is more than a graph of known operators with all its weights in it."""
    try:
        import onnx
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    except ImportError as error:
        raise UnavailableError(f"models cannot be checked ({error}); pip install 'rarefault[station]'") from error
    try:
        model = onnx.ModelProto.FromString(path.read_bytes())
    except DecodeError as error:
        raise InputError(f"{path} is no ONNX file ({error})") from error
    for found in _oddities(model, path.stat().st_size):
        raise InputError(f"{path} {found}")
    try:
        _check_sizes(model)
    except InputError as error:
        raise InputError(f"{path} {error}") from error


def _oddities(model: "ModelProto", size: int) -> Iterator[str]:
    """Yield what is in the model that none of ours has, each as a predicate; `size` is that of the file in bytes."""
    if model.functions:
        yield "has functions of its own, expected operators of ONNX alone"
    if model.training_info:
        yield "has graphs for training, expected one graph"
    if strange := [entry.domain for entry in model.opset_import if entry.domain not in OWN_DOMAINS]:
        yield f"wants the operators of {strange[0]!r}, expected those of ONNX alone"
    graph = model.graph
    if len(graph.node) > MOST_NODES:
        yield f"has {len(graph.node)} nodes, expected at most {MOST_NODES}"
    if graph.sparse_initializer:
        yield "has sparse weights, expected dense ones"
    for node in graph.node:
        if node.domain not in OWN_DOMAINS:
            yield f"has the operator {node.domain}.{node.op_type}, expected operators of ONNX alone"
        for attribute in node.attribute:
            yield from _attribute_oddities(node, attribute)
    for tensor in _tensors(graph):
        yield from _tensor_oddities(tensor, size)


def _attribute_oddities(node: "NodeProto", attribute: "AttributeProto") -> Iterator[str]:
    if attribute.HasField("g") or attribute.graphs:
        yield f"has a graph inside its node {node.op_type}, expected none"
    if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
        yield f"has sparse weights in its node {node.op_type}, expected dense ones"
    if node.op_type != "Constant" and any(abs(number) > MOST_STEP for number in (attribute.i, *attribute.ints)):
        yield f"has {attribute.name} beyond {MOST_STEP} in its node {node.op_type}"


def _tensors(graph: "GraphProto") -> "Iterator[TensorProto]":
    yield from graph.initializer
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        yield from (*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors)


def _tensor_oddities(tensor: "TensorProto", size: int) -> Iterator[str]:
    if tensor.external_data or tensor.data_location:
        yield "keeps weights in another file, which nobody verifies; expected all of them in it"
    if any(side < 0 for side in tensor.dims) or math.prod(tensor.dims) > 2 * size:  # two values in a byte at most
        yield f"has weights of the size {list(tensor.dims)}, more than {size} bytes hold"


def _check_sizes(model: "ModelProto") -> None:
    """Refuse a graph with a value that is too large for one view, or whose size is not known before it runs."""
    import onnx

    graph = model.graph
    if len(graph.input) != 1:
        raise InputError(f"takes {len(graph.input)} inputs, expected the frames alone")
    sides = graph.input[0].type.tensor_type.shape.dim
    if len(sides) != 4:
        raise InputError(f"takes an input of {len(sides)} axes, expected frames (N, H, W, 3)")
    sides[0].dim_value = 1  # one view; a call may bring more, and its caller counts them
    del graph.value_info[:]  # what the file says of itself
    for output in graph.output:
        output.type.tensor_type.ClearField("shape")
    try:
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError) as error:
        raise InputError(f"is no valid graph ({str(error).strip().splitlines()[0]})") from error
    shapes = {
        value.name: [side.dim_value for side in value.type.tensor_type.shape.dim]
        for value in (*inferred.value_info, *inferred.output, *inferred.input)
        if value.type.tensor_type.HasField("shape")
    }
    for node in inferred.node:
        for name in node.output:
            shape = shapes.get(name)
            if name and (shape is None or 0 in shape or math.prod(shape) > MOST_VALUES):
                raise InputError(
                    f"gives the value {name} of its node {node.op_type} the size {shape}, expected a known one of at "
                    f"most {MOST_VALUES} for a view"
                )
