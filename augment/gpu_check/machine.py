"""What this machine has for a run on a GPU: driver, wheels, memory; and what is missing where there is none."""

import importlib.metadata
from collections.abc import Callable

import torch

from edge_runtime.bundle.errors import UnavailableError
from edge_runtime.inference.gpu_driver import Driver, ask_driver

PACKAGES = (
    *("torch", "torchvision", "transformers", "diffusers", "accelerate", "peft"),
    *("onnxruntime", "onnxruntime-gpu", "tensorrt", "tensorrt-cu13", "cuda-bindings"),
)


def packages() -> dict[str, str]:
    """Return the version of each package that has to do with a GPU, "not installed" where it is not."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    found["torch's CUDA"] = torch.version.cuda or "none: the wheel is the processor's"
    return found


def what_is_missing(ask: Callable[[], Driver] = ask_driver) -> str:
    """Return in a sentence why torch has no GPU here, "" where it has one that it was built for."""
    try:
        driver = ask()
    except UnavailableError as error:
        return str(error)
    if torch.version.cuda is None:
        return (
            f"torch {torch.__version__} is the wheel for processors, and here is {driver}; install a wheel of torch "
            "for CUDA"
        )
    if _number(driver.cuda) < _number(torch.version.cuda) // 1000 * 1000:
        return (
            f"torch {torch.__version__} wants CUDA {torch.version.cuda}, the driver runs CUDA up to {driver.cuda}; "
            "update the driver, or install torch's wheel for that CUDA"
        )
    if not torch.cuda.is_available():
        return f"torch {torch.__version__} finds no GPU although here is {driver}; look at CUDA_VISIBLE_DEVICES"
    return _architecture(driver)


def _architecture(driver: Driver) -> str:
    """Return why torch has no code for the first GPU, "" where it has: code of its own, or older of the same major."""
    major, minor = map(int, driver.gpus[0].capability.split("."))
    built = [name.rpartition("_")[2] for name in torch.cuda.get_arch_list()]
    numbers = [int(digits) for name in built if (digits := name.rstrip("af")).isdigit()]
    if not numbers or any(number // 10 == major and number % 10 <= minor for number in numbers):
        return ""
    return (
        f"torch {torch.__version__} holds code for {', '.join(torch.cuda.get_arch_list())}, none of which "
        f"{driver.gpus[0]} runs; install a wheel of torch for it"
    )


def _number(version: str) -> int:
    """Return a CUDA version as its driver counts it: 13.0 is 13000."""
    major, _, minor = version.partition(".")
    return int(major) * 1000 + int(minor or 0) * 10


def memory(device: str) -> str:
    """Return how much memory of the GPU is free, "" on a processor."""
    if device != "cuda":
        return ""
    free, total = torch.cuda.mem_get_info()
    return f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB of GPU memory are free"
