"""Hostile files of a bundle: each is refused before an engine or a decoder has seen it, and the honest one passes."""

import json
import os
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.manifest import Manifest
from edge_runtime.bundle.store import open_bundle, write_bundle_manifest
from edge_runtime.updates.content_check import MOST_FILES, check_content, check_model
from edge_runtime.updates.errors import Reason, UpdateRefused
from tests.support import spot_bundle

MODEL = "model.fp32.onnx"


def list_again(folder: Path) -> None:
    """Give the manifest the digests of the files as they are now: whoever signs can do so too."""
    write_bundle_manifest(folder, Manifest.from_json(json.loads((folder / "manifest.json").read_text())))


def refused(folder: Path) -> str:
    with pytest.raises(UpdateRefused) as caught:
        check_content(folder)
    assert caught.value.reason is Reason.CONTENT
    return caught.value.detail


def with_model(folder: Path, change: Callable[[onnx.ModelProto], object]) -> Path:
    model = onnx.load(str(folder / MODEL), load_external_data=False)
    change(model)
    (folder / MODEL).write_bytes(model.SerializeToString())
    list_again(folder)
    return folder


def test_honest_bundles_pass_and_come_back_opened(packed: Path, tmp_path: Path) -> None:
    assert check_content(packed).digest == open_bundle(packed).digest
    tiled = spot_bundle.make_bundle(tmp_path / "spots", spot_bundle.TILED)
    assert check_content(tiled).manifest.name == "spots"


@pytest.mark.parametrize("kind", ["link to a file", "link to a folder", "pipe"])
def test_links_and_devices_are_refused_unread(bundle: Path, kind: str, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    if kind == "pipe":
        os.mkfifo(bundle / "pipe")
    elif kind == "link to a folder":
        (bundle / "more").symlink_to(tmp_path / "outside")
    else:
        model = (bundle / MODEL).rename(tmp_path / "outside" / MODEL)
        (bundle / MODEL).symlink_to(model)
    assert "is a link or a device" in refused(bundle)


def test_a_file_that_nobody_signed_for_is_refused(bundle: Path) -> None:
    (bundle / "golden" / ".hidden").write_bytes(b"x")
    assert ".hidden is not in the manifest" in refused(bundle)


@pytest.mark.parametrize("name", ["../outside.png", "/etc/hostname", "golden/../../outside.png"])
def test_a_name_that_leads_out_of_the_bundle_is_refused(bundle: Path, name: str) -> None:
    (bundle.parent / "outside.png").write_bytes(b"x")
    document = json.loads((bundle / "manifest.json").read_text())
    document["files"][name] = {"sha256": "0" * 64, "bytes": 1}
    (bundle / "manifest.json").write_text(json.dumps(document))
    assert "lies outside the bundle" in refused(bundle)


def test_too_many_files_and_one_that_is_too_large_are_refused(bundle: Path) -> None:
    with (bundle / "golden.json").open("wb") as file:
        file.truncate(1 << 33)  # sparse: eight GiB that take no room
    assert "golden.json has 8589934592 bytes, expected at most" in refused(bundle)
    (bundle / "golden.json").unlink()
    for number in range(MOST_FILES):
        (bundle / f"{number}.txt").touch()
    assert f"holds more than {MOST_FILES} files" in refused(bundle)


def test_a_damaged_file_is_refused_by_its_digest(bundle: Path) -> None:
    with (bundle / MODEL).open("r+b") as file:
        file.write(b"\xff")
    assert "has sha256" in refused(bundle)


def test_a_picture_that_unpacks_to_gigabytes_is_refused_by_its_header(bundle: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1 << 20))
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    (bundle / "golden" / "00.png").write_bytes(data)
    list_again(bundle)
    assert "00.png is a PNG of 50000 x 50000 pixels" in refused(bundle)


def test_another_kind_of_picture_under_the_name_of_a_png_is_refused(bundle: Path) -> None:
    (bundle / "golden" / "00.png").write_bytes(b"GIF89a" + struct.pack("<HH", 8, 8) + bytes(20))
    list_again(bundle)
    assert "00.png is a GIF of 8 x 8 pixels, expected a PNG" in refused(bundle)


def test_what_a_bundle_does_not_consist_of_is_refused(bundle: Path) -> None:
    (bundle / "golden" / "more.zip").write_bytes(b"PK\x03\x04" + bytes(100))
    list_again(bundle)
    assert "more.zip is a ZIP archive" in refused(bundle)


