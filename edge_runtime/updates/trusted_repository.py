"""The station's view of a signed repository: what it offers this station, and its files, verified."""

import json
import re
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ..bundle.errors import InputError
from ..bundle.files import DIGEST, make_folder, replace_file, sync_folder
from ..bundle.store import MANIFEST
from ..settings_reader import check_name
from .errors import Reason, UpdateDelayed, UpdateRefused
from .rate_limit import RateLimit
from .repository.download import PART, TargetInfo, fetch_file, fetch_files
from .repository.floor_time import FLOOR, FloorTime, utc_now
from .sources import Source

ROOT, CACHE = "root.json", "metadata"  # below the trust folder
SCHEMA, VERSION = "rarefault/release", 1  # of release.json
MOST_FILES, MOST_BYTES = 500, 2 << 30  # of a bundle
MOST_RELEASE_BYTES = 1 << 16  # of release.json
LONGEST_TEXT = 1000  # characters of each text in it
LONGEST_NAME, DEEPEST = 200, 4  # characters and parts of a file's path inside a bundle

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")  # of a path: nothing hidden, no space, nothing that a URL changes
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # what Windows takes for a device


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

    def to_json(self, created: str) -> bytes:
        """Return release.json; `created` is when the bundle was packed."""
        document = {"schema": SCHEMA, "schema_version": VERSION, "release": self.number, "bundle": self.bundle}
        document |= {"name": self.name, "version": self.version, "created": created}
        document |= {"group": self.group, "forced": self.forced}
        return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


def release_path(group: str) -> str:
    """Return the target that says what a group is to run."""
    return f"groups/{group}/release.json"


def bundle_path(digest: str, name: str = "") -> str:
    """Return the target of a bundle's file, or without a `name` what those of all its files begin with."""
    return f"bundles/{digest}/{name}"


