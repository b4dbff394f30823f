"""Models that keep weights in another file are found wherever the reference stands; weights themselves are not read."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from edge_runtime.bundle.errors import InputError
from edge_runtime.inference.external_data import EXTERNAL_DATA, check_self_contained


def tensor(name: str, outside: bool = False, values: bytes = bytes(400)) -> onnx.TensorProto:
    made = onnx.numpy_helper.from_array(np.frombuffer(values, np.uint8), name)
    if outside:
        onnx.external_data_helper.set_external_data(made, location="weights.bin")
        made.ClearField("raw_data")
    return made


def saved(path: Path, *weights: onnx.TensorProto, nodes: tuple[onnx.NodeProto, ...] = ()) -> Path:
    graph = onnx.helper.make_graph(list(nodes), "graph", [], [], list(weights))
    path.write_bytes(onnx.helper.make_model(graph).SerializeToString())
    return path


def constant(outside: bool) -> onnx.NodeProto:
    return onnx.helper.make_node("Constant", [], ["c"], value=tensor("c", outside))


def branch(outside: bool) -> onnx.NodeProto:
    inner = onnx.helper.make_graph([constant(outside)], "inner", [], [], [tensor("w")])
    return onnx.helper.make_node("If", ["yes"], ["out"], then_branch=inner, else_branch=inner)


def test_a_model_that_holds_all_its_weights_is_taken(tmp_path):
    check_self_contained(saved(tmp_path / "m.onnx", tensor("a"), tensor("b"), nodes=(constant(False), branch(False))))


def test_weights_that_happen_to_spell_the_reference_are_no_reference(tmp_path):
    check_self_contained(saved(tmp_path / "m.onnx", tensor("a", values=b"\0" + EXTERNAL_DATA + b"\0")))


@pytest.mark.parametrize("node", [constant(True), branch(True)], ids=["constant", "branch"])
def test_a_tensor_inside_a_node_may_not_lie_outside(tmp_path, node):
    with pytest.raises(InputError, match="keeps weights in another file"):
        check_self_contained(saved(tmp_path / "m.onnx", tensor("a"), nodes=(node,)))


@pytest.mark.parametrize("place", range(3))
def test_no_weight_may_lie_outside(tmp_path, place):
    weights = [tensor(str(number), outside=number == place) for number in range(3)]
    with pytest.raises(InputError, match="keeps weights in another file"):
        check_self_contained(saved(tmp_path / "m.onnx", *weights))


@pytest.mark.parametrize("noise", [b"\xff" * 40, b"\x3a\xff\xff\x7f", b"\x0b"], ids=["numbers", "length", "group"])
def test_a_file_that_is_no_message_is_searched_whole(tmp_path, noise):
    (tmp_path / "m.onnx").write_bytes(noise + EXTERNAL_DATA)
    with pytest.raises(InputError, match="keeps weights in another file"):
        check_self_contained(tmp_path / "m.onnx")


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"")
    with pytest.raises(InputError, match="is empty"):
        check_self_contained(tmp_path / "m.onnx")
