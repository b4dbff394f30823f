"""Finds the files to look at below the paths that a user gives, lazily and in order, and says what was left out.

A file's content decides what it is. In a folder, every file that may be evidence becomes an input, if only with the
reason why it cannot be judged; what is plainly none is counted.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..media.file_kinds import IMAGE_SUFFIXES, OWN, VIDEO_SUFFIXES, FileKind, Kind, file_kind, made_by_system, unread

BUNDLE_FILES = ("manifest.json", "golden.json")  # a folder with both is a bundle; its golden frames are no evidence
OTHERS, SYSTEM, OURS = "without pictures (such as notes)", "made by systems", "of rarefault's own output"
MOST_LEVELS = 200  # of folders in each other; each level is a call in a call

Identity = tuple[int, int] | str


@dataclass(frozen=True)
class InputFile:
    """One thing to evaluate: a still image, a video, or what cannot be judged, with the reason."""

    path: Path
    reason: str | None = None
    is_video: bool = False


@dataclass
class Inputs:
    """Iterate for the `InputFile`s of `paths`. The file `output`, which is being written, is none of them.

    Afterwards `left_out` counts the files in folders that are plainly no evidence, by what they are.
    """

    paths: Iterable[Path]
    output: Path | None = None
    left_out: Counter[str] = field(default_factory=Counter, init=False)

    def __iter__(self) -> Iterator[InputFile]:
        for path in self.paths:
            if not _is_folder(path):
                yield _given(path)
                continue
            files = self._walk(path, set())
            yield next(files, InputFile(path, f"{path.name or path} holds no image and no video; check the path"))
            yield from files

    def summary(self) -> str:
        """Return what was left out as words, empty where it is nothing."""
        return ", ".join(f"{count} {what}" for what, count in self.left_out.items())

    def _walk(self, folder: Path, seen: set[Identity]) -> Iterator[InputFile]:
        """Depth first, by name. `seen` holds the folders entered so far, so that a loop of links ends."""
        if len(folder.parts) > MOST_LEVELS:
            yield InputFile(
                folder, f"{folder.name} lies below {MOST_LEVELS} folders and was not looked at; give it alone"
            )
            return
        try:
            identity = _identity(folder)
            names = sorted(path.name for path in folder.iterdir())
        except OSError as error:
            yield InputFile(folder, f"{folder.name} cannot be read ({error.strerror}); check its permissions")
            return
        if identity in seen:
            return
        seen.add(identity)
        if all(name in names for name in BUNDLE_FILES):
            self.left_out[OURS] += 1
            names = sorted(set(names) - _bundled(folder))
        for name in names:
            yield from self._entry(folder / name, seen)

    def _entry(self, path: Path, seen: set[Identity]) -> Iterator[InputFile]:
        if self.output is not None and path.name == self.output.name and path.resolve() == self.output.resolve():
            self.left_out[OURS] += 1
            return
        side_file = path.name.startswith("._")  # of macOS, by its content too, or a picture that somebody named so
        if made_by_system(path.name) and not side_file:
            self.left_out[SYSTEM] += 1
        elif _is_folder(path):
            if path.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES:
                yield InputFile(path, f"{path.name} is a folder, not an image; what it holds is listed on its own")
            yield from self._walk(path, seen)
        else:
            try:
                kind = file_kind(path)
            except (OSError, ValueError) as error:
                yield InputFile(path, f"{path.name} cannot be read ({_why(error)}); check the file")
                return
            if kind.kind is Kind.OTHER:
                self.left_out[OURS if kind.name == OWN else SYSTEM if side_file else OTHERS] += 1
            else:
                yield _input(path, kind)


def _given(path: Path) -> InputFile:
    """Return what is given by name, which always gets a result."""
    try:
        kind = file_kind(path)
    except (OSError, ValueError):
        return InputFile(path)  # its reader says why
    if kind.name == OWN:
        return InputFile(path, f"{path.name} was drawn by rarefault itself; give the picture that it was made of")
    if kind.name == "text":
        hint = "to read paths from a list, write: edge-classify - < LIST"
        return InputFile(path, f"{path.name} is a text and no image; {hint}")
    return InputFile(path) if kind.kind is Kind.OTHER else _input(path, kind)


def _input(path: Path, kind: FileKind) -> InputFile:
    if kind.kind in (Kind.UNREAD_PICTURE, Kind.DOCUMENT):
        return InputFile(path, f"{path.name} {unread(kind)}")
    return InputFile(path, is_video=kind.kind is Kind.VIDEO)


def _identity(folder: Path) -> Identity:
    """Return what tells a folder from all others. Some network drives give no number; then its path does."""
    status = folder.stat()
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(folder)


def _bundled(folder: Path) -> set[str]:
    """Return which entries of a bundle's folder belong to it; photographs may lie beside them."""
    try:
        listed = json.loads((folder / "manifest.json").read_bytes())["files"]
        return {*BUNDLE_FILES, *(str(name).partition("/")[0] for name in listed)}
    except (OSError, ValueError, KeyError, TypeError):  # damaged, or another program's
        return set(BUNDLE_FILES)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _why(error: OSError | ValueError) -> str:
    return (
        "it is gone, or a link to nothing"
        if isinstance(error, FileNotFoundError)
        else str(getattr(error, "strerror", None) or error)
    )
