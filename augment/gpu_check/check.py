"""The order in which `rarefault check-gpu` tries things: first what all the rest needs."""

import platform
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from augment.gpu_check.arithmetic import arithmetic
from augment.gpu_check.document import GpuCheck
from augment.gpu_check.machine import memory, packages, what_is_missing
from augment.gpu_check.reference import Reference, TorchEngine, find_reference, made_reference
from augment.gpu_check.stages import check_stages
from augment.settings import Settings
from edge_runtime.bundle.errors import UnavailableError
from edge_runtime.bundle.golden import load_golden
from edge_runtime.inference.device_check import EngineCheck, check_engine, check_engines, idle_gpu
from edge_runtime.inference.engines import engines_for_auto
from edge_runtime.inference.gpu_driver import Driver, ask_driver

ON_A_GPU = ("tensorrt", "cuda")
GPU_ENGINES = {
    "cuda": "ONNX Runtime has no CUDA here: install rarefault with the extra gpu, in the place of onnxruntime",
    "tensorrt": "TensorRT is not installed: install rarefault with the extra gpu, see docs/station.md",
}


def check(
    settings: Settings,
    bundle: Path | None,
    folder: Path,
    device: str,
    say: Callable[[str], None],
    ask: Callable[[], Driver] = ask_driver,
) -> GpuCheck:
    """Try everything on `device`, cuda or cpu; what is made for it goes into `folder`. `say` tells how far it is."""
    missing = what_is_missing(ask)
    if missing and device == "cuda":
        return GpuCheck(device, _machine(ask), missing, "", packages())
    say("how exactly it multiplies")
    exactness = list(arithmetic(device))
    say("the engines on golden frames" if bundle else "a small bundle for its engines is made or was there")
    reference = find_reference(bundle) if bundle else made_reference(folder / "reference")
    engines = list(_engines(reference, device))
    say("the stages, in FP32 and in FP16")
    return GpuCheck(
        device=device,
        machine=_machine(ask),
        missing=missing,
        memory=memory(device),
        packages=packages(),
        arithmetic=exactness,
        bundle=f"{reference.bundle.manifest.name} {reference.bundle.manifest.version}",
        engines=engines,
        notes=_notes(reference, device, ask),
        stages=list(check_stages(settings, device)),
    )


def _machine(ask: Callable[[], Driver]) -> str:
    try:
        return str(ask())
    except UnavailableError:
        return f"{platform.machine()} processor"


def _engines(reference: Reference, device: str) -> Iterator[EngineCheck]:
    """Try the network in torch, then every engine: on a GPU those that use it, and the processor's beside them."""
    golden = load_golden(reference.bundle)
    if (network := reference.network) is not None:
        for precision in ("fp32", "fp16"):
            if precision in golden.tolerance:
                load = partial(TorchEngine, network, device, precision)
                yield check_engine(f"torch {device}", precision, golden, load)
    wanted = [name for name in engines_for_auto() if device == "cuda" or name not in ON_A_GPU]
    yield from check_engines(reference.bundle, golden, wanted)


def _notes(reference: Reference, device: str, ask: Callable[[], Driver]) -> list[str]:
    notes = [reference.why_none] if reference.why_none else []
    if device == "cuda":
        idle = idle_gpu(ask())
        notes += [idle] if idle else []
        notes += [sentence for name, sentence in GPU_ENGINES.items() if name not in engines_for_auto()]
    return notes
