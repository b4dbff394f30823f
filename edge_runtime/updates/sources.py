"""Where a repository's files are read from: a web server, or a folder such as a USB stick. Nothing here is trusted."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .errors import Reason, UpdateDelayed


class NotThere(UpdateDelayed):
    """The source has no such file; `status` is the HTTP status that says so."""

    def __init__(self, path: str, name: str, status: int = 404) -> None:
        super().__init__(Reason.LINK, f"{name} has no {path} (status {status})")
        self.status = status


@dataclass(frozen=True)
class OpenedFile:
    """The bytes of a file from `start` on, which is 0 where the source could not begin where it was asked to."""

    start: int
    pieces: Iterator[bytes]


class Source(Protocol):
    """A repository's files, each named by its path below the repository: `metadata/timestamp.json`."""

    name: str  # for sentences, without credentials

    def open_range(self, path: str, start: int) -> AbstractContextManager[OpenedFile]:
        """Open a file from byte `start` on; NotThere, UpdateDelayed without a link, UpdateRefused for no plain file."""
        ...


class HttpSource:
    """A repository on a web server."""

    def __init__(self, url: str, ca_file: Path | None = None, bytes_per_second: int = 0) -> None:
        self.name = url
        self._ca_file, self._bytes_per_second = ca_file, bytes_per_second

    def open_range(self, path: str, start: int) -> AbstractContextManager[OpenedFile]:
        """Ask for a file from byte `start` on."""
        raise NotImplementedError


class FolderSource:
    """A repository in a folder: a USB stick, a network drive."""

    def __init__(self, folder: Path) -> None:
        self.name, self._folder = str(folder), folder

    def open_range(self, path: str, start: int) -> AbstractContextManager[OpenedFile]:
        """Open a file from byte `start` on."""
        raise NotImplementedError


def open_source(url: str, ca_file: Path | None = None, bytes_per_second: int = 0) -> Source:
    """Return the source that `url` names: https://, http://, file:// or a folder.

    `bytes_per_second` keeps the system from taking much more at once than `RateLimit` lets through; 0 is unlimited.
    """
    if url.startswith(("https://", "http://")):
        return HttpSource(url, ca_file, bytes_per_second)
    return FolderSource(Path(url.removeprefix("file://")))
