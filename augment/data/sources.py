"""Which images a source offers and what it says about them. Images are listed here, never decoded.

Four layouts are read: a folder per class, the Oxford-IIIT Pet layout of torchvision, the package elpv-dataset and a
CSV manifest; and with each of them, files of boxes. `check_source` finds what can be known to be wrong from names and
lists alone, before any image is loaded.
"""

import difflib
import importlib.util
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from augment.data.box_search import find_boxes
from augment.data.boxes import DrawnBox, refuse
from augment.data.fault_groups import resolve
from augment.data.manifest_csv import ManifestRow, read_manifest
from augment.data.problems import Problem
from augment.settings import DataSettings, Settings
from edge_runtime.bundle.errors import InputError
from edge_runtime.media.image_files import IMAGE_SUFFIXES
from edge_runtime.text_files import read_text

PETS_FOLDER = "oxford-iiit-pet"
ELPV_PACKAGE = "elpv-dataset"
ELPV_LABELS = "labels.csv"


@dataclass(frozen=True)
class Candidate:
    """One file that the source calls an image.

    `sides` are the parts of the split that the source's own lists leave it (None: no list names it). `boxes` are those
    that its manifest or its file of boxes states (None: there is neither).
    """

    path: str  # relative to the source's root, with forward slashes
    label: str
    group: str | None = None
    sides: tuple[str, ...] | None = None
    boxes: tuple[DrawnBox, ...] | None = None


@dataclass(frozen=True)
class Source:
    """A listed source; `ignored` are (path, reason) of what lies there and is no candidate."""

    layout: str
    root: Path
    candidates: tuple[Candidate, ...]
    ignored: tuple[tuple[str, str], ...] = ()
    problems: tuple[Problem, ...] = ()  # of lists and box files: what they name wrongly is no candidate, or has no box

    @property
    def classes(self) -> dict[str, int]:
        """Images per class, in the order of the names."""
        return dict(sorted(Counter(candidate.label for candidate in self.candidates).items()))


def check_source(settings: Settings) -> Source:
    """List the source and refuse what cannot become a data set. Raises InputError; reads names and lists only."""
    source = list_candidates(settings.data)
    _check_classes(source)
    _check_names(settings.data.faults, "data.faults", source)
    _check_names(settings.data.phrases, "data.phrases", source)
    for key in ("groups", "kinds"):
        for name, labels in getattr(settings.data, key).items():
            _check_names(labels, f"data.{key}.{name}", source)
    if settings.data.groups or settings.data.kinds:
        resolve(list(source.classes), settings.data.faults, settings.data.groups, settings.data.kinds)
    return source


def list_candidates(data: DataSettings) -> Source:
    """List the candidates of `data.source`, sorted by path. Raises InputError where the layout is not there."""
    layout = data.layout if data.layout != "auto" else _recognise(data.source)
    source = _READERS[layout](data.source)
    return _with_boxes(source, data.boxes) if source.candidates else source


def _with_boxes(source: Source, setting: str) -> Source:
    """Add the boxes that lie in files; a manifest that has boxes of an image keeps them."""
    found = find_boxes(source.root, [candidate.path for candidate in source.candidates], setting)
    refuse(found.problems)
    candidates = tuple(
        candidate if candidate.boxes is not None else replace(candidate, boxes=found.by_image.get(candidate.path))
        for candidate in source.candidates
    )
    used = {path for path, _ in source.ignored if source.root / path in found.files}
    strays = [(file.name, "is a file of boxes, and no image has its name") for file in found.strays]
    ignored = tuple(entry for entry in source.ignored if entry[0] not in used)
    return replace(source, candidates=candidates, ignored=(*ignored, *strays))


def source_root(data: DataSettings) -> Path:
    """Return the folder to which the paths of the records are relative."""
    layout = data.layout if data.layout != "auto" else _recognise(data.source)
    return _ROOTS[layout](data.source)


def _recognise(source: str) -> str:
    path = Path(source).expanduser()
    if path.is_file():
        return "manifest"
    if not path.exists() and source.replace("_", "-") == ELPV_PACKAGE:
        return "elpv"
    if _pets_root(path) is not None:
        return "oxford-pets"
    if (path / ELPV_LABELS).is_file() and (path / "images").is_dir():
        return "elpv"
    return "folders"


