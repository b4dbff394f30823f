"""Bad models on a device: each is stopped before it may serve, with the reason that fits, and a good one is timed."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edge_runtime.bundle.heads import Outputs
from edge_runtime.bundle.manifest import Manifest
from edge_runtime.bundle.preprocess import Frames
from edge_runtime.bundle.store import Bundle, open_bundle, write_bundle_manifest
from edge_runtime.inference.engines import Engine, load_engine
from edge_runtime.updates.errors import Reason, UpdateRefused
from edge_runtime.updates.proof import Proof, prove
from tests.support import colour_bundle as maker


def proof(bundle: Bundle, serving: Bundle | None = None, most_latency: float = 100.0) -> Proof:
    return prove(bundle, serving, "cpu", "auto", 1, most_latency)


def stopped(bundle: Bundle, serving: Bundle | None = None, most_latency: float = 100.0) -> UpdateRefused:
    with pytest.raises(UpdateRefused) as caught:
        proof(bundle, serving, most_latency)
    return caught.value


def with_model(folder: Path, change: Callable[[onnx.ModelProto], object], precision: str = "fp32") -> Bundle:
    path = folder / f"model.{precision}.onnx"
    model = onnx.load(str(path))
    change(model)
    path.write_bytes(model.SerializeToString())
    manifest = Manifest.from_json(json.loads((folder / "manifest.json").read_text()))
    write_bundle_manifest(folder, manifest)
    return open_bundle(folder)


def kernel(model: onnx.ModelProto, change: Callable[[np.ndarray], np.ndarray]) -> None:
    tensor = model.graph.initializer[0]
    tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor).copy()), tensor.name))


def test_a_good_bundle_runs_in_every_precision_and_is_timed_beside_the_serving_one(packed: Path) -> None:
    bundle = open_bundle(packed)
    found = proof(bundle, bundle)
    assert (found.engine, found.precision) == ("cpu", "fp32")
    assert set(found.worst) == {"cpu fp32", "cpu fp16"}
    assert max(found.worst.values()) < 0.01
    assert found.serving_ms is not None
    assert 0 < found.latency_ms < 50 * found.serving_ms


def test_auto_proves_every_engine_that_is_here_and_says_which_are_not(packed: Path) -> None:
    found = prove(open_bundle(packed), None, "auto", "auto", 1)
    assert {f"cpu {precision}" for precision in ("fp32", "fp16")} <= set(found.worst)
    assert found.serving_ms is None
    assert all(": " in sentence for sentence in found.passed_over)


class Tinted:
    """An engine that adds to every logit."""

    def __init__(self, engine: Engine, by: float) -> None:
        self.engine, self.by = engine, by
        self.name, self.precision = engine.name, engine.precision

    def run(self, frames: Frames) -> Outputs:
        outputs = self.engine.run(frames)
        return {**outputs, "logits": outputs["logits"] + np.float32(self.by)}


def test_an_engine_that_is_wrong_on_this_device_is_passed_over_while_another_serves(packed: Path) -> None:
    pytest.importorskip("openvino")

    def load(bundle: Bundle, name: str, precision: str, callers: int = 1, threads: int = 0) -> Engine:
        engine = load_engine(bundle, name, precision, callers, threads)
        return Tinted(engine, 1.0) if name == "openvino" else engine

    found = prove(open_bundle(packed), None, "auto", "auto", 1, load=load)
    assert found.engine == "cpu"
    assert set(found.worst) == {"cpu fp32", "cpu fp16"}
    assert any(sentence.startswith("openvino fp16: the fp16 model's scores") for sentence in found.passed_over)


def test_output_that_is_no_number_is_stopped(bundle: Path) -> None:
    refusal = stopped(with_model(bundle, lambda m: kernel(m, lambda k: k * np.nan)))
    assert refusal.reason is Reason.GOLDEN
    assert "differ by inf" in refusal.detail


def test_another_count_of_classes_is_stopped(bundle: Path) -> None:
    def fewer(model: onnx.ModelProto) -> None:
        kernel(model, lambda k: k[:2])
        for output in model.graph.output:
            output.type.tensor_type.shape.dim[1].dim_value = 2

    refusal = stopped(with_model(bundle, fewer))
    assert refusal.reason is Reason.GOLDEN
    assert "'logits': (None, 3)" in refusal.detail


def test_a_fault_in_a_precision_that_this_station_does_not_use_is_found_too(bundle: Path) -> None:
    refusal = stopped(with_model(bundle, lambda m: kernel(m, lambda k: k[:, ::-1]), "fp16"))
    assert refusal.reason is Reason.GOLDEN
    assert "the fp16 model's scores differ" in refusal.detail


def with_golden(folder: Path, change: Callable[[dict], object]) -> Bundle:
    document = json.loads((folder / "golden.json").read_text())
    change(document)
    (folder / "golden.json").write_text(json.dumps(document))
    write_bundle_manifest(folder, Manifest.from_json(json.loads((folder / "manifest.json").read_text())))
    return open_bundle(folder)


def with_truths(*truths: str) -> Callable[[dict], None]:
    """What persons would have said if the model, which is right, told something else: its labels are fixed by hand."""

    def change(document: dict) -> None:
        for entry, truth in zip(document["frames"], truths, strict=False):
            entry["truth"] = truth

    return change


@pytest.mark.parametrize(
    ("truths", "sentence"),
    [
        (("normal", "leak", "rust"), "in each other's place: leak, rust"),
        (("rust", "normal", "normal"), "in each other's place"),
    ],
)
def test_shuffled_labels_are_stopped_by_what_persons_saw(bundle: Path, truths: tuple[str, ...], sentence: str) -> None:
    refusal = stopped(with_golden(bundle, with_truths(*truths)))
    assert refusal.reason is Reason.GOLDEN
    assert sentence in refusal.detail


@pytest.mark.parametrize(("frame", "what"), [(0, "healthy"), (1, "faulty")])
def test_a_model_with_one_verdict_for_everything_is_stopped(bundle: Path, frame: int, what: str) -> None:
    def one_verdict(document: dict) -> None:
        """All golden frames show one colour, which is all that such a model would tell of them."""
        right = document["frames"][frame]
        document["frames"] = [{**right, "truth": truth} for truth in 3 * ("normal", "rust")]

    refusal = stopped(with_golden(bundle, one_verdict))
    assert refusal.reason is Reason.GOLDEN
    assert f"calls every golden frame {what}" in refusal.detail


def test_labels_that_were_shuffled_after_packing_are_stopped(bundle: Path) -> None:
    document = json.loads((bundle / "manifest.json").read_text())
    document["labels"] = ["normal", "leak", "rust"]
    (bundle / "manifest.json").write_text(json.dumps(document))
    refusal = stopped(open_bundle(bundle))
    assert refusal.reason is Reason.GOLDEN
    assert "the decision rule reports leak for golden frame 1, the bundle says rust" in refusal.detail


def test_a_device_that_preprocesses_otherwise_is_stopped_before_any_engine_runs(bundle: Path) -> None:
    def sketched_elsewhere(document: dict) -> None:
        document["frames"][4]["sketch"] = [2 * number for number in document["frames"][4]["sketch"]]

    refusal = stopped(with_golden(bundle, sketched_elsewhere))
    assert refusal.reason is Reason.GOLDEN
    assert "preprocesses golden frame 4 otherwise" in refusal.detail


def test_a_file_that_answers_otherwise_than_where_it_was_packed_is_stopped_within_its_tolerance(bundle: Path) -> None:
    def wide(document: dict) -> None:
        document["tolerance"]["fp32"] = 5.0
        scores = [entry["scores"] for entry in document["frames"]]
        document["answers"]["fp32"] = {"scores": (np.array(scores) + 0.3).tolist(), "within": 0.1}

    refusal = stopped(with_golden(bundle, wide))
    assert "the fp32 file answers otherwise here than where it was packed" in refusal.detail


def test_ten_times_slower_than_the_serving_bundle_is_stopped(packed: Path, bundle: Path) -> None:
    def slower(model: onnx.ModelProto) -> None:
        """Square the same large matrix again and again beside the answer, and add nothing of it."""
        graph = model.graph
        graph.initializer.append(numpy_helper.from_array(np.zeros((1, 1, 400, 400), np.float32), "zeros"))
        graph.initializer.append(numpy_helper.from_array(np.array([0, 0, 0]), "first"))
        graph.initializer.append(numpy_helper.from_array(np.array([0, 1, 2]), "axes_place"))
        graph.node.insert(3, helper.make_node("ReduceMean", ["map"], ["seed"], keepdims=1))
        graph.node.insert(4, helper.make_node("Mul", ["seed", "zeros"], ["square0"]))
        for turn in range(80):
            names = [f"square{turn}"] * 2
            graph.node.insert(5 + turn, helper.make_node("MatMul", names, [f"square{turn + 1}"]))
        graph.node.insert(85, helper.make_node("ReduceMean", ["square80"], ["nothing"], keepdims=1))
        graph.node.insert(86, helper.make_node("Add", ["map", "nothing"], ["late"]))
        graph.node[87].input[0] = "late"

    serving = open_bundle(packed)
    slow = with_model(bundle, slower)
    refusal = stopped(slow, serving, most_latency=2.0)
    assert refusal.reason is Reason.LATENCY
    assert "times the" in refusal.detail
    assert proof(slow).serving_ms is None  # without a serving bundle there is nothing to compare with


def test_a_device_without_the_wanted_engine_says_so(packed: Path) -> None:
    with pytest.raises(UpdateRefused) as caught:
        prove(open_bundle(packed), None, "tensorrt", "auto")
    assert caught.value.reason is Reason.ENGINE


def test_a_serving_bundle_that_does_not_open_is_no_obstacle(packed: Path, tmp_path: Path) -> None:
    broken = open_bundle(maker.make_bundle(tmp_path / "broken"))
    (broken.folder / "model.fp32.onnx").write_bytes(b"damaged")
    assert proof(open_bundle(packed), broken).serving_ms is None
