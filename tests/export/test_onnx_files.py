from dataclasses import replace

import onnx
import pytest
import torch

from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.heads import Pooling
from edge_runtime.inference.openvino_engine import load_openvino
from edge_runtime.inference.tensorrt_engine import build_engine
from export.onnx_files import write_onnx
from export.parity import onnx_runner, torch_scores
from tests.support.narrow_network import SPATIAL_HEAD, SPATIAL_SPEC, SPEC, narrow_network, pictures, spatial_network


def operators(path):
    return [node.op_type for node in onnx.load(path).graph.node]


def test_fp32_answers_as_torch_at_any_batch_size(packed, network):
    run = onnx_runner(packed / "model.fp32.onnx")
    for count in (1, 4):
        frames = pictures(count, seed=11)
        assert abs(run(frames)["logits"] - torch_scores(network, frames).scores).max() <= 1e-4


def test_fp16_answers_nearly_as_torch(packed, network):
    frames = pictures(4, seed=11)
    expected = torch_scores(network, frames).scores
    seen = onnx_runner(packed / "model.fp16.onnx")(frames)["logits"]
    assert seen.dtype == "float32"
    assert 0 < abs(seen - expected).max() < 0.01 * abs(expected).max()


@pytest.mark.parametrize(
    ("precision", "first"), [("fp32", "Cast Transpose Sub Conv"), ("fp16", "Cast Transpose Sub Mul Cast Conv")]
)
def test_the_cast_comes_first_and_the_mean_stays_a_step_of_its_own(packed, precision, first):
    names = operators(packed / f"model.{precision}.onnx")
    assert " ".join(names[: len(first.split())]) == first
    assert "BatchNormalization" not in names


def test_inputs_and_outputs_are_as_the_contract_says(packed):
    for precision in ("fp32", "fp16"):
        model = onnx.load(packed / f"model.{precision}.onnx")
        shapes = {
            value.name: (
                value.type.tensor_type.elem_type,
                [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim],
            )
            for value in (*model.graph.input, *model.graph.output)
        }
        assert shapes == {
            "frames": (onnx.TensorProto.UINT8, ["batch", 64, 64, 3]),
            "logits": (onnx.TensorProto.FLOAT, ["batch", 3]),
            "cam": (onnx.TensorProto.FLOAT, ["batch", 3, 2, 2]),
        }
        assert [(o.domain, o.version) for o in model.opset_import] == [("", 18)]


def test_two_exports_give_the_same_bytes_and_leave_the_network_alone(packed, tmp_path, capfd):
    network = narrow_network()
    before = network.conv1.weight.clone()
    write_onnx(network, SPEC, tmp_path / "again.onnx", "fp32")
    assert (tmp_path / "again.onnx").read_bytes() == (packed / "model.fp32.onnx").read_bytes()
    assert torch.equal(network.conv1.weight, before)
    assert capfd.readouterr() == ("", "")


def test_nothing_of_the_machine_is_in_the_file(packed):
    for precision in ("fp32", "fp16"):
        data = (packed / f"model.{precision}.onnx").read_bytes()
        for trace in (b"stack_trace", b".py", b"/home", b"site-packages", __file__.encode().rsplit(b"/", 3)[0]):
            assert trace not in data


def test_an_unknown_precision_is_a_sentence(tmp_path):
    with pytest.raises(InputError, match="'fp8' cannot be exported; choose one of: fp32, fp16"):
        write_onnx(narrow_network(), SPEC, tmp_path / "m.onnx", "fp8")


@pytest.fixture(scope="module", params=["resnet50", "efficientnet_lite0"])
def spatial_files(request, tmp_path_factory):
    network, folder = spatial_network(backbone=request.param), tmp_path_factory.mktemp(request.param)
    for precision in ("fp32", "fp16"):
        write_onnx(network, SPATIAL_SPEC, folder / f"model.{precision}.onnx", precision)
    return network, folder


def test_a_spatial_file_gives_score_and_map_as_torch_at_any_batch_size(spatial_files):
    network, folder = spatial_files
    run = onnx_runner(folder / "model.fp32.onnx")
    for count in (1, 5):
        frames = pictures(count, 11, 64, 96)
        expected, seen = torch_scores(network, frames), run(frames)
        assert tuple(seen) == SPATIAL_HEAD.outputs
        assert seen["maps"].shape == (count, 1, 4, 6)
        assert abs(SPATIAL_HEAD.scores(seen) - expected.scores).max() <= 1e-4
        assert abs(seen["maps"] - expected.maps).max() <= 1e-4
        SPATIAL_HEAD.check(seen, 1e-5)


def test_a_spatial_file_in_half_precision_pools_in_float(spatial_files):
    network, folder = spatial_files
    frames = pictures(4, 11, 64, 96)
    expected, seen = torch_scores(network, frames), onnx_runner(folder / "model.fp16.onnx")(frames)
    assert {found.dtype.name for found in seen.values()} == {"float32"}
    assert 0 < abs(seen["maps"] - expected.maps).max() < 0.02 * abs(expected.maps).max()
    SPATIAL_HEAD.check(seen, 1e-6)  # were the mean made in half precision, it would be 1e-3 off


@pytest.mark.parametrize("pooling", [Pooling("max", 1), Pooling("top", 3), Pooling("lse", 1)])
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino", "tensorrt"])
def test_engines_take_every_pooling(tmp_path, pooling, engine):
    head = replace(SPATIAL_HEAD, pooling=pooling)
    network, path = spatial_network(backbone="efficientnet_lite0", head=head), tmp_path / "model.onnx"
    write_onnx(network, SPATIAL_SPEC, path, "fp32")
    frames = pictures(3, 11, 64, 96)
    expected = torch_scores(network, frames)
    if engine == "tensorrt":
        rtx = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx-cu13 is not installed")
        assert len(build_engine(rtx, path, tmp_path / "timing.cache")) > 1000
        return
    if engine == "openvino":
        pytest.importorskip("openvino")
        run = load_openvino(path, head.outputs, "fp32", 1, 1).run
    else:
        run = onnx_runner(path)
    seen = run(frames)
    assert abs(head.scores(seen) - expected.scores).max() <= 1e-4
    assert abs(seen["maps"] - expected.maps).max() <= 1e-4
    head.check(seen, 1e-5)