# A folder per class


def _folders_root(source: str) -> Path:
    path = Path(source).expanduser()
    if not path.exists():
        raise InputError(f"data.source is {source}, which does not exist; give the folder that holds the images")
    if not path.is_dir():
        raise InputError(f"data.source is {source}, a file; layout folders needs a folder with one folder per class")
    return path


def _list_folders(source: str) -> Source:
    root = _folders_root(source)
    candidates, ignored = [], []
    for entry in sorted(root.iterdir()):
        if entry.name.startswith("."):
            continue
        if not entry.is_dir():
            ignored.append((entry.name, "lies beside the class folders, so it has no label"))
            continue
        files = list(_files(entry))
        images = [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES]
        candidates += [Candidate(_relative(file, root), entry.name) for file in images]
        ignored += [(_relative(file, root), _no_image(file)) for file in files if file not in set(images)]
        if not images:
            ignored.append((entry.name, "is a folder without images, so it is no class"))
    return Source("folders", root, tuple(candidates), tuple(ignored))


def _files(folder: Path) -> Iterator[Path]:
    """Yield every file below `folder` by name; links to folders are not followed, since they can form loops."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        yield from (Path(parent) / name for name in sorted(files + links) if not name.startswith("."))


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _no_image(path: Path) -> str:
    if path.is_dir():
        return "is a link to a folder, which is not followed"
    return f"is no image by its name (suffix {path.suffix or 'missing'})"


# Oxford-IIIT Pet, as torchvision.datasets.OxfordIIITPet(root, download=False) reads it


def _pets_root(path: Path) -> Path | None:
    for folder in (path, path / PETS_FOLDER):
        if (folder / "images").is_dir() and (folder / "annotations" / "trainval.txt").is_file():
            return folder
    return None


def _require_pets_root(source: str) -> Path:
    root = _pets_root(Path(source).expanduser())
    if root is None:
        raise InputError(
            f"data.source is {source}, where layout oxford-pets expects {PETS_FOLDER}/images and "
            f"{PETS_FOLDER}/annotations/trainval.txt and test.txt; give their folder or another data.layout"
        )
    return root


def _list_pets(source: str) -> Source:
    root = _require_pets_root(source)
    candidates: dict[str, Candidate] = {}
    for listing, sides in (("test.txt", ("test",)), ("trainval.txt", ("train", "val"))):
        for name in _pets_names(root / "annotations" / listing):
            if name in candidates:
                raise InputError(f"{root}/annotations: {name} is listed twice; each image may stand in one list, once")
            candidates[name] = Candidate(f"images/{name}.jpg", _pets_label(name), sides=sides)
    listed = {candidate.path for candidate in candidates.values()}
    strays = [path for file in _files(root / "images") if (path := _relative(file, root)) not in listed]
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


def _elpv_root(source: str) -> Path:
    folder = Path(source).expanduser()
    if folder.exists():
        if not (folder / ELPV_LABELS).is_file():
            raise InputError(f"data.source is {source}, where layout elpv expects {ELPV_LABELS} and images/")
        return folder
    found = importlib.util.find_spec(ELPV_PACKAGE.replace("-", "_"))
    if found is None or found.origin is None:
        raise InputError(f"the package {ELPV_PACKAGE} is not installed; run `pip install {ELPV_PACKAGE}`")
    return Path(found.origin).parent / "data"


def _list_elpv(source: str) -> Source:
    root = _elpv_root(source)
    candidates = []
    for number, line in enumerate(read_text(root / ELPV_LABELS).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            path, probability, kind = line.split()
            label = f"{kind}_{round(100 * float(probability))}"
        except ValueError:
            raise InputError(
                f"{root / ELPV_LABELS}, line {number}: {line!r}, expected `path probability mono|poly`"
            ) from None
        candidates.append(Candidate(_inside(path, f"{root / ELPV_LABELS}, line {number}"), label))
    return Source("elpv", root, tuple(sorted(candidates, key=lambda candidate: candidate.path)))


# CSV manifest


def _manifest_path(source: str) -> Path:
    path = Path(source).expanduser()
    if path.is_dir():
        path = path / "manifest.csv"
    if not path.is_file():
        raise InputError(f"data.source is {source}, where layout manifest expects a CSV file; {path} does not exist")
    return path


def _manifest_root(source: str) -> Path:
    return _manifest_path(source).parent


def _list_manifest(source: str) -> Source:
    path = _manifest_path(source)
    candidates: dict[str, Candidate] = {}
    for row in read_manifest(path):
        here = Candidate(_inside(row.path, row.where), _label(row), row.group, row.sides, row.boxes or None)
        before = candidates.get(here.path)
        candidates[here.path] = here if before is None else _joined(before, here, row.where)
    ordered = sorted(candidates.values(), key=lambda candidate: candidate.path)
    return Source("manifest", path.parent, tuple(ordered))


def _joined(first: Candidate, second: Candidate, where: str) -> Candidate:
    """Join two rows of one image, which add up its boxes; raise InputError where they contradict each other."""
    for name in ("label", "group", "sides"):
        if getattr(first, name) != getattr(second, name):
            seen = f"{getattr(first, name)!r} and {getattr(second, name)!r}"
            raise InputError(f"{where}: {first.path} stands in an earlier line too, with another {name}: {seen}")
    boxes = [candidate.boxes for candidate in (first, second) if candidate.boxes is not None]
    return replace(first, boxes=sum(boxes, ()) if boxes else None)


def _label(row: ManifestRow) -> str:
    if not _is_plain(row.label):
        raise InputError(f"{row.where}: label {row.label!r} cannot name a folder; use a word without slashes")
    return row.label


def _is_plain(name: str) -> bool:
    return bool(name) and not name.startswith(".") and not set(name) & {"/", "\\", "\0"}


def _inside(path: str, where: str) -> str:
    pure = PurePosixPath(path.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts or not pure.parts:
        raise InputError(f"{where}: path {path!r}, expected one inside the folder of that file")
    return pure.as_posix()


_READERS = {"folders": _list_folders, "oxford-pets": _list_pets, "elpv": _list_elpv, "manifest": _list_manifest}
_ROOTS = {"folders": _folders_root, "oxford-pets": _require_pets_root, "elpv": _elpv_root, "manifest": _manifest_root}


# What names alone tell


def _check_classes(source: Source) -> None:
    classes = source.classes
    if not classes:
        raise InputError(f"{source.root} holds no images ({_expected(source)})")
    _check_case(classes, source)
    if len(classes) == 1:
        raise InputError(
            f"{source.root} holds one class only, {next(iter(classes))}; a classifier needs at least two "
            f"({_expected(source)})"
        )
    lonely = [label for label, count in classes.items() if count == 1]
    if lonely:
        raise InputError(
            f"{source.root}: {_listed(lonely)} with a single image; a class needs at least two, one to learn from and "
            "one to test on (three to validate as well): add images or remove the class"
        )


def _expected(source: Source) -> str:
    seen = f"layout {source.layout}; "
    if source.layout == "folders":
        return seen + f"expected one folder per class, holding {', '.join(sorted(IMAGE_SUFFIXES))} files"
    return seen + "another data.layout may fit"


def _check_case(classes: Mapping[str, int], source: Source) -> None:
    spellings: dict[str, list[str]] = {}
    for label in classes:
        spellings.setdefault(label.casefold(), []).append(label)
    for same in spellings.values():
        if len(same) > 1:
            counted = " and ".join(f"{label} ({classes[label]} images)" for label in same)
            raise InputError(f"{source.root}: the classes {counted} differ in case only; give them one name")


def _check_names(names: Iterable[str], key: str, source: Source) -> None:
    classes = source.classes
    for name in names:
        if name in classes:
            continue
        same = [label for label in classes if label.casefold() == name.casefold()]
        if same:
            raise InputError(f"{key} names {name!r}, the class is {same[0]!r}: they differ in case; write {same[0]!r}")
        near = difflib.get_close_matches(name, classes, n=1)
        advice = f"did you mean {near[0]!r}?" if near else f"the classes are {', '.join(classes)}"
        raise InputError(f"{key} names {name!r}, which is no class of {source.root}; {advice}")


def _listed(labels: list[str]) -> str:
    return f"{'class' if len(labels) == 1 else 'classes'} {', '.join(labels)}"
