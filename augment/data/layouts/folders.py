"""A folder for each class, with sides of a split, sites or dates as further levels of folders where there are such."""

import re
from collections import Counter
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from augment.data.layouts.folder_levels import BESIDE, Place, read_levels
from augment.data.layouts.listing import LINK, Candidate, Found, Source, find_pictures
from augment.data.problems import Problem
from augment.settings import DataSettings
from edge_runtime.bundle.errors import InputError
from edge_runtime.text_files import normal, printable

MASK = "is a mask of another picture, by its name"
_MASK = re.compile(r"(.+?)[-_. ]+(?:gt|masks?|ground_?truth|seg(?:mentation)?|label(?:s|ids)?)", re.IGNORECASE)


def folders_root(source: str) -> Path:
    """Return the folder at `source`; InputError where there is none."""
    path = Path(source).expanduser()
    if not path.exists():
        raise InputError(f"data.source is {source}, which does not exist; give the folder that holds the images")
    if not path.is_dir():
        raise InputError(f"data.source is {source}, a file; layout folders needs a folder with one folder per class")
    return path


def list_folders(data: DataSettings) -> Source:
    """List a folder that has a folder per class. InputError where its levels could mean several things."""
    root = folders_root(data.source)
    found = find_pictures(root)
    pictures, masks = _without_masks(found.pictures)
    chains = {picture: PurePosixPath(picture).parts[:-1] for picture in pictures}
    named = {normal(label) for label in _named(data)}
    places, note = read_levels(set(chains.values()), data.levels, named)
    candidates, ignored = [], [*found.ignored, *masks]
    spellings: dict[str, set[str]] = {}
    for picture, chain in chains.items():
        place = places[chain]
        if isinstance(place, Place):
            label = normal(place.label).strip()
            spellings.setdefault(label, set()).add(place.label)
            candidates.append(Candidate(picture, label, place.group, place.sides))
        else:
            ignored.append((picture, place))
    notes = [*([note] if note else []), *_joined(spellings), *_unlabelled(ignored, {*chains, *dict(masks)})]
    return Source(
        "folders",
        root,
        tuple(sorted(candidates, key=lambda candidate: candidate.path)),
        tuple(sorted(_told(ignored) + _empty(root, found))),
        tuple(found.unread),
        tuple(found.passed_over),
        _nameless(found),
        tuple(notes),
    )


def _named(data: DataSettings) -> set[str]:
    """Return the labels that the settings speak of, which are classes whatever else their names look like."""
    lists = [*data.groups.values(), *data.kinds.values()]
    return {*data.faults, *data.phrases, *(label for labels in lists for label in labels)}


def _told(ignored: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return `ignored`, where a file that lies beside the class folders says so."""
    return [(path, BESIDE if "/" not in path and reason != LINK else reason) for path, reason in ignored]


def _without_masks(pictures: list[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the pictures, and apart from them those that are masks of another in their folder, by their names."""
    stems = {str(PurePosixPath(picture).with_suffix("")) for picture in pictures}
    masks = []
    for picture in pictures:
        match = _MASK.fullmatch(str(PurePosixPath(picture).with_suffix("")))
        if match and match[1] in stems:
            masks.append((picture, MASK))
    left_out = {path for path, _ in masks}
    return [picture for picture in pictures if picture not in left_out], masks


def _empty(root: Path, found: Found) -> list[tuple[str, str]]:
    """Return the folders at the top that hold no picture."""
    full = {picture.partition("/")[0] for picture in found.pictures}
    passed = {path for path, _ in found.passed_over}
    empty = [
        entry.name
        for entry in root.iterdir()
        if entry.is_dir() and not entry.is_symlink() and entry.name not in full | passed
    ]
    return [(printable(name), "is a folder without images, so it is no class") for name in empty]


def _joined(spellings: dict[str, set[str]]) -> list[str]:
    """Say which folders are one class although their names differ in bytes."""
    return [
        f"{len(names)} folders whose names look alike are the class {label} "
        f"({', '.join(sorted(ascii(name) for name in names))}: only composed letters or outer blanks differ)"
        for label, names in sorted(spellings.items())
        if len(names) > 1
    ]


def _unlabelled(ignored: list[tuple[str, str]], pictures: Collection[str]) -> list[str]:
    """Say how many pictures have no label, by the reason."""
    counts = Counter(reason for path, reason in ignored if path in pictures)
    return [f"{count} pictures left out: each {reason}" for reason, count in sorted(counts.items())]


def _nameless(found: Found) -> tuple[Problem, ...]:
    """Return a problem for each folder whose name is not UTF-8, since its pictures all stay out."""
    folders = Counter(str(PurePosixPath(path).parent) for path, _ in found.unread if "\\udc" in path.rpartition("/")[0])
    return tuple(
        Problem(folder, f"the name is not UTF-8, so its {count} files have no label; rename the folder", fatal=True)
        for folder, count in sorted(folders.items())
    )
