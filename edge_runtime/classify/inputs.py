"""Finds the files to look at below the paths that a user gives, lazily and in order."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..media.image_files import IMAGE_SUFFIXES
from ..media.video_files import VIDEO_SUFFIXES


@dataclass(frozen=True)
class InputFile:
    """One thing to evaluate: a still image or a video by its name, or what cannot be either, with the reason."""

    path: Path
    reason: str | None = None

    @property
    def is_video(self) -> bool:
        """Whether the suffix is that of a video; the content is not read."""
        return self.path.suffix.lower() in VIDEO_SUFFIXES


@dataclass
class Inputs:
    """Iterate for the `InputFile`s of `paths`.

    Afterwards `skipped` counts the files in folders that are neither image nor video.
    """

    paths: Iterable[Path]
    skipped: int = field(default=0, init=False)

    def __iter__(self) -> Iterator[InputFile]:
        for path in self.paths:
            if not _is_folder(path):
                yield InputFile(path)
                continue
            files = self._walk(path, set())
            yield next(files, InputFile(path, f"{path.name or path} holds no image and no video; check the path"))
            yield from files

    def _walk(self, folder: Path, seen: set[tuple[int, int]]) -> Iterator[InputFile]:
        """Depth first, by name. `seen` holds the folders entered so far, so that a loop of links ends."""
        try:
            status = folder.stat()
            names = sorted(path.name for path in folder.iterdir())
        except OSError as error:
            yield InputFile(folder, f"{folder.name} cannot be read ({error.strerror}); check its permissions")
            return
        if (identity := (status.st_dev, status.st_ino)) in seen:
            return
        seen.add(identity)
        for name in names:
            yield from self._entry(folder / name, seen)

    def _entry(self, path: Path, seen: set[tuple[int, int]]) -> Iterator[InputFile]:
        looks_right = path.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES
        hidden = path.name.startswith(".")  # "._photo.jpg": what other systems leave behind on a memory stick
        if not hidden and _is_folder(path):
            if looks_right:
                yield InputFile(path, f"{path.name} is a folder, not an image; what it holds is listed on its own")
            yield from self._walk(path, seen)
        elif looks_right and not hidden:
            yield InputFile(path)
        else:
            self.skipped += 1


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False
