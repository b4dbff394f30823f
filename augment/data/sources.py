"""Which images a source offers and what it says about them. Images are listed here, never decoded.

Four layouts are read: a folder per class, the Oxford-IIIT Pet layout of torchvision, the package elpv-dataset and a
CSV manifest; and with each of them, files of boxes. `check_source` finds what can be known to be wrong from names and
lists alone, before any image is loaded.
"""

from dataclasses import replace
from pathlib import Path

from augment.data.box_search import find_boxes
from augment.data.boxes import refuse
from augment.data.fault_groups import resolve
from augment.data.layouts.folders import folders_root, list_folders
from augment.data.layouts.known_sets import (
    ELPV_LABELS,
    ELPV_PACKAGE,
    elpv_root,
    list_elpv,
    list_pets,
    pets_root,
    require_pets_root,
)
from augment.data.layouts.labels import label_problems, name_problems
from augment.data.layouts.listing import PLAIN_SUFFIXES, Source
from augment.data.layouts.manifest import list_manifest, manifest_in, manifest_root
from augment.data.problems import Problem
from augment.settings import DataSettings, Settings
from edge_runtime.bundle.errors import InputError
from edge_runtime.text_files import printable

MOST_WRONG = 0.1  # share of the images whose problems, each for itself no reason to stop, stop a run together


def check_source(settings: Settings) -> Source:
    """List the source and refuse what cannot become a data set. Raises InputError; reads names and lists only."""
    source = list_candidates(settings.data)
    _refuse_problems(source)
    _check_classes(source)
    if settings.data.groups or settings.data.kinds:
        resolve(list(source.classes), settings.data.faults, settings.data.groups, settings.data.kinds)
    return source


def list_candidates(data: DataSettings) -> Source:
    """List the candidates of `data.source`, sorted by path, with all that is wrong in its names and lists.

    Raises InputError where the layout is not there, or where what its folders mean is unclear.
    """
    layout = data.layout if data.layout != "auto" else _recognise(data.source)
    if data.levels and layout != "folders":
        raise InputError(
            f"data.levels is for a folder per class, and {data.source} is read by layout {layout}; clear it"
        )
    source = _READERS[layout](data)
    if source.candidates:
        source = _with_boxes(source, data.boxes)
    return replace(source, problems=(*source.problems, *_name_problems(source, data)))


def _name_problems(source: Source, data: DataSettings) -> list[Problem]:
    """Return what is wrong with the labels, and with the settings that name some."""
    classes, root = source.classes, source.root
    found = label_problems(classes, data.phrases, root)
    named = {"data.faults": data.faults, "data.phrases": tuple(data.phrases)}
    for key in ("groups", "kinds"):
        named |= {f"data.{key}.{name}": labels for name, labels in getattr(data, key).items()}
    for key, names in named.items() if classes else ():
        found += name_problems(names, key, classes, root)
    return found


def _with_boxes(source: Source, setting: str) -> Source:
    """Add the boxes that lie in files; a manifest that has boxes of an image keeps them."""
    found = find_boxes(source.root, [candidate.path for candidate in source.candidates], setting)
    candidates = tuple(
        candidate if candidate.boxes is not None else replace(candidate, boxes=found.by_image.get(candidate.path))
        for candidate in source.candidates
    )
    used = {path for path, _ in source.ignored if source.root / path in found.files}
    strays = [(file.name, "is a file of boxes, and no image has its name") for file in found.strays]
    ignored = tuple(entry for entry in source.ignored if entry[0] not in used)
    problems = (*source.problems, *(Problem("", sentence, fatal=True) for sentence in found.problems))
    return replace(source, candidates=candidates, ignored=(*ignored, *strays), problems=problems)


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
    if pets_root(path) is not None:
        return "oxford-pets"
    if (path / ELPV_LABELS).is_file() and (path / "images").is_dir():
        return "elpv"
    return "manifest" if manifest_in(path) else "folders"


_READERS = {"folders": list_folders, "oxford-pets": list_pets, "elpv": list_elpv, "manifest": list_manifest}
_ROOTS = {"folders": folders_root, "oxford-pets": require_pets_root, "elpv": elpv_root, "manifest": manifest_root}


# What names alone tell


def _refuse_problems(source: Source) -> None:
    """Raise one InputError that names all problems, where one of them is fatal or where they are too many."""
    fatal = [str(problem) for problem in source.problems if problem.fatal]
    others = [str(problem) for problem in source.problems if not problem.fatal]
    if len(others) > MOST_WRONG * len(source.candidates):
        share = f"{len(others)} of {len(source.candidates)} images have problems, more than {MOST_WRONG:.0%}:"
        fatal += [share, *others]
    refuse(fatal)


def _check_classes(source: Source) -> None:
    classes, root = source.classes, printable(str(source.root))
    if not classes:
        raise InputError(f"{root} holds no images ({_expected(source)}){_why_none(source)}")
    if len(classes) == 1:
        raise InputError(
            f"{root} holds one class only, {next(iter(classes))}; a classifier needs at least two "
            f"({_expected(source)}){_why_none(source)}"
        )
    lonely = [label for label, count in classes.items() if count == 1]
    if lonely:
        raise InputError(
            f"{root}: {_listed(lonely)} with a single image; a class needs at least two, one to learn from and "
            "one to test on (three to validate as well): add images or remove the class"
        )


def _expected(source: Source) -> str:
    seen = f"layout {source.layout}; "
    if source.layout == "folders":
        return seen + f"expected one folder per class, holding {', '.join(sorted(PLAIN_SUFFIXES))} files"
    return seen + "another data.layout may fit"


def _why_none(source: Source) -> str:
    """Return the end of a sentence about what lies there and did not count."""
    unread = [f"{len(source.unread)} files are not read, such as {' '.join(source.unread[0])}"] if source.unread else []
    return "".join(f"; {reason}" for reason in [*unread, *source.notes])


def _listed(labels: list[str]) -> str:
    return f"{'class' if len(labels) == 1 else 'classes'} {', '.join(labels)}"
