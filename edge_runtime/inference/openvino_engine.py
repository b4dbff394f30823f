"""OpenVINO's own runtime on the processor: the extra `openvino`. It reads the bundle's ONNX files as they are."""

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..bundle.errors import UnavailableError

# In float32, whatever the processor prefers: bfloat16 would answer otherwise than the file that was judged.
COMMON = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}


@dataclass(frozen=True)
class OpenVinoEngine:
    """A compiled model with as many streams as there are callers; each calling thread has a request of its own."""

    compiled: Any
    precision: str
    name: str = "openvino"
    _own: threading.local = field(default_factory=threading.local)

    def run(self, frames: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Run the model as `engines.Engine.run` describes it."""
        if not hasattr(self._own, "request"):
            self._own.request = self.compiled.create_infer_request()
        try:
            found = self._own.request.infer({"frames": frames})
        except RuntimeError as error:
            raise UnavailableError(f"the openvino engine failed on {frames.shape} frames: {error}") from error
        return found["logits"], found["cam"]


def load_openvino(path: Path, precision: str, callers: int, threads: int) -> OpenVinoEngine:
    """Compile the file at `path` for the processor. `callers` threads will call at once, each worth `threads` cores.

    `threads` 0 means as many as there are. Raises UnavailableError where OpenVINO cannot take the file.
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
    return OpenVinoEngine(compiled, precision)
