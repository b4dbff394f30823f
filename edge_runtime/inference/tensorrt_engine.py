"""TensorRT itself: engines are built on the device from the bundle's ONNX files, and kept for the next start.

One way for TensorRT 10.3 (JetPack 6), 10.16 (JetPack 7) and 11: strongly typed networks, whose precision the ONNX file
carries; the builder's own precision flags are gone in 11. An engine fits one model, one TensorRT and one kind of GPU,
so it is kept under a name made of all three and built anew when one of them differs, or when the kept file is not what
this device has written.

`tensorrt` and `cuda-bindings` are imported only when an engine is asked for. What needs no GPU (parsing, typing,
building) takes the module as an argument, so that TensorRT-RTX, which installs anywhere, can judge it in tests.
"""

import hashlib
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..bundle.errors import InputError, UnavailableError
from ..bundle.files import sha256_file
from ..bundle.heads import Outputs
from ..bundle.manifest import model_file
from ..bundle.preprocess import Frames
from ..bundle.store import Bundle
from .sealed_files import read_sealed, write_sealed

MOST = 16  # frames in one call; more are cut into several
BUILD = 2  # raise it when engines are built otherwise, and kept ones are built anew
log = logging.getLogger(__name__)

Array = npt.NDArray[Any]


def load_tensorrt(bundle: Bundle, precision: str) -> "TensorRtEngine":
    """Load the kept engine for this bundle and GPU, or build it, which takes minutes.

    Raises UnavailableError where TensorRT, a GPU or the bundle's file for it is missing.
    """
    try:
        import tensorrt as trt
    except (ImportError, OSError) as error:  # OSError: the wheel is there, its libraries are not
        raise UnavailableError(f"the tensorrt engine is not here ({error}); see README, Install") from error
    device = Device()
    engine = kept_engine(trt, model_path(bundle, precision), device.identity)
    return TensorRtEngine(engine, device, bundle.manifest.head.outputs, precision)


def kept_engine(trt: Any, path: Path, device: str, build: Callable[..., bytes] | None = None) -> Any:
    """Return the deserialised engine of the ONNX file at `path` for the GPU called `device`, built where none is kept.

    `build` (default: `build_engine`) is for tests. Raises UnavailableError where even a new engine does not load.
    """
    kept = cache_folder() / f"{engine_key(path, trt.__version__, device)}.engine"
    runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
    held = read_sealed(kept)
    engine = runtime.deserialize_cuda_engine(held) if held is not None else None
    if engine is None:  # none is kept, or somebody changed it
        log.warning("building a TensorRT engine of %s for %s; this takes minutes, once", path.name, device)
        kept.parent.mkdir(parents=True, exist_ok=True)
        # What was measured on one GPU is wrong for another, and what one TensorRT wrote no other reads.
        timing = kept.with_name(f"timing-{_digest(trt.__version__, device)}.cache")
        built = (build or build_engine)(trt, path, timing)
        write_sealed(kept, built)
        engine = runtime.deserialize_cuda_engine(built)
    if engine is None:
        raise UnavailableError(f"TensorRT {trt.__version__} cannot load the engine that it built of {path}")
    return engine


def model_path(bundle: Bundle, precision: str) -> Path:
    """Return the ONNX file that TensorRT reads for `precision`: INT8 has one of its own."""
    name = model_file(variant_of(precision))
    if precision not in bundle.manifest.precisions or name not in bundle.manifest.files:
        raise UnavailableError(f"{bundle.folder} holds no {name} for TensorRT; choose another precision or engine")
    return bundle.path(name)


def variant_of(precision: str) -> str:
    """Return the variant of `precision` that TensorRT reads."""
    return "int8.trt" if precision == "int8" else precision


def cache_folder() -> Path:
    """Return the folder in which engines are kept: never in the bundle, which is signed."""
    base = os.environ.get("RAREFAULT_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(base) / "rarefault" / "tensorrt"


def engine_key(path: Path, version: str, device: str) -> str:
    """Return a name that another model, TensorRT, GPU or way of building does not have."""
    return _digest(sha256_file(path), version, device, f"{BUILD}/{MOST}")


def _digest(*facts: str) -> str:
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:32]


def parse(trt: Any, path: Path) -> tuple[Any, Any, Any]:
    """Return (builder, network, parser) of the ONNX file at `path`, strongly typed. InputError where it does not parse.

    The network's weights are the parser's, so keep it.
    """
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(path.read_bytes()):
        reasons = "; ".join(parser.get_error(at).desc() for at in range(parser.num_errors))
        raise InputError(f"TensorRT {trt.__version__} cannot parse {path}: {reasons}")
    return builder, network, parser


