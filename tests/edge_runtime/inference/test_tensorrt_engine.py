"""TensorRT without a GPU: what TensorRT-RTX's parser and builder say of our files, and which engines are kept.

TensorRT-RTX installs and builds anywhere but runs nothing here; its Python interface is TensorRT's. `FakeTensorRt` is
for what no machine without a GPU has, a runtime that loads engines; the test marked `gpu` uses the real one.
"""

import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.bundle.errors import InputError, UnavailableError
from edge_runtime.bundle.golden import check_golden, load_golden
from edge_runtime.bundle.store import open_bundle
from edge_runtime.inference import tensorrt_engine
from edge_runtime.inference.engines import open_engine
from edge_runtime.inference.tensorrt_engine import (
    MOST,
    Device,
    build_engine,
    engine_key,
    kept_engine,
    load_tensorrt,
    model_path,
    parse,
)
from tests.support import spot_bundle

rtx = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx-cu13 is not installed")


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_nvidias_builder_takes_our_files_for_any_number_of_frames(packed, precision, tmp_path):
    path = model_path(open_bundle(packed), precision)
    assert len(build_engine(rtx, path, tmp_path / "timing.cache")) > 1000
    _, network, _parser = parse(rtx, path)
    assert tuple(network.get_input(0).shape) == (-1, 8, 8, 3)
    wanted = {"fp32": rtx.DataType.FLOAT, "fp16": rtx.DataType.HALF}[precision]
    assert {layer.get_output(0).dtype for layer in convolutions(network)} == {wanted}


def test_nvidias_builder_takes_a_spatial_head(tmp_path):
    path = spot_bundle.make_bundle(tmp_path / "bundle") / "model.fp32.onnx"
    assert len(build_engine(rtx, path, tmp_path / "timing.cache")) > 1000
    _, network, _parser = parse(rtx, path)
    outputs = [network.get_output(place) for place in range(network.num_outputs)]
    assert {output.name: tuple(output.shape) for output in outputs} == {
        "group_logits": (-1, 2),
        "fault_scores": (-1, 1),
        "maps": (-1, 1, 4, 8),
    }


def test_without_a_profile_there_is_no_engine(packed):
    builder, network, _parser = parse(rtx, packed / "model.fp32.onnx")
    assert builder.build_serialized_network(network, builder.create_builder_config()) is None


def test_what_the_builder_measured_is_kept(packed, tmp_path):
    timing = tmp_path / "timing.cache"
    build_engine(rtx, packed / "model.fp16.onnx", timing)
    assert timing.stat().st_size > 0
    build_engine(rtx, packed / "model.fp16.onnx", timing)


