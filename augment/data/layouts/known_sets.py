"""Two public data sets in their own layouts: Oxford-IIIT Pet as torchvision reads it, and the package elpv-dataset."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from augment.data.layouts.listed_paths import ListedPaths
from augment.data.layouts.listing import Candidate, Source, files_below, relative
from augment.settings import DataSettings
from edge_runtime.bundle.errors import InputError
from edge_runtime.text_files import read_text

PETS_FOLDER = "oxford-iiit-pet"
ELPV_PACKAGE = "elpv-dataset"
ELPV_LABELS = "labels.csv"


# Oxford-IIIT Pet, as torchvision.datasets.OxfordIIITPet(root, download=False) reads it


def pets_root(path: Path) -> Path | None:
    """Return the folder with images/ and annotations/, `path` or one in it; None where there is none."""
    for folder in (path, path / PETS_FOLDER):
        if (folder / "images").is_dir() and (folder / "annotations" / "trainval.txt").is_file():
            return folder
    return None


def require_pets_root(source: str) -> Path:
    """Return the same folder; InputError where there is none."""
    root = pets_root(Path(source).expanduser())
    if root is None:
        raise InputError(
            f"data.source is {source}, where layout oxford-pets expects {PETS_FOLDER}/images and "
            f"{PETS_FOLDER}/annotations/trainval.txt and test.txt; give their folder or another data.layout"
        )
    return root


def list_pets(data: DataSettings) -> Source:
    """List what trainval.txt and test.txt name. InputError names the line that cannot be read."""
    root = require_pets_root(data.source)
    candidates: dict[str, Candidate] = {}
    for listing, sides in (("test.txt", ("test",)), ("trainval.txt", ("train", "val"))):
        for name in _pets_names(root / "annotations" / listing):
            if name in candidates:
                raise InputError(f"{root}/annotations: {name} is listed twice; each image may stand in one list, once")
            candidates[name] = Candidate(f"images/{name}.jpg", _pets_label(name), sides=sides)
    listed = {candidate.path for candidate in candidates.values()}
    strays = [path for file in files_below(root / "images") if (path := relative(file, root)) not in listed]
    ordered = sorted(candidates.values(), key=lambda candidate: candidate.path)
    return Source("oxford-pets", root, tuple(ordered), tuple((path, "stands in no list") for path in strays))


def _pets_names(path: Path) -> Iterator[str]:
    if not path.is_file():
        raise InputError(f"{path} does not exist; the Oxford-IIIT Pet layout has it")
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name = line.split()[0]
        if len(line.split()) != 4 or "_" not in name or not _is_plain(name):
            raise InputError(f"{path}, line {number}: {line!r}, expected `Breed_number class species breed`")
        yield name


def _pets_label(name: str) -> str:
    """Turn american_bulldog_12 into American Bulldog, as torchvision names its classes."""
    return " ".join(part.title() for part in name.rsplit("_", 1)[0].split("_"))


# elpv-dataset


def elpv_root(source: str) -> Path:
    """Return the folder with labels.csv, `source` or that of the package; InputError where there is neither."""
    folder = Path(source).expanduser()
    if folder.exists():
        if not (folder / ELPV_LABELS).is_file():
            raise InputError(f"data.source is {source}, where layout elpv expects {ELPV_LABELS} and images/")
        return folder
    found = importlib.util.find_spec(ELPV_PACKAGE.replace("-", "_"))
    if found is None or found.origin is None:
        raise InputError(f"the package {ELPV_PACKAGE} is not installed; run `pip install {ELPV_PACKAGE}`")
    return Path(found.origin).parent / "data"


def list_elpv(data: DataSettings) -> Source:
    """List what labels.csv names. InputError names the line that cannot be read."""
    root = elpv_root(data.source)
    paths, candidates = ListedPaths(root), []
    for number, line in enumerate(read_text(root / ELPV_LABELS).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            path, probability, kind = line.split()
            label = f"{kind}_{round(100 * float(probability))}"
            path, _ = paths.find(path)
        except ValueError:
            raise InputError(
                f"{root / ELPV_LABELS}, line {number}: {line!r}, expected `path probability mono|poly`, the path "
                "from the folder of that file"
            ) from None
        candidates.append(Candidate(path, label))
    return Source("elpv", root, tuple(sorted(candidates, key=lambda candidate: candidate.path)))


def _is_plain(name: str) -> bool:
    return bool(name) and not name.startswith(".") and not set(name) & {"/", "\\", "\0"}
