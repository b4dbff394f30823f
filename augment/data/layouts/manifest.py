"""A source whose manifest says what its pictures are; folders mean nothing beside it."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

from augment.data.layouts.listed_paths import EXACT, MISSING, ListedPaths
from augment.data.layouts.listing import MOST_NAMED, Candidate, Source, find_pictures
from augment.data.layouts.manifest_csv import ManifestRow, read_manifest
from augment.data.problems import Problem
from augment.settings import DataSettings
from edge_runtime.bundle.errors import InputError
from edge_runtime.text_files import normal

MANIFEST = "manifest.csv"


def manifest_in(folder: Path) -> Path | None:
    """Return the manifest that lies in `folder`, however its name is capitalised."""
    if not folder.is_dir():
        return None
    return next((file for file in sorted(folder.iterdir()) if file.name.lower() == MANIFEST and file.is_file()), None)


def manifest_path(source: str) -> Path:
    """Return the path of the manifest at `source`, a file or its folder; InputError where there is none."""
    path = Path(source).expanduser()
    path = manifest_in(path) or path / MANIFEST if path.is_dir() else path
    if not path.is_file():
        raise InputError(f"data.source is {source}, where layout manifest expects a CSV file; {path} does not exist")
    return path


def manifest_root(source: str) -> Path:
    """Return the folder that the paths of the manifest at `source` start at."""
    return manifest_path(source).parent


def list_manifest(data: DataSettings) -> Source:
    """List what a manifest names. InputError where it is no manifest; wrong lines become problems."""
    path = manifest_path(data.source)
    rows, problems = _read(path, data)
    paths, spelled = ListedPaths(path.parent), Counter[str]()
    candidates: dict[str, Candidate] = {}
    for row in rows:
        try:
            found, spelling = paths.find(row.path)
        except ValueError as error:
            problems.append(Problem(row.where, str(error), fatal=True))
            continue
        if spelling == MISSING:
            problems.append(Problem(row.where, f"{found} does not exist below {path.parent}"))
            continue
        if spelling != EXACT:
            spelled[spelling] += 1
        here = Candidate(found, normal(row.label), row.group and normal(row.group), row.sides, row.boxes)
        try:
            candidates[found] = here if found not in candidates else _joined(candidates[found], here)
        except ValueError as error:
            problems.append(Problem(row.where, str(error), fatal=True))
    notes = [f"{count} paths of {path.name} {spelling}" for spelling, count in sorted(spelled.items())]
    source = Source("manifest", path.parent, tuple(sorted(candidates.values(), key=lambda one: one.path)))
    return _with_the_rest(replace(source, problems=tuple(problems), notes=tuple(notes)), path, data.source)


def _read(path: Path, data: DataSettings) -> tuple[list[ManifestRow], list[Problem]]:
    try:
        return read_manifest(path)
    except InputError as error:
        if data.layout == "auto" and Path(data.source).expanduser().is_dir():
            raise InputError(f'{error}; or set data.layout = "folders", if the folders name the classes') from None
        raise


def _joined(first: Candidate, second: Candidate) -> Candidate:
    """Join two rows of one image, which add up its boxes; ValueError where they contradict each other."""
    for name in ("label", "group", "sides"):
        if getattr(first, name) != getattr(second, name):
            seen = f"{getattr(first, name)!r} and {getattr(second, name)!r}"
            raise ValueError(f"{first.path} stands in an earlier line too, with another {name}: {seen}")
    boxes = [candidate.boxes for candidate in (first, second) if candidate.boxes is not None]
    return replace(first, boxes=sum(boxes, ()) if boxes else None)


def _other_lists(path: Path) -> list[str]:
    """Say which CSV files lie beside the manifest at `path`, since their lines count for nothing."""
    others = sorted(file.name for file in path.parent.iterdir() if file.suffix.lower() == ".csv" and file != path)
    named = f"{', '.join(others[:MOST_NAMED])}{' and others' if len(others) > MOST_NAMED else ''}"
    return [f"beside {path.name} lie {named}, which are not read"] if others else []


def _with_the_rest(source: Source, path: Path, given: str) -> Source:
    """Tell which pictures lie in the folders that the manifest speaks of and stand in none of its lines."""
    whole = Path(given).expanduser().is_dir()
    named = {candidate.path for candidate in source.candidates}
    tops = {name.partition("/")[0] for name in named if "/" in name}
    found = find_pictures(source.root, None if whole else tops)
    rest = [name for name in found.pictures if name not in named]
    notes = list(source.notes)
    if whole:
        notes.insert(0, f"{path.name} says what the pictures are, and the names of folders count for nothing")
        notes += _other_lists(path)
    if rest:
        notes.append(f"{len(rest)} pictures beside those of {path.name} stand in no line of it (first {rest[0]})")
    return replace(
        source,
        ignored=tuple((name, f"stands in no line of {path.name}") for name in rest),
        unread=tuple(found.unread),
        passed_over=tuple(found.passed_over),
        notes=tuple(notes),
    )
