"""INT8 files: both dialects, the same bytes, float where it has to be."""

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest

from edge_runtime.bundle.golden import load_golden
from edge_runtime.bundle.store import open_bundle
from edge_runtime.inference.tensorrt_engine import build_engine, parse
from export.int8 import CPU, CPU_FULL_RANGE, DIALECTS, TENSORRT, sensitive, write_int8
from export.onnx_files import write_onnx
from export.pack import PackTools, pack_bundle, prove
from export.parity import onnx_runner, torch_scores
from tests.support.narrow_network import SPATIAL_HEAD, SPATIAL_SPEC, SPEC, narrow_network, pictures, spatial_network

FRAMES = pictures(16, seed=1)


def pack(folder, checkpoint, evidence, rule, **more):
    about = {"name": "narrow", "version": "1", "metrics": {}, "lineage": {}, **more}
    return pack_bundle(checkpoint, evidence, folder, decision=rule, precisions=("fp32", "int8"), **about)


def written(folder, network, spec):
    write_onnx(network, spec, folder / "model.fp32.onnx", "fp32")
    return network, folder / "model.fp32.onnx"


@pytest.fixture(scope="module", params=["resnet50", "efficientnet_lite0"])
def source(request, tmp_path_factory):
    return written(tmp_path_factory.mktemp(request.param), narrow_network(backbone=request.param), SPEC)


@pytest.mark.parametrize("dialect", list(DIALECTS))
def test_a_quantised_file_answers_nearly_as_the_network(source, tmp_path, dialect):
    network, path = source
    write_int8(path, FRAMES, tmp_path / "one.onnx", dialect)
    write_int8(path, FRAMES, tmp_path / "two.onnx", dialect)
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes()
    onnx.checker.check_model(tmp_path / "one.onnx", full_check=True)
    frames = pictures(16, seed=9)
    expected = torch_scores(network, frames).scores
    seen = onnx_runner(tmp_path / "one.onnx")(frames)["logits"]
    assert 0 < np.abs(seen - expected).max() < 0.25 * np.abs(expected).max()


@pytest.mark.parametrize("dialect", list(DIALECTS))
def test_logits_are_still_the_mean_of_the_map_plus_the_bias(source, tmp_path, dialect):
    network, path = source
    write_int8(path, FRAMES, tmp_path / "int8.onnx", dialect)
    session = onnxruntime.InferenceSession(tmp_path / "int8.onnx", providers=["CPUExecutionProvider"])
    logits, cam = session.run(["logits", "cam"], {"frames": pictures(4, seed=2)})
    bias = network.get_submodule(network.classifier).bias.detach().numpy()
    assert cam.mean(axis=(2, 3)) + bias == pytest.approx(logits, abs=1e-4)


def test_tensorrt_gets_no_unsigned_number_and_no_quantised_bias(source, tmp_path):
    _, path = source
    write_int8(path, FRAMES, tmp_path / "int8.onnx", TENSORRT)
    graph = onnx.load(tmp_path / "int8.onnx").graph
    values = {value.name: value for value in graph.initializer}
    zeros = [values[node.input[2]] for node in graph.node if node.op_type == "DequantizeLinear"]
    assert {zero.data_type for zero in zeros} == {onnx.TensorProto.INT8}
    assert all(not onnx.numpy_helper.to_array(zero).any() for zero in zeros)


