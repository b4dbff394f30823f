"""What the driver says, asked through a stand-in for its library: just the functions of cuda.h that are used."""

import pytest

from edge_runtime.bundle.errors import UnavailableError
from edge_runtime.inference.gpu_driver import LIBRARY, Driver, Gpu, ask_driver

MODULE = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs-builder)\n"


class Library:
    """libcuda with `gpus`, each (name, major, minor, bytes); `started` is what cuInit answers."""

    def __init__(self, gpus: list[tuple[str, int, int, int]], started: int = 0) -> None:
        self.gpus, self.started = gpus, started

    def cuInit(self, flags: int) -> int:
        return self.started

    def cuDriverGetVersion(self, found) -> int:
        found._obj.value = 13010
        return 0

    def cuDeviceGetCount(self, found) -> int:
        found._obj.value = len(self.gpus)
        return 0

    def cuDeviceGet(self, found, place: int) -> int:
        found._obj.value = place
        return 0

    def cuDeviceGetName(self, text, size: int, device: int) -> int:
        text.value = self.gpus[device][0].encode()
        return 0

    def cuDeviceTotalMem_v2(self, found, device: int) -> int:
        found._obj.value = self.gpus[device][3]
        return 0

    def cuDeviceGetAttribute(self, found, attribute: int, device: int) -> int:
        found._obj.value = self.gpus[device][{75: 1, 76: 2}[attribute]]
        return 0


def asked(tmp_path, library: Library, module: str = MODULE) -> Driver:
    (tmp_path / "version").write_text(module)
    return ask_driver(lambda name: library, tmp_path / "version")


def test_version_cuda_and_gpus_are_told(tmp_path):
    found = asked(tmp_path, Library([("NVIDIA H100 80GB HBM3", 9, 0, 80 << 30), ("NVIDIA L4", 8, 9, 24 << 30)]))
    assert found.version == "580.65.06"
    assert found.cuda == "13.1"
    assert found.gpus[1] == Gpu("NVIDIA L4", "8.9", 24 << 30)
    assert str(found) == (
        "NVIDIA H100 80GB HBM3, compute capability 9.0, 80.0 GiB; NVIDIA L4, compute capability 8.9, 24.0 GiB; "
        "driver 580.65.06 for CUDA up to 13.1"
    )


def test_the_kernel_module_of_older_drivers_is_read_as_well(tmp_path):
    older = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.256.02  Thu May  2 14:37:44 UTC 2024\n"
    assert asked(tmp_path, Library([("Tesla T4", 7, 5, 15 << 30)]), older).version == "470.256.02"


def test_a_board_without_that_file_has_no_version(tmp_path):
    found = ask_driver(lambda name: Library([("Orin", 8, 7, 8 << 30)]), tmp_path / "absent")
    assert found.version == ""
    assert str(found).endswith("a driver for CUDA up to 13.1")


@pytest.mark.parametrize(("code", "advice"), [(100, "CUDA_VISIBLE_DEVICES"), (803, "restart"), (1234, "restart")])
def test_what_the_driver_refuses_is_told_with_what_helps(tmp_path, code, advice):
    with pytest.raises(UnavailableError, match=rf"driver reports {code}: .*{advice}"):
        asked(tmp_path, Library([], code))


def test_a_driver_without_any_gpu_is_none(tmp_path):
    with pytest.raises(UnavailableError, match="reports no GPU"):
        asked(tmp_path, Library([]))


@pytest.mark.parametrize(("module", "told"), [(None, "no NVIDIA driver here"), (MODULE, "580.65.06 is loaded, but")])
def test_without_its_library_there_is_no_driver(tmp_path, module, told):
    if module:
        (tmp_path / "version").write_text(module)

    def absent(name: str) -> object:
        raise OSError(f"{name}: cannot open shared object file")

    with pytest.raises(UnavailableError, match=f"{told}.*{LIBRARY}"):
        ask_driver(absent, tmp_path / "version")