def external(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"


def external_constant(model: onnx.ModelProto) -> None:
    node = model.graph.node.add(op_type="Constant", output=["secret"])
    tensor = TensorProto(data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="/dev/zero")
    node.attribute.add(name="value", type=onnx.AttributeProto.TENSOR, t=tensor)


def custom_operator(model: onnx.ModelProto) -> None:
    model.graph.node[2].domain = "evil.example"
    model.opset_import.append(helper.make_opsetid("evil.example", 1))


def hidden_custom_operator(model: onnx.ModelProto) -> None:
    model.graph.node[2].domain = "com.microsoft"  # ONNX Runtime knows this one without any import


def function(model: onnx.ModelProto) -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    model.functions.append(helper.make_function("", "Own", ["x"], ["y"], [node], model.opset_import))


def graph_inside(model: onnx.ModelProto) -> None:
    inner = helper.make_graph([helper.make_node("Identity", ["map"], ["inner"])], "inner", [], [])
    model.graph.node.append(helper.make_node("If", ["c"], ["d"], then_branch=inner, else_branch=inner))


def sparse(model: onnx.ModelProto) -> None:
    values = numpy_helper.from_array(np.ones(1, np.float32), "w")
    indices = numpy_helper.from_array(np.zeros(1, np.int64), "i")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [1 << 20, 1 << 20]))


def endless_weights(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[0] = 1 << 40


def between(model: onnx.ModelProto, name: str, *constants: np.ndarray, **attributes: object) -> None:
    """Put an operator behind the convolution: what it makes of the map is what is pooled."""
    names = [f"constant{place}" for place in range(len(constants))]
    for key, value in zip(names, constants, strict=True):
        model.graph.initializer.append(numpy_helper.from_array(value, key))
    inputs = ["map", "", *names] if name == "Resize" else ["map", *names]
    model.graph.node.insert(3, helper.make_node(name, inputs, ["blown"], **attributes))
    model.graph.node[4].input[0] = "blown"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (external, "keeps weights in another file"),
        (external_constant, "keeps weights in another file"),
        (custom_operator, "wants the operators of 'evil.example'"),
        (hidden_custom_operator, "has the operator com.microsoft.Conv"),
        (function, "has functions of its own"),
        (graph_inside, "has a graph inside its node If"),
        (sparse, "has sparse weights"),
        (endless_weights, r"has weights of the size \[1099511627776, 3, 1, 1\]"),
        (lambda m: m.training_info.add(), "has graphs for training"),
        (lambda m: m.graph.node[2].attribute.append(helper.make_attribute("pads", [1 << 20] * 4)), "has pads beyond"),
        (lambda m: between(m, "Resize", np.array([1, 1, 1e5, 1e5], np.float32)), "of its node Resize the size"),
        (lambda m: between(m, "Expand", np.array([1, 3, 1 << 20, 1 << 20])), "is no valid graph"),
        (lambda m: between(m, "Tile", np.array([1, 1, 1 << 15, 1 << 15])), "of its node Tile the size"),
        (lambda m: m.graph.node[2].ClearField("op_type"), "the size None, expected a known one"),
        (lambda m: m.graph.input.add(name="more"), "takes 2 inputs"),
    ],
)
def test_a_model_that_is_more_than_a_plain_graph_is_refused(bundle: Path, change, sentence: str) -> None:
    assert re.search(sentence, refused(with_model(bundle, change)))


def test_bytes_that_are_no_model_are_refused(bundle: Path) -> None:
    (bundle / MODEL).write_bytes(b"\xff" * 100)
    list_again(bundle)
    assert "is no ONNX file" in refused(bundle)


def test_a_bundle_without_a_manifest_is_refused(tmp_path: Path) -> None:
    assert "is no bundle" in refused(tmp_path)


def test_a_thousand_damaged_models_are_refused_or_pass_and_never_anything_else(bundle: Path) -> None:
    draws, whole = np.random.default_rng(16), (bundle / MODEL).read_bytes()
    passed = 0
    for _ in range(1000):
        data = bytearray(whole)
        for place in draws.integers(len(data), size=draws.choice([1, 2, 8])):
            data[place] = draws.integers(256)
        (bundle / MODEL).write_bytes(data)
        try:
            check_model(bundle / MODEL)
            passed += 1
        except InputError:
            pass
    assert passed < 500
