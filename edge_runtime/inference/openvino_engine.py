"""OpenVINO's own runtime on the processor: the extra `openvino`. It reads the bundle's ONNX files as they are."""

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..bundle.errors import UnavailableError
from ..bundle.heads import Outputs
from ..bundle.preprocess import Frames

# In float32, whatever the processor prefers: bfloat16 would answer otherwise than the file that was judged.
COMMON = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}


@dataclass(frozen=True)
class OpenVinoEngine:
    """A compiled model with as many streams as there are callers; each calling thread has a request of its own."""

    compiled: Any
    outputs: tuple[str, ...]
    precision: str
    name: str = "openvino"
    _own: threading.local = field(default_factory=threading.local)

    def run(self, frames: Frames) -> Outputs:
        """Run the model as `engines.Engine.run` describes it."""
        if not hasattr(self._own, "request"):
            self._own.request = self.compiled.create_infer_request()
        try:
            found = self._own.request.infer({"frames": frames})
        except RuntimeError as error:
            raise UnavailableError(f"the openvino engine failed on {frames.shape} frames: {error}") from error
        return {name: found[name] for name in self.outputs}


def load_openvino(path: Path, outputs: tuple[str, ...], precision: str, callers: int, threads: int) -> OpenVinoEngine:
    """Compile the file at `path`, which gives `outputs`, for the processor.

    `callers` threads will call at once, each worth `threads` cores, where 0 means as many as there are. Raises
    UnavailableError where OpenVINO cannot take the file.
    """
    try:
        import openvino
    except ImportError as error:
        raise UnavailableError(
            f"the openvino engine is not here ({error}); pip install 'rarefault[openvino]'"
        ) from error
    limits: dict[str, Any] = {"NUM_STREAMS": callers}
    if threads:
        limits["INFERENCE_NUM_THREADS"] = callers * threads
    try:
        core = openvino.Core()
        compiled = core.compile_model(core.read_model(path), "CPU", {**COMMON, **limits})
    except RuntimeError as error:
        raise UnavailableError(f"the openvino engine cannot load {path}: {str(error).strip()}") from error
    return OpenVinoEngine(compiled, outputs, precision)
