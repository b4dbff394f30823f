"""What NVIDIA's driver says of this machine: its version, the GPUs and their memory, or why there is none to be had.

It is asked through its own library, libcuda, so that no package of CUDA has to be there: which one is missing or wrong
is what the answer is wanted for.
"""

import ctypes
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..bundle.errors import UnavailableError

LIBRARY = "libcuda.so.1"
KERNEL_MODULE = Path("/proc/driver/nvidia/version")  # absent on Jetson boards, whose driver is part of the system
MAJOR, MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR of cuda.h
# Results of cuInit, by their numbers in cuda.h, and what helps.
REASONS = {
    34: "libcuda is a stub for building; put the driver's own before it in LD_LIBRARY_PATH",
    100: "it sees no GPU; look at CUDA_VISIBLE_DEVICES, and in a container start it with `--gpus all`",
    304: "the operating system refuses it the GPU; look at who may use /dev/nvidia0",
    802: "the GPUs are not ready yet; on machines with NVSwitch start nvidia-fabricmanager",
    803: "its library and its kernel module are of different versions; restart the machine after an update",
    804: "it is too old for the CUDA compatibility package that is installed; update the driver",
    999: "it does not answer; load its kernel module (`modprobe nvidia_uvm`), or restart the machine",
}


@dataclass(frozen=True)
class Gpu:
    """One GPU; `capability` is its compute capability, such as 8.7, and `memory` in bytes."""

    name: str
    capability: str
    memory: int

    def __str__(self) -> str:
        return f"{self.name}, compute capability {self.capability}, {self.memory / 2**30:.1f} GiB"


@dataclass(frozen=True)
class Driver:
    """A driver and its GPUs: its version (empty where the system does not tell) and the newest CUDA that it runs."""

    version: str
    cuda: str
    gpus: tuple[Gpu, ...]

    def __str__(self) -> str:
        of = f"driver {self.version}" if self.version else "a driver"
        return f"{'; '.join(map(str, self.gpus))}; {of} for CUDA up to {self.cuda}"


def ask_driver(load: Callable[[str], Any] = ctypes.CDLL, kernel_module: Path = KERNEL_MODULE) -> Driver:
    """Return what the driver says. Raises UnavailableError, with what is missing, where there is no usable GPU."""
    version = _version(kernel_module)
    try:
        cuda = load(LIBRARY)
    except OSError as error:
        there = (
            f"the kernel module of NVIDIA's driver {version} is loaded, but" if version else "no NVIDIA driver here:"
        )
        raise UnavailableError(
            f"{there} its library cannot be loaded ({error}); install the driver, "
            "or start the container with `--gpus all`"
        ) from error
    if code := cuda.cuInit(0):
        raise UnavailableError(f"the NVIDIA driver reports {code}: {REASONS.get(code, 'restart the machine')}")
    newest = _number(cuda.cuDriverGetVersion)
    gpus = tuple(_gpu(cuda, place) for place in range(_number(cuda.cuDeviceGetCount)))
    if not gpus:
        raise UnavailableError(f"the NVIDIA driver reports no GPU: {REASONS[100]}")
    return Driver(version, f"{newest // 1000}.{newest % 1000 // 10}", gpus)


def _version(kernel_module: Path) -> str:
    """Return the version of the kernel module, "" where none is loaded or it does not tell."""
    text = kernel_module.read_text() if kernel_module.exists() else ""
    found = re.search(r"Kernel Module.*?\s(\d+\.[\d.]+)\s", text)
    return found[1] if found else ""


def _gpu(cuda: Any, place: int) -> Gpu:
    device = _number(cuda.cuDeviceGet, place)
    name, memory = ctypes.create_string_buffer(256), ctypes.c_size_t()
    _check(cuda.cuDeviceGetName(name, len(name), device))
    _check(cuda.cuDeviceTotalMem_v2(ctypes.byref(memory), device))
    major, minor = (_number(cuda.cuDeviceGetAttribute, attribute, device) for attribute in (MAJOR, MINOR))
    return Gpu(name.value.decode(errors="replace"), f"{major}.{minor}", memory.value)


def _number(function: Any, *given: int) -> int:
    """Return the int that a function of the driver writes to where its first argument points."""
    found = ctypes.c_int()
    _check(function(ctypes.byref(found), *given))
    return found.value


def _check(code: int) -> None:
    if code:
        raise UnavailableError(f"the NVIDIA driver reports {code}: {REASONS.get(code, 'restart the machine')}")
