"""Engines: proven before use, and never silently replaced."""

import json

import make_bundle as maker
import numpy as np
import onnx
import pytest

from edge_runtime import engines
from edge_runtime.bundle.errors import InputError, UnavailableError
from edge_runtime.bundle.golden import load_golden
from edge_runtime.bundle.manifest import Manifest
from edge_runtime.bundle.store import open_bundle, write_bundle_manifest
from edge_runtime.engines import load_engine, open_engine


def repack(folder):
    """Right digests over changed content."""
    write_bundle_manifest(folder, Manifest.from_json(json.loads((folder / "manifest.json").read_text())))
    return open_bundle(folder)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_logits_and_cam_are_what_paper_says(packed, precision):
    engine = open_engine(open_bundle(packed), "cpu", precision).engine
    frames = np.stack([np.full((8, 8, 3), (0, 64, 32), np.uint8), np.full((8, 8, 3), (96, 0, 0), np.uint8)])
    logits, cam = engine.run(frames)
    assert logits.tolist() == [[2, 1, 0], [0, 0, 3]]  # green, red, blue over 32
    assert cam.shape == (2, 3, 8, 8)
    assert cam.mean(axis=(2, 3)) == pytest.approx(logits)


def test_auto_takes_the_processor_where_there_is_no_other_and_says_so(packed, monkeypatch):
    monkeypatch.setattr(engines, "available_engines", lambda: ("cpu",))
    opened = open_engine(open_bundle(packed))
    assert (opened.engine.name, opened.engine.precision) == ("cpu", "fp32")
    assert opened.skipped == ("cuda: not in this onnxruntime",)


def test_auto_passes_over_an_engine_that_does_not_load(packed, monkeypatch):
    def refuse(bundle, name, *rest):
        if name == "cuda":
            raise UnavailableError("no driver")
        return load_engine(bundle, name, *rest)

    monkeypatch.setattr(engines, "available_engines", lambda: ("cuda", "cpu"))
    monkeypatch.setattr(engines, "load_engine", refuse)
    opened = open_engine(open_bundle(packed))
    assert opened.engine.name == "cpu"
    assert opened.skipped == ("cuda: no driver",)


def test_an_engine_that_is_asked_for_is_never_replaced(packed, monkeypatch):
    monkeypatch.setattr(engines, "available_engines", lambda: ("cpu",))
    with pytest.raises(UnavailableError, match="the engine openvino is not here: this onnxruntime offers cpu"):
        open_engine(open_bundle(packed), "openvino")


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_an_engine_that_falls_back_to_the_processor_is_refused(packed, monkeypatch):
    monkeypatch.setattr(engines, "available_engines", lambda: ("cuda", "cpu"))
    monkeypatch.setitem(engines.PROVIDERS, "cuda", "CUDAExecutionProvider")
    with pytest.raises(UnavailableError, match="cuda"):
        load_engine(open_bundle(packed), "cuda", "fp32")


def test_a_model_that_misses_its_golden_logits_is_refused(bundle):
    document = json.loads((bundle / "golden.json").read_text())
    document["frames"][0]["logits"][0] += 0.5
    (bundle / "golden.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"fp32 model's logits differ by 0\.5"):
        open_engine(repack(bundle), "cpu")


def test_a_file_that_is_no_model_is_a_sentence(bundle):
    (bundle / "model.fp32.onnx").write_bytes(b"no model")
    with pytest.raises(UnavailableError, match=r"the cpu engine cannot load .*model\.fp32\.onnx"):
        open_engine(repack(bundle), "cpu")


def test_a_model_with_other_inputs_is_refused(bundle):
    model = onnx.load(bundle / "model.fp32.onnx")
    model.graph.node[0].input[0] = model.graph.input[0].name = "pixels"
    onnx.save(model, bundle / "model.fp32.onnx")
    with pytest.raises(InputError, match=r"takes .*pixels.* expected uint8 frames in"):
        open_engine(repack(bundle), "cpu")


def test_frames_of_another_size_are_a_sentence(packed):
    engine = load_engine(open_bundle(packed), "cpu", "fp32")
    with pytest.raises(UnavailableError, match="the cpu engine failed on"):
        engine.run(np.zeros((1, 9, 9, 3), np.uint8))


def test_the_whole_golden_set_agrees(packed):
    opened = open_bundle(packed)
    golden = load_golden(opened)
    engine = load_engine(opened, "cpu", "fp32")
    assert np.abs(engine.run(golden.frames)[0] - golden.logits).max() < maker.TOLERANCE["fp32"]