def test_a_layer_that_is_kept_stays_in_float(source, tmp_path):
    _, path = source
    ranked = sensitive(path, FRAMES)
    convolutions = [node for node in onnx.load(path).graph.node if node.op_type == "Conv"]
    assert len(set(ranked)) == len(ranked) == len(convolutions) - 1  # all but the one that makes the map
    assert ranked[0] == convolutions[0].name
    write_int8(path, FRAMES, tmp_path / "kept.onnx", CPU, ranked[:3])
    graph = onnx.load(tmp_path / "kept.onnx").graph
    dequantised = {name for node in graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    in_float = [node for node in graph.node if node.op_type == "Conv" and node.input[1] not in dequantised]
    assert len(in_float) == 3 + 1


def test_a_bundle_with_int8_proves_itself_and_has_a_file_for_tensorrt(tmp_path, checkpoint, evidence, rule):
    easy = replace(evidence, test=evidence.test[:1])  # untrained, it may lose frames that are near a tie
    pack(tmp_path / "bundle", checkpoint, easy, rule)
    bundle = open_bundle(tmp_path / "bundle")
    assert bundle.manifest.precisions == ("fp32", "int8")
    assert {"model.int8.onnx", "model.int8.trt.onnx"} <= set(bundle.manifest.files)
    assert set(bundle.manifest.metrics["parity"]) == {"fp32", "int8", "int8.trt"}
    assert set(prove(tmp_path / "bundle")) == {"fp32", "int8"}
    golden = load_golden(bundle)
    assert set(golden.answers) == {"int8", "int8.trt"}
    assert sorted(golden.truths[:12]) == sorted(item.label for item in evidence.golden)
    assert set(golden.truths[12:]) == {""}  # the made ones


def test_int8_is_tried_again_with_more_layers_in_float_and_given_up_at_last(tmp_path, checkpoint, evidence, rule):
    tried = []
    good = iter([True, False, False, False, True, False, False, False, False])  # fp32; int8; int8.trt

    def remember(source, frames, path, dialect, kept=()):
        tried.append((dialect, len(kept)))
        path.write_bytes(source.read_bytes())

    def run_file(path):
        run, turn = onnx_runner(path), 1 if next(good) else -1
        return lambda frames: {name: found[:, ::turn] for name, found in run(frames).items()}

    tools = PackTools(write_int8=remember, run_file=run_file)
    manifest = pack(tmp_path / "bundle", checkpoint, evidence, rule, tools=tools)
    assert tried[:4] == [(CPU, 0), (CPU_FULL_RANGE, 0), (CPU_FULL_RANGE, 4), (CPU_FULL_RANGE, 8)]
    assert tried[4:] == [(TENSORRT, count) for count in (0, 4, 8, 16)]
    assert manifest.metrics["parity"]["int8"]["dialect"] == CPU_FULL_RANGE
    assert len(manifest.metrics["parity"]["int8"]["kept_in_float"]) == 8
    assert list(manifest.metrics["refused"]) == ["int8.trt"]
    assert "on the test set" in manifest.metrics["refused"]["int8.trt"]
    assert "model.int8.trt.onnx" not in manifest.files


def test_nvidias_builder_takes_the_file_and_quantises_every_convolution_but_the_map(source, tmp_path):
    rtx = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx-cu13 is not installed")
    _, path = source
    write_int8(path, FRAMES, tmp_path / "int8.onnx", TENSORRT)
    assert len(build_engine(rtx, tmp_path / "int8.onnx", tmp_path / "timing.cache")) > 1000
    _, network, _parser = parse(rtx, tmp_path / "int8.onnx")
    layers = [network.get_layer(place) for place in range(network.num_layers)]
    made_by = {layer.get_output(place).name: layer for layer in layers for place in range(layer.num_outputs)}
    convolutions = [layer for layer in layers if layer.type == rtx.LayerType.CONVOLUTION]
    inputs = [made_by[layer.get_input(0).name] for layer in convolutions]
    quantised = [layer for layer in inputs if layer.type == rtx.LayerType.DEQUANTIZE]
    assert {layer.get_input(0).dtype for layer in quantised} == {rtx.DataType.INT8}
    assert len(quantised) >= len(convolutions) - 1


@pytest.fixture(scope="module", params=["resnet50", "efficientnet_lite0"])
def spatial_source(request, tmp_path_factory):
    return written(tmp_path_factory.mktemp(request.param), spatial_network(backbone=request.param), SPATIAL_SPEC)


@pytest.mark.parametrize("dialect", list(DIALECTS))
def test_a_spatial_head_stays_in_float_and_its_score_is_still_pooled_from_its_map(spatial_source, tmp_path, dialect):
    network, path = spatial_source
    frames = pictures(16, 1, 64, 96)
    write_int8(path, frames, tmp_path / "int8.onnx", dialect)
    seen = onnx_runner(tmp_path / "int8.onnx")(frames)
    SPATIAL_HEAD.check(seen, 1e-5)
    expected = torch_scores(network, frames)
    assert 0 < np.abs(seen["maps"] - expected.maps).max() < 0.5 * np.abs(expected.maps).max()
    graph = onnx.load(tmp_path / "int8.onnx").graph
    weights = {value.name for value in graph.initializer if value.name.startswith("network.head.")}
    assert {"network.head.maps.weight", "network.head.narrow.0.weight"} <= weights  # none became a quantised copy
    made_by = {name: node.op_type for node in graph.node for name in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    in_float = [node for node in convolutions if made_by.get(node.input[1]) != "DequantizeLinear"]
    assert len(in_float) == 5
    fine = next(node for node in graph.node if node.op_type == "AveragePool")
    assert [node.op_type for node in graph.node if fine.output[0] in node.input] == ["Concat"]


def test_only_layers_of_the_backbone_are_ranked(spatial_source):
    _, path = spatial_source
    ranked = sensitive(path, pictures(4, 1, 64, 96))
    convolutions = [node for node in onnx.load(path).graph.node if node.op_type == "Conv"]
    assert len(ranked) == len(convolutions) - 5


def test_nvidias_parser_takes_the_int8_file_of_a_spatial_head(spatial_source, tmp_path):
    rtx = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx-cu13 is not installed")
    _, path = spatial_source
    write_int8(path, pictures(8, 1, 64, 96), tmp_path / "int8.onnx", TENSORRT)
    assert len(build_engine(rtx, tmp_path / "int8.onnx", tmp_path / "timing.cache")) > 1000
