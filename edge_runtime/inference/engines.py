"""Engines run a bundle's model: one small protocol, ONNX Runtime with its providers, OpenVINO and TensorRT if there."""

import contextlib
import importlib.util
import io
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort

from ..bundle.errors import DamagedFileError, InputError, RarefaultError, UnavailableError
from ..bundle.golden import check_outputs, load_golden
from ..bundle.heads import Outputs
from ..bundle.preprocess import Frames
from ..bundle.store import Bundle
from .external_data import check_self_contained
from .gpu_driver import ask_driver
from .openvino_engine import load_openvino
from .tensorrt_engine import TensorRtEngine, load_tensorrt, variant_of

PROVIDERS = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
PROVIDER_OPTIONS = {"cuda": {"use_tf32": "0"}}  # on by default since Ampere, and 13 bits short of FP32
OPENVINO = "openvino"  # through its own package: as a provider of ONNX Runtime it is slower than the CPU's own kernels
TENSORRT = "tensorrt"  # its own package keeps the engines it builds; as a provider of ONNX Runtime it is only a way out
ENGINES = (TENSORRT, "cuda", OPENVINO, "cpu")  # in the order in which "auto" tries them
# The fastest first; a bundle holds none that is worse than its network. On a CPU half precision costs time.
PREFERRED, PREFERRED_ON_GPU = ("int8", "fp32", "fp16"), ("fp16", "fp32", "int8")

PROBES = 2  # golden frames that an engine answers before it is believed; `edge-station check` asks for all

_ORT_ERRORS = (
    *(ort.Fail, ort.InvalidArgument, ort.NoSuchFile, ort.NoModel, ort.EngineError, ort.RuntimeException),
    *(ort.InvalidProtobuf, ort.NotImplemented, ort.InvalidGraph, ort.EPFail, RuntimeError, ValueError),
)

log = logging.getLogger(__name__)


class Engine(Protocol):
    """Runs one precision of one model on one device."""

    @property
    def name(self) -> str:
        """The engine's name, spelt as the option `--engine` spells it."""

    @property
    def precision(self) -> str:
        """The precision that it runs: fp32, fp16 or int8."""

    def run(self, frames: Frames) -> Outputs:
        """Turn uint8 (N, H, W, 3) BGR into the outputs of the bundle's head, by name. Any number of threads may call.

        Raises UnavailableError where the device fails.
        """


@dataclass(frozen=True)
class OnnxEngine:
    """ONNX Runtime on one execution provider."""

    session: Any
    outputs: tuple[str, ...]
    name: str
    precision: str

    def run(self, frames: Frames) -> Outputs:
        """Run the model as `Engine.run` describes it."""
        try:
            found = self.session.run(list(self.outputs), {"frames": frames})
        except _ORT_ERRORS as error:
            raise UnavailableError(
                f"the {self.name} engine failed on {frames.shape} frames: {_first_line(error)}"
            ) from error
        return dict(zip(self.outputs, found, strict=True))


@dataclass(frozen=True)
class Opened:
    """A proven engine, and a sentence for each engine that `auto` passed over."""

    engine: Engine
    skipped: tuple[str, ...] = ()


def open_engine(
    bundle: Bundle,
    name: str = "auto",
    precision: str = "auto",
    callers: int = 1,
    threads: int = 0,
    available: tuple[str, ...] | None = None,
    load: Callable[..., Engine] | None = None,
) -> Opened:
    """Load the model and prove it on a golden frame or two.

    `callers` threads will call at once; on processors each call uses `threads` cores, 0 means all. "auto" takes the
    first engine that loads and passes, the next one should it fail. A named one is taken or refused, never replaced.
    `available` (default: what `available_engines` finds) and `load` (default: `load_engine`) are for tests.
    """
    there = available_engines() if available is None else available
    probe = load_golden(bundle, PROBES)

    def proven(candidate: str, wanted: str) -> Engine:
        if candidate not in there:
            raise UnavailableError(
                f"the engine {candidate} is not here, there are {', '.join(there)}; "
                "choose one of these, or install the package that has it"
            )
        if wanted == "auto":
            order = PREFERRED_ON_GPU if candidate in (TENSORRT, "cuda") else PREFERRED
            wanted = next(choice for choice in order if choice in bundle.manifest.precisions)
        engine = (load or load_engine)(bundle, candidate, wanted, callers, threads)
        # In this thread alone: two first calls of OpenVINO at once wait for each other for ever.
        check_outputs(engine.run(probe.flat), probe, wanted)
        return engine

    if name != "auto":
        return Opened(proven(name, precision))
    engine = AutoEngine(proven, precision, there)
    return Opened(engine, tuple(engine.skipped))


