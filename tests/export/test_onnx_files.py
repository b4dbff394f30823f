import onnx
import pytest
import torch

from edge_runtime.bundle.errors import InputError
from export.onnx_files import write_onnx
from export.parity import onnx_runner, torch_logits
from tests.support.narrow_network import SPEC, narrow_network, pictures


def operators(path):
    return [node.op_type for node in onnx.load(path).graph.node]


def test_fp32_answers_as_torch_at_any_batch_size(packed, network):
    run = onnx_runner(packed / "model.fp32.onnx")
    for count in (1, 4):
        frames = pictures(count, seed=11)
        assert abs(run(frames) - torch_logits(network, frames)).max() <= 1e-4


def test_fp16_answers_nearly_as_torch(packed, network):
    frames = pictures(4, seed=11)
    expected = torch_logits(network, frames)
    seen = onnx_runner(packed / "model.fp16.onnx")(frames)
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
