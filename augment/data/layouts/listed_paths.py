"""Finds the files that a list names, however the list's author spelled their paths."""

from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath
from urllib.parse import unquote

from edge_runtime.text_files import normal

EXACT, MISSING = "", "missing"
CASE, ENCODED = "differ from the names on disk in capitals only", "are encoded as in web addresses"


class ListedPaths:
    """Looks up paths below one folder, `root`; what each folder holds is read once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names: dict[Path, list[str]] = {}

    def find(self, text: str) -> tuple[str, str]:
        """Return the path of the file that `text` means, from the root and as it is on disk, and how it was spelled.

        ValueError with a sentence where it cannot be a file below the root.
        """
        wanted = self._inside(text)
        for spelling, parts in ((EXACT, wanted.parts), (ENCODED, PurePosixPath(unquote(wanted.as_posix())).parts)):
            if ".." in parts:
                continue
            if found := self._walk(parts, normal):
                return found, spelling
            if found := self._walk(parts, lambda name: normal(name).casefold()):
                return found, CASE if spelling == EXACT else spelling
        return wanted.as_posix(), MISSING

    def _inside(self, text: str) -> PurePosixPath:
        """Return the path from the root that `text` says."""
        windows = PureWindowsPath(text)
        if windows.drive:
            advice = "; expected one from the folder of that file, with / between folders"
            raise ValueError(f"path {text!r} is one of a Windows computer{self._tail(windows.parts, advice)}")
        pure = PurePosixPath(text.replace("\\", "/"))
        if pure.is_absolute():
            for root in (self._root.absolute(), self._root.resolve()):
                if pure.is_relative_to(root.as_posix()) and pure != PurePosixPath(root.as_posix()):
                    return pure.relative_to(root.as_posix())
        if pure.is_absolute() or ".." in pure.parts or not pure.parts:
            advice = self._tail(pure.parts, "; put it into a folder above the images") if pure.is_absolute() else ""
            raise ValueError(f"path {text!r}, expected one inside the folder of that file{advice}")
        return pure

    def _tail(self, parts: tuple[str, ...], otherwise: str) -> str:
        """Return the end of a sentence: how to write the path, where its last parts lie below the root."""
        for start in range(1, len(parts)):
            if found := self._walk(parts[start:], lambda name: normal(name).casefold()):
                return f"; write it from the folder of that file: {found}"
        return otherwise

    def _walk(self, parts: tuple[str, ...], form: Callable[[str], str]) -> str | None:
        """Return the path whose names have the `form` of `parts`, where there is one and no second."""
        at = self._root
        if form is normal and (at / Path(*parts)).exists():
            return PurePosixPath(*parts).as_posix()
        for part in parts:
            same = [name for name in self._listed(at) if form(name) == form(part)]
            if len(same) != 1:
                return None
            at = at / same[0]
        return at.relative_to(self._root).as_posix()

    def _listed(self, folder: Path) -> list[str]:
        if folder not in self._names:
            try:
                self._names[folder] = [entry.name for entry in folder.iterdir()]
            except OSError:
                self._names[folder] = []
        return self._names[folder]