def test_a_file_that_does_not_parse_is_a_sentence(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(InputError, match=r"TensorRT .* cannot parse .*model\.onnx"):
        build_engine(rtx, tmp_path / "model.onnx", tmp_path / "timing.cache")


def test_no_weak_typing_flag_is_ever_used():
    source = Path(tensorrt_engine.__file__).read_text()
    assert set(re.findall(r"BuilderFlag\.(\w+)", source)) == {"TF32"}  # which is cleared
    assert "STRONGLY_TYPED" in source


def convolutions(network) -> Iterator[object]:
    for place in range(network.num_layers):
        if (layer := network.get_layer(place)).type == rtx.LayerType.CONVOLUTION:
            yield layer


def test_an_engine_fits_one_model_one_tensorrt_and_one_gpu(packed):
    fp32, fp16 = (packed / f"model.{precision}.onnx" for precision in ("fp32", "fp16"))
    keys = {engine_key(fp32, "10.3", "Orin sm_87"), engine_key(fp16, "10.3", "Orin sm_87")}
    keys |= {engine_key(fp32, "10.16", "Orin sm_87"), engine_key(fp32, "10.3", "H200 sm_90")}
    assert len(keys) == 4
    assert engine_key(fp32, "10.3", "Orin sm_87") in keys


class FakeTensorRt(types.SimpleNamespace):
    """In the place of `tensorrt`: engines are their own bytes, and those that hold "damaged" do not load."""

    def __init__(self) -> None:
        class Runtime:
            def __init__(self, logger) -> None: ...

            def deserialize_cuda_engine(self, data: bytes):
                return None if b"damaged" in data else data

        class Logger:
            ERROR = 0

            def __init__(self, level) -> None: ...

        super().__init__(__version__="10.3.0", Runtime=Runtime, Logger=Logger)


class Built:
    """Engines of one GPU after another; counts what was built of which file, in order, without building anything."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def engine(self, path: Path, device: str = "Orin sm_87") -> bytes:
        return kept_engine(FakeTensorRt(), path, device, self._build)

    def _build(self, trt, path, timing) -> bytes:
        self.names.append(path.name)
        return b"engine of " + path.read_bytes()[:8]


@pytest.fixture
def built(monkeypatch, tmp_path):
    monkeypatch.setenv("RAREFAULT_CACHE", str(tmp_path / "cache"))
    return Built()


def kept(tmp_path) -> list[Path]:
    return sorted((tmp_path / "cache" / "rarefault" / "tensorrt").glob("*.engine"))


def test_an_engine_is_built_once_and_kept_outside_the_bundle(built, packed, tmp_path):
    first = built.engine(packed / "model.fp16.onnx")
    assert built.engine(packed / "model.fp16.onnx") == first
    assert built.names == ["model.fp16.onnx"]
    built.engine(packed / "model.fp32.onnx")
    assert built.names == ["model.fp16.onnx", "model.fp32.onnx"]
    assert len(kept(tmp_path)) == 2


def test_another_gpu_and_a_damaged_file_build_anew(built, packed, tmp_path):
    path = packed / "model.fp16.onnx"
    built.engine(path)
    kept(tmp_path)[0].write_bytes(b"damaged")
    built.engine(path)
    built.engine(path, "H200 sm_90")
    assert built.names == ["model.fp16.onnx"] * 3
    assert len(kept(tmp_path)) == 2


def test_an_engine_that_somebody_put_or_changed_there_is_built_anew_and_told(built, packed, tmp_path, caplog):
    path = packed / "model.fp16.onnx"
    honest = built.engine(path)
    file = kept(tmp_path)[0]
    sealed = file.read_bytes()
    for forged in (sealed[:-1] + b"!", b"an engine without a seal" * 10, b""):
        file.write_bytes(forged)
        assert built.engine(path) == honest
        assert f"{file} was not written by this device or was changed since" in caplog.text
        caplog.clear()
    assert built.names == ["model.fp16.onnx"] * 4
    assert built.engine(path) == honest
    assert len(built.names) == 4


def test_an_engine_under_the_name_of_another_is_built_anew(built, packed, tmp_path):
    built.engine(packed / "model.fp16.onnx")
    other = built.engine(packed / "model.fp32.onnx")
    first, second = kept(tmp_path)
    first.write_bytes(second.read_bytes())
    second.write_bytes(first.read_bytes())
    assert built.engine(packed / "model.fp32.onnx") == other
    built.engine(packed / "model.fp16.onnx")
    assert len(built.names) == 3


def test_an_engine_that_does_not_load_even_when_new_is_a_sentence(built, packed):
    with pytest.raises(UnavailableError, match=r"TensorRT 10\.3\.0 cannot load the engine that it built"):
        kept_engine(FakeTensorRt(), packed / "model.fp16.onnx", "Orin sm_87", lambda *given: b"damaged")


def test_int8_needs_the_file_that_is_made_for_tensorrt(packed):
    with pytest.raises(UnavailableError, match=r"holds no model\.int8\.trt\.onnx for TensorRT"):
        model_path(open_bundle(packed), "int8")


def test_without_tensorrt_the_engine_is_not_here(packed, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(UnavailableError, match="the tensorrt engine is not here"):
        load_tensorrt(open_bundle(packed), "fp16")


def test_without_a_gpu_cuda_says_so():
    if has_gpu():
        pytest.skip("there is a GPU")
    with pytest.raises(UnavailableError, match=r"CUDA reports|needs cuda-bindings"):
        Device()


def has_gpu() -> bool:
    try:
        Device()
    except UnavailableError:
        return False
    return True


@pytest.mark.gpu
def test_on_a_gpu_the_engine_answers_the_golden_frames_and_is_kept(packed, tmp_path, monkeypatch):
    pytest.importorskip("tensorrt", reason="tensorrt is not installed")
    monkeypatch.setenv("RAREFAULT_CACHE", str(tmp_path / "cache"))
    bundle = open_bundle(packed)
    golden = load_golden(bundle)
    for precision in bundle.manifest.precisions:
        engine = open_engine(bundle, "tensorrt", precision).engine
        assert check_golden(lambda views, engine=engine: engine.run(views)["logits"], golden, precision) >= 0
        many = np.repeat(golden.flat, 8, axis=0)
        assert len(many) > MOST
        allowed = max(1e-3, golden.tolerance[precision])  # another number of frames, another order of sums
        assert np.allclose(engine.run(many)["logits"][::8], engine.run(golden.flat)["logits"], atol=allowed)
    before = {path: path.stat().st_mtime_ns for path in kept(tmp_path)}
    open_engine(bundle, "tensorrt", "fp16")
    assert {path: path.stat().st_mtime_ns for path in kept(tmp_path)} == before