def build_engine(trt: Any, path: Path, timing: Path) -> bytes:
    """Return a serialised engine for 1 to `MOST` frames.

    The file `timing` keeps what the builder has measured, for the next build. Raises InputError where the file does not
    parse, UnavailableError where it cannot be built.
    """
    builder, network, _parser = parse(trt, path)
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)  # on by default, and 13 bits short of FP32
    profile = builder.create_optimization_profile()
    frames = network.get_input(0)
    shape = tuple(frames.shape)[1:]
    profile.set_shape(frames.name, (1, *shape), (1, *shape), (MOST, *shape))
    config.add_optimization_profile(profile)
    cache = config.create_timing_cache(read_sealed(timing) or b"")  # must be kept until the engine is built
    if cache is None or not config.set_timing_cache(cache, False):
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, False)
    built = builder.build_serialized_network(network, config)
    if built is None:
        raise UnavailableError(
            f"TensorRT {trt.__version__} could not build an engine of {path}; see its messages above"
        )
    write_sealed(timing, bytes(cache.serialize()))
    return bytes(built)


@dataclass(frozen=True)
class TensorRtEngine:
    """A deserialised engine with its buffers on the GPU. One call at a time: others wait."""

    engine: Any
    device: "Device"
    outputs: tuple[str, ...]
    precision: str
    name: str = "tensorrt"
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _held: dict[str, Any] = field(default_factory=dict)  # the context, and the address of each buffer

    def __post_init__(self) -> None:
        self._held["context"] = self.engine.create_execution_context()
        if self._held["context"] is None:
            raise UnavailableError("TensorRT cannot run its engine here, mostly for want of GPU memory; free some")
        for name in ("frames", *self.outputs):
            shape = (MOST, *tuple(self.engine.get_tensor_shape(name))[1:])
            self._held[name] = self.device.allocate(int(np.prod(shape)) * self._type(name).itemsize)
            self._held["context"].set_tensor_address(name, self._held[name])

    def run(self, frames: Frames) -> Outputs:
        """Run the model as `engines.Engine.run` describes it."""
        expected = tuple(self.engine.get_tensor_shape("frames"))[1:]
        if frames.shape[1:] != expected:
            raise UnavailableError(f"the tensorrt engine failed on {frames.shape} frames, it takes (N, *{expected})")
        with self._lock:
            parts = [self._call(frames[start : start + MOST]) for start in range(0, len(frames), MOST)]
        return {name: np.concatenate([part[name] for part in parts]) for name in self.outputs}

    def _call(self, frames: Frames) -> dict[str, Array]:
        context = self._held["context"]
        context.set_input_shape("frames", frames.shape)
        self.device.copy_in(self._held["frames"], np.ascontiguousarray(frames))
        if not context.execute_async_v3(self.device.stream):
            raise UnavailableError(f"the tensorrt engine failed on {frames.shape} frames; see its messages above")
        made = {name: np.empty(tuple(context.get_tensor_shape(name)), self._type(name)) for name in self.outputs}
        for name, array in made.items():
            self.device.copy_out(array, self._held[name])
        self.device.wait()
        return made

    def _type(self, name: str) -> "np.dtype[Any]":
        return np.dtype(np.uint8 if name == "frames" else np.float32)


class Device:
    """The first GPU, through CUDA's runtime. Every method raises UnavailableError where CUDA reports an error."""

    def __init__(self) -> None:
        try:
            from cuda.bindings import runtime
        except ImportError as error:
            raise UnavailableError(f"the tensorrt engine needs cuda-bindings ({error}); see README, Install") from error
        self._cuda = runtime
        found = self._ask(runtime.cudaGetDeviceProperties(0))
        name = found.name.decode() if isinstance(found.name, bytes) else str(found.name)
        self.identity = f"{name} sm_{found.major}{found.minor}"
        self.stream = int(self._ask(runtime.cudaStreamCreate()))

    def allocate(self, size: int) -> int:
        """Return the address of `size` newly allocated bytes on the GPU."""
        return int(self._ask(self._cuda.cudaMalloc(size)))

    def copy_in(self, address: int, array: Array) -> None:
        """Copy `array` to the GPU, in the stream's order."""
        self._copy(address, array.ctypes.data, array.nbytes, self._cuda.cudaMemcpyKind.cudaMemcpyHostToDevice)

    def copy_out(self, array: Array, address: int) -> None:
        """Copy from the GPU into `array`, in the stream's order; it is there after `wait`."""
        self._copy(array.ctypes.data, address, array.nbytes, self._cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost)

    def wait(self) -> None:
        """Return when everything in the stream is done."""
        self._ask(self._cuda.cudaStreamSynchronize(self.stream))

    def _copy(self, target: int, source: int, size: int, kind: Any) -> None:
        self._ask(self._cuda.cudaMemcpyAsync(target, source, size, kind, self.stream))

    def _ask(self, answer: Any) -> Any:
        """Return the value of CUDA's (error, value)."""
        error, *value = answer
        if int(error) != 0:
            raise UnavailableError(f"CUDA reports {error.name}; check the GPU and its driver")
        return value[0] if value else None
