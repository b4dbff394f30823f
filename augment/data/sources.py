"""Which images a source offers and what it says about them. Images are listed here, never decoded.

Four layouts are read: a folder per class, the Oxford-IIIT Pet layout of torchvision, the package elpv-dataset and a
CSV manifest; and with each of them, files of boxes. `check_source` finds what can be known to be wrong from names and
lists alone, before any image is loaded.
"""

from dataclasses import replace
from pathlib import Path

from augment.data.box_search import find_boxes
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
from augment.data.problems import Check, Problem, refusal
from augment.settings import DataSettings, Settings
from augment.store_urls import is_url
from augment.stores.pictures import GIB, PictureTree, place_of
from edge_runtime.bundle.errors import InputError
from edge_runtime.text_files import printable


def check_source(settings: Settings) -> Source:
    """List the source and refuse what cannot become a data set, with all that is wrong; reads names and lists only."""
    source = list_candidates(settings.data)
    if not source.candidates and not source.problems:
        raise InputError(f"{printable(str(source.root))} holds no images ({_expected(source)}){_why_none(source)}")
    hosts = settings.generate.hosts
    wrong_hosts = name_problems((*hosts, *hosts.values()), "generate.hosts", source.classes, source.root)
    named = Check("files", len(source.candidates) + len(source.problems), (*source.problems, *wrong_hosts))
    if wrong := refusal([named], settings.data.most_problems):
        raise InputError(wrong)
    return source


def list_candidates(data: DataSettings) -> Source:
    """List the candidates of `data.source`, sorted by path, with all that is wrong in its names and lists.

    Raises InputError where the layout is not there, or where what its folders mean is unclear.
    """
    if (tree := picture_tree(data)) is None:
        return _list_folder(data)
    odd = tree.refresh()
    try:
        source = _list_folder(_on_disk(data, tree))
    except InputError as error:
        raise InputError(str(error).replace(str(tree.root), tree.url)) from error
    return replace(source, store=tree, unread=(*source.unread, *odd))


def picture_tree(data: DataSettings) -> PictureTree | None:
    """Return what fetches the pictures of a `data.source` that lies on a store; None where it lies on this machine."""
    if not is_url(data.source):
        return None
    url = data.source.rstrip("/")
    if url.lower().endswith(".csv"):
        url = url.rpartition("/")[0]
    return PictureTree(url, place_of(url, data.store_cache), int(data.store_gib * GIB), PLAIN_SUFFIXES)


def _on_disk(data: DataSettings, tree: PictureTree) -> DataSettings:
    """Return the settings with the folder that stands for the store in the place of its URL."""

    def placed(key: str, given: str) -> str:
        if not is_url(given):
            return given
        if given != tree.url and not given.startswith(f"{tree.url}/"):
            raise InputError(f"data.{key} is {given}, expected a local path or a place below data.source, {tree.url}")
        return f"{tree.root}{given.removeprefix(tree.url)}"

    source, boxes = placed("source", data.source.rstrip("/")), placed("boxes", data.boxes.rstrip("/"))
    return replace(data, source=source, boxes=boxes)


def _list_folder(data: DataSettings) -> Source:
    layout = data.layout if data.layout != "auto" else _recognise(data.source)
    if data.levels and layout != "folders":
        raise InputError(f"data.levels is for a folder per class; {data.source} is read by layout {layout}: clear it")
    source = _READERS[layout](data)
    if not source.candidates:
        return source
    source = _with_boxes(source, data.boxes)
    found = [*label_problems(source.classes, data.phrases, source.root), *_name_problems(source, data)]
    if not any(problem.fatal for problem in (*found, *source.problems)):  # which may be why a class is missing
        found += _class_problems(source, data)
    return replace(source, problems=(*source.problems, *found))


def _name_problems(source: Source, data: DataSettings) -> list[Problem]:
    """Return a problem for each label that the settings name and the source does not have."""
    named = {"data.faults": data.faults, "data.phrases": tuple(data.phrases)}
    for key in ("groups", "kinds"):
        named |= {f"data.{key}.{name}": labels for name, labels in getattr(data, key).items()}
    return [
        problem for key, names in named.items() for problem in name_problems(names, key, source.classes, source.root)
    ]


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
    if tree := picture_tree(data):
        if not tree.is_listed:  # this machine has not met the store yet
            tree.refresh()
        data = _on_disk(data, tree)
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


def _class_problems(source: Source, data: DataSettings) -> list[Problem]:
    """Return why these classes make no classifier."""
    classes, where = source.classes, printable(str(source.root))
    found = []
    if len(classes) == 1:
        found.append(
            f"holds one class only, {next(iter(classes))}; a classifier needs at least two ({_expected(source)})"
            f"{_why_none(source)}"
        )
    lonely = [label for label, count in classes.items() if count == 1]
    if lonely and not found:
        found.append(
            f"{_listed(lonely)} with a single image; a class needs at least two, one to learn from and one to test on "
            "(three to validate as well): add images or remove the class"
        )
    problems = [Problem(where, sentence, fatal=True) for sentence in found]
    if data.groups or data.kinds:
        try:
            resolve(list(classes), data.faults, data.groups, data.kinds)
        except InputError as error:
            problems.append(Problem("", str(error), fatal=True))
    return problems


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
