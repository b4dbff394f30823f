"""What `rarefault check-gpu` found, as it is written to check-gpu.json."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from augment.gpu_check.arithmetic import Finding
from augment.gpu_check.stages import StageCheck
from edge_runtime.inference.device_check import EngineCheck


@dataclass(frozen=True)
class GpuCheck:
    """All findings; `missing` says why there is no usable GPU, and then on `device` cuda nothing was tried."""

    device: str  # cuda or cpu
    machine: str
    missing: str
    memory: str
    packages: Mapping[str, str]
    arithmetic: Sequence[Finding] = ()
    bundle: str = ""
    engines: Sequence[EngineCheck] = ()
    notes: Sequence[str] = ()  # what could not be compared, and why
    stages: Sequence[StageCheck] = ()


def failures(found: GpuCheck) -> list[str]:
    """Return a sentence for everything that is not as it must be."""
    engines = [engine for engine in found.engines if not engine.agrees or engine.problem]
    return [
        *(f"{one.name}: {one.sentence}" for one in found.arithmetic if not one.passed),
        *(engine.sentence if not engine.agrees else engine.problem for engine in engines),
        *(f"{stage.stage} {stage.precision}: {stage.problem}" for stage in found.stages if stage.problem),
    ]