class TrustedRepository:
    """One look at a repository, for one attempt of an update. `folder` is STATE/updates/trust.

    Everything raises UpdateRefused for what is not as it was signed and UpdateDelayed (an UnavailableError) where the
    source gives nothing. What python-tuf has verified is kept in the folder; what it refused never gets there.
    """

    def __init__(
        self,
        folder: Path,
        source: Source,
        now: Callable[[], datetime] = utc_now,
        limiter: RateLimit | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        from .repository.tuf_client import (  # of the extras station, field and central
            SourceFetcher,
            StationUpdater,
            refusals,
        )

        self._folder, self._source, self._refusals = folder, source, refusals
        self._limiter, self._stop = limiter or RateLimit(), stop or threading.Event()
        self._floor = FloorTime(folder / FLOOR, now)
        self._reference = self._floor.reference()
        root = _first_root(folder)
        with refusals(f"the first root {folder / ROOT}"):
            (folder / CACHE).mkdir(parents=True, exist_ok=True)
            fetcher = SourceFetcher(source, self._limiter, self._stop)
            self._updater = StationUpdater(folder / CACHE, fetcher, root, self._reference)

    def refresh(self) -> None:
        """Fetch and verify the repository's metadata, and make it durable. Once for each object."""
        with self._refusals(f"the metadata of {self._source.name}"):
            self._updater.refresh()
            sync_folder(self._folder)
            self._floor.raise_to(self._reference)  # nothing of what was accepted has expired by then

    def find(self, path: str) -> TargetInfo | None:
        """Return the file with this target path as the trusted roles list it, None where none does."""
        with self._refusals(f"the metadata of {path} of {self._source.name}"):
            target = self._updater.get_targetinfo(path)
        return None if target is None else self._updater.info(target)

    def release(self, group: str) -> Release:
        """Return what the repository offers the `group`; UpdateDelayed where that is nothing yet."""
        check_name("the group of stations", group)
        path = release_path(group)
        target = self.find(path)
        if target is None:
            raise UpdateDelayed(Reason.MISSING, f"{self._source.name} has no release for the group {group} yet")
        if target.length > MOST_RELEASE_BYTES:
            raise UpdateRefused(Reason.SIZE, f"{path} is {target.length} bytes, expected at most {MOST_RELEASE_BYTES}")
        place = self._folder / "release.json"
        place.with_name(place.name + PART).unlink(missing_ok=True)  # of an older release
        with self._refusals(path):
            fetch_file(self._source, target, place, self._limiter, self._stop)
        return read_release(place.read_bytes(), group)

    def files(self, digest: str) -> dict[str, TargetInfo]:
        """Return every file of the bundle with this digest, by its POSIX path inside the bundle."""
        if not DIGEST.fullmatch(digest):
            raise UpdateRefused(Reason.NAME, f"a bundle is called {digest[:80]!r}, expected a hexadecimal SHA-256")
        prefix = bundle_path(digest)
        listed = {path: target for path, target in self._updater.listed().items() if path.startswith(prefix)}
        with self._refusals(f"the bundle {digest[:12]}"):
            files = {path.removeprefix(prefix): self._updater.info(target) for path, target in listed.items()}
        _check_names(files)
        if MANIFEST not in files:
            raise UpdateRefused(Reason.MISSING, f"{self._source.name} lists no {MANIFEST} for the bundle {digest[:12]}")
        if any("sha256" not in file.hashes for file in files.values()) or files[MANIFEST].sha256 != digest:
            raise UpdateRefused(Reason.HASH, f"the {MANIFEST} that is listed is not that of the bundle {digest[:12]}")
        if (size := sum(file.length for file in files.values())) > MOST_BYTES:
            raise UpdateRefused(Reason.SIZE, f"the bundle has {size} bytes, a station takes at most {MOST_BYTES}")
        return files

    def fetch_bundle(
        self, digest: str, into: Path, limiter: RateLimit, stop: threading.Event, have: Sequence[Path] = ()
    ) -> None:
        """Put every file of the bundle into the folder `into`, each verified and durable; goes on where it stopped.

        Files that a folder of `have` (slots) holds with the same SHA-256 are copied from there.
        """
        fetch_files(self._source, self.files(digest), into, limiter, stop, have)


def trust_root(folder: Path, data: bytes) -> None:
    """Make `data`, a root file, the first thing that this station trusts; what it knew of a repository is forgotten.

    `folder` is STATE/updates/trust. UpdateRefused where it is no root file that is signed by its own keys. The same
    root once more changes nothing, so that what protects from older repositories is not lost by a repetition.
    """
    from .repository.tuf_client import check_root

    check_root(data)
    try:
        make_folder(folder)
        if (folder / ROOT).exists() and (folder / ROOT).read_bytes() == data:
            return
        (folder / ROOT).unlink(missing_ok=True)  # first: without its cache it would take an older repository
        sync_folder(folder)
        shutil.rmtree(folder / CACHE, ignore_errors=True)
        (folder / FLOOR).unlink(missing_ok=True)
        replace_file(folder / ROOT, data)
    except OSError as error:
        raise UpdateDelayed(Reason.DISK, f"{folder / ROOT} cannot be written ({error})") from error


def _first_root(folder: Path) -> bytes:
    try:
        return (folder / ROOT).read_bytes()
    except FileNotFoundError:
        raise UpdateRefused(
            Reason.ROOT, f"this station trusts no repository yet: {folder / ROOT} is not there"
        ) from None
    except OSError as error:
        raise UpdateDelayed(Reason.DISK, f"{folder / ROOT} cannot be read ({error})") from error


def read_release(data: bytes, group: str) -> Release:
    """Return what `data`, a verified release.json, says; UpdateRefused where it makes no sense for the `group`."""
    try:
        document = json.loads(data)
        if document["schema"] != SCHEMA or not isinstance(document["schema_version"], int):
            raise InputError(f"its schema is {document['schema']} {document['schema_version']}")
        if document["schema_version"] > VERSION:
            seen = f"the release of group {group} has version {document['schema_version']} of its schema"
            raise UpdateRefused(Reason.SOFTWARE, f"{seen}, expected at most {VERSION}")
        release = Release(
            _text_or_number(document, "release", int),
            _text_or_number(document, "bundle", str),
            _text_or_number(document, "name", str),
            _text_or_number(document, "version", str),
            _text_or_number(document, "group", str),
            None if document["forced"] is None else _text_or_number(document, "forced", str),
        )
    except UpdateRefused:
        raise
    except (ValueError, KeyError, TypeError, RecursionError, InputError) as error:
        raise UpdateRefused(Reason.METADATA, f"the release of group {group} cannot be read ({error})") from error
    if release.group != group or release.number < 1 or not DIGEST.fullmatch(release.bundle):
        seen = f"number {release.number}, group {release.group!r}, bundle {release.bundle[:80]!r}"
        raise UpdateRefused(Reason.METADATA, f"the release of group {group} has {seen}")
    return release


def _text_or_number(document: Any, key: str, kind: type[Any]) -> Any:
    value = document[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InputError(f"its {key} is {value!r:.100}, expected {kind.__name__}")
    if isinstance(value, str) and not (value.isprintable() and len(value) <= LONGEST_TEXT):  # it is shown and logged
        raise InputError(f"its {key} is {value!r:.100}, expected a line of at most {LONGEST_TEXT} characters")
    return value


def _check_names(files: dict[str, TargetInfo]) -> None:
    """UpdateRefused where a name could leave the bundle's folder, or be another file on another system."""
    if len(files) > MOST_FILES:
        raise UpdateRefused(Reason.SIZE, f"the bundle has {len(files)} files, a station takes at most {MOST_FILES}")
    for name in files:
        parts = name.split("/")
        plain = all(_PART.fullmatch(part) and not part.endswith(".") and not _DEVICE.fullmatch(part) for part in parts)
        if not plain or len(parts) > DEEPEST or len(name) > LONGEST_NAME or name.endswith(PART):
            raise UpdateRefused(Reason.NAME, f"the bundle lists a file called {name[:LONGEST_NAME]!r}")
    folders = {"/".join(name.lower().split("/")[:depth]) for name in files for depth in range(1, name.count("/") + 1)}
    lowered = {name.lower() for name in files}
    if len(lowered) < len(files) or lowered & folders:
        raise UpdateRefused(Reason.NAME, "the bundle lists two files of one name, or a file and a folder of one name")
