"""A folder into which something uploads pictures, as a camera does by FTP: finds those that are new and whole."""

import os
from collections.abc import Iterator
from pathlib import Path

from .file_kinds import IMAGE_SUFFIXES, made_by_system

MOST_KNOWN = 100_000  # pictures that are gone and still remembered: a network folder may go and come back
RESTLESS_LOOKS = 3  # a picture that has changed at so many looks is overwritten all the time, and is taken as it is

State = tuple[int, int]  # bytes, and time of the last change in nanoseconds


class UploadFolder:
    """Tells pictures of a folder, and of those below it, that have come or changed, each once.

    Nothing is assumed of clocks and names: new is what was not there before, or differs in size or time. A picture is
    whole once two looks in a row have found it unchanged. Names that begin with a dot or that systems make, as
    `lost+found`, and any suffix that is no picture's, as of `a.jpg.part`, are left out.
    """

    def __init__(self, folder: Path, backlog: int) -> None:
        """Watch `folder`; the newest `backlog` of the pictures that the first look finds count as new."""
        self._folder, self._backlog = folder, backlog
        self._known: dict[str, State] = {}  # as they were when they were told
        self._last: dict[str, State] | None = None  # as the last look found them
        self._restless: dict[str, int] = {}  # looks in a row at which one that is not told yet had changed

    def look(self) -> list[Path]:
        """Return the pictures that are new and whole, by name; OSError where the folder cannot be read."""
        found = dict(_pictures(self._folder))
        if self._last is None:
            newest = sorted(found, key=lambda name: found[name][1])[max(0, len(found) - self._backlog) :]
            self._known = {name: state for name, state in found.items() if name not in set(newest)}
        last, self._last = self._last or {}, found
        ready = []
        for name, state in found.items():
            if state == self._known.get(name):
                continue
            unchanged = state == last.get(name)
            self._restless[name] = 0 if unchanged else self._restless.get(name, 0) + 1
            if unchanged or self._restless[name] > RESTLESS_LOOKS:
                ready.append(name)
        for name in ready:
            self._known[name] = found[name]
        self._forget(found)
        return [self._folder / name for name in sorted(ready)]

    def _forget(self, found: dict[str, State]) -> None:
        """Keep memory bounded: the oldest pictures that are gone are forgotten, and all uploads that were given up."""
        self._restless = {
            name: n for name, n in self._restless.items() if found.get(name) not in (None, self._known.get(name))
        }
        if len(self._known) > len(found) + MOST_KNOWN:
            gone = [name for name in self._known if name not in found]
            for name in gone[: len(gone) - MOST_KNOWN // 2]:
                del self._known[name]


def _pictures(folder: Path, prefix: str = "", above: tuple[str, ...] = ()) -> Iterator[tuple[str, State]]:
    """Yield name, relative to the first folder, and state of each picture that holds bytes.

    `above` are the folders that led here, without links: a link back to one of them is not followed.
    """
    above = (*above, os.path.realpath(folder))
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or made_by_system(entry.name):
                continue
            try:
                if entry.is_dir():
                    if not entry.is_symlink() or os.path.realpath(entry) not in above:
                        yield from _pictures(Path(entry.path), f"{prefix}{entry.name}/", above)
                elif Path(entry.name).suffix.lower() in IMAGE_SUFFIXES and entry.is_file():
                    status = entry.stat()
                    if status.st_size:
                        yield prefix + entry.name, (status.st_size, status.st_mtime_ns)
            except FileNotFoundError:  # renamed or removed meanwhile
                continue
