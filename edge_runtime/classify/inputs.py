"""From the paths that a user gives to the files to look at, lazily and in order."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..media.image_files import IMAGE_SUFFIXES

VIDEO_SUFFIXES = frozenset((".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".wmv"))


@dataclass(frozen=True)
class Source:
    """One thing to evaluate: a still image or a video by its name, or what cannot be either, with the reason."""

    path: Path
    reason: str | None = None

    @property
    def is_video(self) -> bool:
        """By the suffix alone; an image reader would say what else it is."""
        return self.path.suffix.lower() in VIDEO_SUFFIXES


@dataclass
class Inputs:
    """Iterate for the `Source`s of `paths`; afterwards `skipped` counts the files in folders that are neither kind."""

    paths: Iterable[Path]
    skipped: int = field(default=0, init=False)

    def __iter__(self) -> Iterator[Source]:
        for path in self.paths:
            if not _is_folder(path):
                yield Source(path)
                continue
            found = 0
            for source in self._walk(path, set()):
                found += 1
                yield source
            if not found:
                yield Source(path, f"{path.name or path} holds no image and no video; check the path")

    def _walk(self, folder: Path, seen: set[tuple[int, int]]) -> Iterator[Source]:
        """Depth first, by name. `seen` holds the folders entered so far, so that a loop of links ends."""
        try:
            status = folder.stat()
            names = sorted(path.name for path in folder.iterdir())
        except OSError as error:
            yield Source(folder, f"{folder.name} cannot be read ({error.strerror}); check its permissions")
            return
        if (identity := (status.st_dev, status.st_ino)) in seen:
            return
        seen.add(identity)
        for name in names:
            yield from self._entry(folder / name, seen)

    def _entry(self, path: Path, seen: set[tuple[int, int]]) -> Iterator[Source]:
        looks_right = path.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES
        hidden = path.name.startswith(".")  # "._photo.jpg": what other systems leave behind on a memory stick
        if not hidden and _is_folder(path):
            if looks_right:
                yield Source(path, f"{path.name} is a folder, not an image; what it holds is listed on its own")
            yield from self._walk(path, seen)
        elif looks_right and not hidden:
            yield Source(path)
        else:
            self.skipped += 1


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False