class AutoEngine:
    """The first engine that loads and passes; should it fail later, the next one answers, the frames at hand first.

    The precision stays the one that was chosen at the start: another would have another decision rule.
    """

    def __init__(self, load: Callable[[str, str], Engine], precision: str, available: tuple[str, ...]) -> None:
        self.skipped: list[str] = []
        self._load = load
        self._available = available
        self._left = list(ENGINES)
        self._lock = threading.Lock()
        self._engine = self._next(precision)

    @property
    def name(self) -> str:
        """The name of the engine that answers now."""
        return self._engine.name

    @property
    def precision(self) -> str:
        """The precision of every engine that may come to answer."""
        return self._engine.precision

    def run(self, frames: Frames) -> Outputs:
        """Run the model as `Engine.run` describes it."""
        while True:
            engine = self._engine
            try:
                return engine.run(frames)
            except UnavailableError as error:
                with self._lock:
                    if self._engine is engine:  # else another thread has met the failure first
                        log.warning("%s; trying the next engine", error)
                        self._engine = self._next(engine.precision)

    def _next(self, precision: str) -> Engine:
        while self._left:
            name = self._left.pop(0)
            if not _for_auto(name, self._available):
                self.skipped.append(f"{name}: not installed here")
                continue
            try:
                return self._load(name, precision)
            except DamagedFileError:
                raise
            except RarefaultError as error:
                self.skipped.append(f"{name}: {error}")
        raise UnavailableError(f"no engine can run this bundle here ({'; '.join(self.skipped)})")


def load_engine(bundle: Bundle, name: str, precision: str, callers: int = 1, threads: int = 0) -> Engine:
    """Load an available engine without proof, for those who check all golden frames themselves."""
    path, outputs = bundle.model_path(precision), bundle.manifest.head.outputs
    check_self_contained(path)
    missing = _load_cuda() if name in (TENSORRT, "cuda") else ""
    if name == TENSORRT and _installed(TENSORRT):
        return load_tensorrt(bundle, precision)
    if name == OPENVINO:
        return load_openvino(path, outputs, precision, callers, threads)
    try:
        provider = (PROVIDERS[name], PROVIDER_OPTIONS.get(name, {}))
        session = onnxruntime.InferenceSession(str(path), _options(threads), providers=[provider])
    except _ORT_ERRORS as error:
        raise UnavailableError(f"the {name} engine cannot load {path}: {_first_line(error)}") from error
    if session.get_providers()[0] != PROVIDERS[name]:  # ONNX Runtime falls back to the CPU without a word
        raise UnavailableError(f"the engine {name} did not start: {missing or _why_not()}; see README, Install")
    session.disable_fallback()
    _check_contract(bundle, session, path.name)
    return OnnxEngine(session, outputs, name, precision)


@cache
def _load_cuda() -> str:
    """Load CUDA's libraries from where pip puts them; ONNX Runtime looks elsewhere. Return what could not be found.

    It happens once, with the first engine: what is printed meanwhile by another thread is lost.
    """
    onnxruntime.set_default_logger_severity(4)  # what fails is told by the exception
    said = io.StringIO()
    with contextlib.redirect_stdout(said):  # where it prints what it misses; results are written there
        onnxruntime.preload_dlls()
    return "; ".join(line for line in said.getvalue().splitlines() if line.startswith("Failed"))


def _why_not() -> str:
    """Return what may keep ONNX Runtime from the GPU, for whoever has to mend it."""
    try:
        return f"it wants CUDA {onnxruntime.cuda_version} and cuDNN 9, and here is {ask_driver()}"
    except UnavailableError as error:
        return str(error)


def variant_run_by(engine: Engine) -> str:
    """Return which file of its precision the engine runs."""
    return variant_of(engine.precision) if isinstance(engine, TensorRtEngine) else engine.precision


def available_engines() -> tuple[str, ...]:
    """Return names of the engines that are installed; whether their device works shows only on loading."""
    built = onnxruntime.get_available_providers()
    there = {name for name, provider in PROVIDERS.items() if provider in built}
    there |= {name for name in (TENSORRT, OPENVINO) if _installed(name)}
    return tuple(name for name in ENGINES if name in there)


def engines_for_auto() -> tuple[str, ...]:
    """Return the names of the installed engines that `auto` would try."""
    there = available_engines()
    return tuple(name for name in there if _for_auto(name, there))


def _for_auto(name: str, available: Sequence[str]) -> bool:
    """Whether `auto` may try it. ONNX Runtime's TensorRT provider builds its engine anew at every start, for minutes:
    it runs by name only."""
    return name in available and (name != TENSORRT or _installed(TENSORRT))


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _options(threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # failures arrive as exceptions; the log would say them twice
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # spinning heats the box between frames
    return options


def _check_contract(bundle: Bundle, session: Any, file: str) -> None:
    """Refuse a file that takes or gives something else than the bundle's head and input say."""
    spec, expected = bundle.manifest.input, bundle.manifest.head.shapes
    inputs = {value.name: (value.type, tuple(value.shape[1:])) for value in session.get_inputs()}
    outputs = {value.name: tuple(value.shape) for value in session.get_outputs()}
    fine = all(name in outputs and _fits(outputs[name], shape) for name, shape in expected.items())
    if inputs != {"frames": ("tensor(uint8)", (spec.height, spec.width, 3))} or not fine:
        raise InputError(
            f"{bundle.folder / file} takes {inputs} and gives {outputs}, expected uint8 frames (N, {spec.height}, "
            f"{spec.width}, 3) in and {expected} out; pack the bundle again"
        )


def _fits(shape: tuple[object, ...], expected: tuple[int | None, ...]) -> bool:
    """Whether a shape is the expected one; None, and a name in a file, stand for any number."""
    pairs = zip(shape, expected, strict=False)
    return len(shape) == len(expected) and all(not isinstance(s, int) or e in (None, s) for s, e in pairs)


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0]
