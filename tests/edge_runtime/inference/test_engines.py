"""Engines: proven before use, and never silently replaced."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest

from edge_runtime.bundle.errors import InputError, UnavailableError
from edge_runtime.bundle.golden import load_golden
from edge_runtime.bundle.manifest import Manifest
from edge_runtime.bundle.store import open_bundle, write_bundle_manifest
from edge_runtime.inference.engines import available_engines, load_engine, open_engine
from tests.support import colour_bundle as maker
from tests.support import spot_bundle as spots


def repack(folder):
    """Right digests over changed content."""
    write_bundle_manifest(folder, Manifest.from_json(json.loads((folder / "manifest.json").read_text())))
    return open_bundle(folder)


@pytest.fixture(params=["cpu", "openvino", "cuda", "tensorrt"])
def name(request):
    """Every engine that there is, under one contract."""
    if request.param not in available_engines():
        pytest.skip(f"the engine {request.param} is not installed here")
    return request.param


FRAMES = np.stack([np.full((8, 8, 3), (0, 64, 32), np.uint8), np.full((8, 8, 3), (96, 0, 0), np.uint8)])
LOGITS = [[2, 1, 0], [0, 0, 3]]  # green, red, blue over 32


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_logits_and_cam_are_what_paper_says(packed, name, precision):
    engine = open_engine(open_bundle(packed), name, precision).engine
    assert (engine.name, engine.precision) == (name, precision)
    outputs = engine.run(FRAMES)
    logits, cam = outputs["logits"], outputs["cam"]
    assert logits == pytest.approx(np.array(LOGITS), abs=1e-3)
    assert (logits.dtype, cam.dtype, cam.shape) == (np.float32, np.float32, (2, 3, 8, 8))
    assert cam.mean(axis=(2, 3)) == pytest.approx(logits, abs=1e-3)
    assert engine.run(FRAMES[1:])["logits"] == pytest.approx(np.array(LOGITS[1:]), abs=1e-3)  # any number of frames


def test_several_threads_may_call_at_once(packed, name):
    engine = open_engine(open_bundle(packed), name, callers=4, threads=1).engine

    def wrong(number):
        return sum(
            np.abs(engine.run(FRAMES[number % 2 :][:1])["logits"] - LOGITS[number % 2]).max() > 1e-3 for _ in range(50)
        )

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(wrong, range(4))) == [0] * 4


def test_frames_of_another_size_are_a_sentence(packed, name):
    engine = load_engine(open_bundle(packed), name, "fp32")
    with pytest.raises(UnavailableError, match=f"the {name} engine failed on"):
        engine.run(np.zeros((1, 9, 9, 3), np.uint8))


def test_auto_takes_the_processor_where_there_is_no_other_and_says_so(packed):
    opened = open_engine(open_bundle(packed), available=("cpu",))
    assert (opened.engine.name, opened.engine.precision) == ("cpu", "fp32")
    assert opened.skipped == tuple(f"{name}: not installed here" for name in ("tensorrt", "cuda", "openvino"))


def test_auto_passes_over_an_engine_that_does_not_load(packed):
    def refuse(bundle, name, *rest):
        if name == "cuda":
            raise UnavailableError("no driver")
        return load_engine(bundle, name, *rest)

    opened = open_engine(open_bundle(packed), available=("cuda", "cpu"), load=refuse)
    assert opened.engine.name == "cpu"
    assert opened.skipped == ("tensorrt: not installed here", "cuda: no driver", "openvino: not installed here")


def test_where_an_engine_fails_the_next_one_answers_for_the_frames_at_hand(packed):
    class Dying:
        name, calls = "cuda", 0

        def __init__(self, engine):
            self.engine, self.precision = engine, engine.precision

        def run(self, frames):
            self.calls += 1
            if self.calls > 3:  # the first proves it
                raise UnavailableError("the GPU fell off the bus")
            return self.engine.run(frames)

    def load(bundle, name, *rest):
        engine = load_engine(bundle, "cpu", *rest)
        return Dying(engine) if name == "cuda" else engine

    engine = open_engine(open_bundle(packed), callers=4, available=("cuda", "cpu"), load=load).engine
    assert (engine.name, engine.precision) == ("cuda", "fp16")
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: engine.run(FRAMES)["logits"].tolist(), range(20)))
    assert answers == [LOGITS] * 20
    assert (engine.name, engine.precision) == ("cpu", "fp16")


def test_where_every_engine_fails_the_reasons_are_given(packed):
    engine = open_engine(open_bundle(packed), available=("cpu",)).engine
    with pytest.raises(UnavailableError, match="no engine can run this bundle here"):
        engine.run(np.zeros((1, 9, 9, 3), np.uint8))


def test_an_engine_that_is_asked_for_is_never_replaced(packed):
    with pytest.raises(UnavailableError, match="the engine openvino is not here, there are cpu"):
        open_engine(open_bundle(packed), "openvino", available=("cpu",))


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_an_engine_that_falls_back_to_the_processor_is_refused(packed):
    with pytest.raises(UnavailableError, match="cuda"):
        load_engine(open_bundle(packed), "cuda", "fp32")


def test_a_model_that_misses_its_golden_logits_is_refused(bundle):
    document = json.loads((bundle / "golden.json").read_text())
    document["frames"][0]["scores"][0] += 0.5
    (bundle / "golden.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"fp32 model's scores differ by 0\.5"):
        open_engine(repack(bundle), "cpu")


def test_a_map_that_does_not_belong_to_the_logits_is_refused(bundle):
    model = onnx.load(bundle / "model.fp32.onnx")
    kernel = onnx.numpy_helper.to_array(model.graph.initializer[0])
    model.graph.initializer.append(onnx.numpy_helper.from_array(kernel[[1, 2, 0]], "turned"))
    model.graph.node.append(onnx.helper.make_node("Conv", ["planes", "turned"], ["cam"]))
    for node in model.graph.node[2:-1]:  # the logits keep the right map
        for names in (node.input, node.output):
            names[:] = ["right" if name == "cam" else name for name in names]
    onnx.save(model, bundle / "model.fp32.onnx")
    with pytest.raises(InputError, match="the model's map and logits do not belong together"):
        open_engine(repack(bundle), "cpu", "fp32")


def test_a_file_that_is_no_model_is_a_sentence(bundle):
    (bundle / "model.fp32.onnx").write_bytes(b"no model")
    with pytest.raises(UnavailableError, match=r"the cpu engine cannot load .*model\.fp32\.onnx"):
        open_engine(repack(bundle), "cpu")


@pytest.mark.parametrize("place", ["../weights.bin", "weights.bin"])
def test_weights_in_another_file_are_refused_wherever_it_lies(bundle, place):
    model = onnx.load(bundle / "model.fp32.onnx")
    kernel = model.graph.initializer[0]
    (bundle / place).write_bytes(kernel.raw_data)
    onnx.external_data_helper.set_external_data(kernel, location=place)
    kernel.ClearField("raw_data")
    (bundle / "model.fp32.onnx").write_bytes(model.SerializeToString())
    for engine in available_engines():
        with pytest.raises(InputError, match=r"model\.fp32\.onnx keeps weights in another file, which nobody verifies"):
            load_engine(repack(bundle), engine, "fp32")


def test_an_operator_that_nobody_knows_is_a_sentence(bundle, name):
    model = onnx.load(bundle / "model.fp32.onnx")
    model.graph.node[0].domain, model.graph.node[0].op_type = "com.example", "Mystery"
    model.opset_import.append(onnx.helper.make_opsetid("com.example", 1))
    (bundle / "model.fp32.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(UnavailableError, match=rf"the {name} engine cannot load"):
        load_engine(repack(bundle), name, "fp32")


def test_a_model_with_other_inputs_is_refused(bundle):
    model = onnx.load(bundle / "model.fp32.onnx")
    model.graph.node[0].input[0] = model.graph.input[0].name = "pixels"
    onnx.save(model, bundle / "model.fp32.onnx")
    with pytest.raises(InputError, match=r"takes .*pixels.* expected uint8 frames \(N, 8, 8, 3\) in"):
        open_engine(repack(bundle), "cpu")


def test_the_whole_golden_set_agrees(packed):
    opened = open_bundle(packed)
    golden = load_golden(opened)
    engine = load_engine(opened, "cpu", "fp32")
    assert np.abs(engine.run(golden.flat)["logits"] - golden.scores).max() < maker.TOLERANCE["fp32"]


@pytest.mark.parametrize("spec", [spots.SPEC, spots.TILED], ids=["whole", "tiles"])
def test_the_outputs_of_a_spatial_head_are_what_paper_says(tmp_path, name, spec):
    opened = open_bundle(spots.make_bundle(tmp_path, spec))
    engine = open_engine(opened, name, "fp32").engine  # which has proven map and score
    views = np.concatenate([spec.views(frame) for frame in spots.golden_frames()])
    outputs = engine.run(views)
    assert {key: value.shape[1:] for key, value in outputs.items()} == {
        "group_logits": (2,),
        "fault_scores": (1,),
        "maps": (1, 4, 8),
    }
    assert spots.HEAD.scores(outputs) == pytest.approx(spots.expected_scores(views), abs=1e-3)


def test_a_spatial_map_that_its_score_is_not_pooled_from_is_refused(tmp_path):
    folder = spots.make_bundle(tmp_path)
    document = json.loads((folder / "manifest.json").read_text())
    document["head"]["pooling"]["cells"] = 3  # the model takes the mean of the two highest
    (folder / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match="the model's map and fault score do not belong together: top-3 of the map"):
        open_engine(open_bundle(folder), "cpu")


def test_a_model_whose_outputs_have_another_shape_than_the_head_says_is_refused(bundle):
    document = json.loads((bundle / "manifest.json").read_text())
    document["input"]["height"] = 9
    (bundle / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"expected uint8 frames \(N, 9, 8, 3\) in"):
        load_engine(open_bundle(bundle), "cpu", "fp32")


def test_a_model_of_the_class_head_is_no_model_of_a_spatial_bundle(packed, tmp_path):
    folder = spots.make_bundle(tmp_path)
    (folder / "model.fp32.onnx").write_bytes((packed / "model.fp32.onnx").read_bytes())
    with pytest.raises(InputError, match=r"gives .*'logits'.* expected .*'group_logits': \(None, 2\)"):
        load_engine(repack(folder), "cpu", "fp32")
