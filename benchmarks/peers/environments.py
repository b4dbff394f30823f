"""Environments of the peers, made once below the work folder, and how many bytes a tool is once it is installed."""

import subprocess
import sys
import venv
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

from edge_runtime.bundle.errors import UnavailableError

PINS = Path(__file__).parent
# What torch brings on Linux and no processor needs: packages by how their names begin, its own libraries by words.
PACKAGES_FOR_GPUS, LIBRARIES_FOR_GPUS = ("nvidia-", "cuda-", "triton"), ("_cuda", "nvshmem", "nvrtc")


def environment(name: str, folder: Path) -> Path:
    """Return the interpreter of the environment of `name`, with exactly the packages of its NAME.txt.

    Packages that this interpreter has in the same version are reached through a .pth file, which spares 6 GB of torch.
    Raises UnavailableError if pip cannot install the rest.
    """
    python = folder / "bin" / "python"
    finished = folder / "installed.txt"
    wanted = pins(PINS / f"{name}.txt")
    if finished.exists() and finished.read_text(encoding="utf-8") == "\n".join(wanted):
        return python
    venv.create(folder, clear=True, symlinks=True, with_pip=True)
    here = {_plain(found): found.version for found in distributions()}
    missing = [pin for pin in wanted if here.get(pin.partition("==")[0]) != pin.partition("==")[2]]
    command = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", *missing]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UnavailableError(f"{name} could not be installed by pip: {last}; see {PINS / f'{name}.txt'}")
    next(folder.glob("lib/python*/site-packages")).joinpath("zz_shared.pth").write_text(
        "\n".join(path for path in sys.path if path.endswith("site-packages")), encoding="utf-8"
    )
    finished.write_text("\n".join(wanted), encoding="utf-8")
    return python


def pins(*lists: Path) -> list[str]:
    """Return `name==version` of every line of the lists, names in their normal form."""
    lines = [line.strip() for path in lists for line in path.read_text(encoding="utf-8").splitlines()]
    kept = dict.fromkeys(line for line in lines if line and not line.startswith("#"))
    return [f"{normal(name)}=={version}" for name, _, version in (line.partition("==") for line in kept)]


def installed_bytes(wanted: Iterable[str], *places: Path) -> tuple[int, int]:
    """Return the bytes of all files that the distributions named by pins list in their RECORD, byte code apart.

    The first number is of all, the second without what only GPUs need, as if torch were its build for processors. The
    distributions are looked for in the site-packages `places`, then in those of this interpreter; UnavailableError
    names the first one that is nowhere.
    """
    found: dict[str, Distribution] = {}
    for distribution in _found(places):
        found.setdefault(_plain(distribution), distribution)
    total = for_gpus = 0
    for pin in wanted:
        name = pin.partition("==")[0]
        if name not in found:
            raise UnavailableError(f"{name} is installed nowhere, so its bytes cannot be counted")
        for file in found[name].files or ():
            size = _size(Path(str(file.locate())))
            total += size
            library = name == "torch" and any(word in file.name for word in LIBRARIES_FOR_GPUS)
            for_gpus += size if library or name.startswith(PACKAGES_FOR_GPUS) else 0
    return total, total - for_gpus


def folder_bytes(*folders: Path) -> int:
    """Return the bytes of all files below the folders, byte code apart."""
    return sum(_size(path) for folder in folders for path in folder.rglob("*") if path.is_file())


def _found(places: Iterable[Path]) -> Iterator[Distribution]:
    yield from distributions(path=[str(place) for place in places])
    yield from distributions()


def _size(path: Path) -> int:
    return path.stat().st_size if "__pycache__" not in path.parts and path.exists() else 0


def _plain(distribution: Distribution) -> str:
    name: str | None = distribution.metadata["Name"]
    return normal(name or "")


def normal(name: str) -> str:
    """Return the normal form of the name of a distribution."""
    return name.lower().replace("_", "-").replace(".", "-")
