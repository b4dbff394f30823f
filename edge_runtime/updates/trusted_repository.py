"""The station's view of a signed repository: what it offers this station, and its files, verified."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from .rate_limit import RateLimit
from .sources import Source


@dataclass(frozen=True)
class Release:
    """What a group of stations is to run: the bundle with this digest. `number` grows by one with each release.

    `forced` is why central offers a bundle that is worse than the one before, None where it is not.
    """

    number: int
    bundle: str
    name: str
    version: str
    group: str
    forced: str | None = None


@dataclass(frozen=True)
class TargetInfo:
    """A file as it was signed: `where` it lies below the repository, `length` in bytes, hex `hashes` by algorithm."""

    where: str
    length: int
    hashes: Mapping[str, str]

    @property
    def sha256(self) -> str:
        """The hex SHA-256 of the file."""
        return self.hashes["sha256"]


def system_time() -> datetime:
    """Return this moment by the system's clock."""
    return datetime.now(timezone.utc)


class TrustedRepository:
    """One look at a repository, for one attempt of an update. `folder` is STATE/updates/trust.

    Everything raises UpdateRefused for what is not as it was signed and UpdateDelayed (an UnavailableError) where the
    source gives nothing.
    """

    def __init__(
        self,
        folder: Path,
        source: Source,
        now: Callable[[], datetime] = system_time,
        limiter: RateLimit | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        raise NotImplementedError

    def refresh(self) -> None:
        """Fetch and verify the repository's metadata, and make it durable."""
        raise NotImplementedError

    def release(self, group: str) -> Release:
        """Return what the repository offers the `group`."""
        raise NotImplementedError

    def files(self, digest: str) -> dict[str, TargetInfo]:
        """Return every file of the bundle with this digest, by its POSIX path inside the bundle."""
        raise NotImplementedError

    def fetch_bundle(
        self, digest: str, into: Path, limiter: RateLimit, stop: threading.Event, have: Sequence[Path] = ()
    ) -> None:
        """Put every file of the bundle into the folder `into`, each verified and durable; goes on where it stopped.

        Files that a folder of `have` (slots) holds with the same SHA-256 are copied from there.
        """
        raise NotImplementedError


def trust_root(folder: Path, data: bytes) -> None:
    """Make `data`, a root file, the first thing that this station trusts; what it knew of a repository is forgotten.

    `folder` is STATE/updates/trust. UpdateRefused where it is no root file that is signed by its own keys.
    """
    raise NotImplementedError
