"""Files of a bundle, fetched so that nothing is lost by a cut: goes on where it stopped, verified, durable.

A file that is under way is called NAME.part. It gets its name once it is whole, has the signed hashes and is on disk.
"""

import contextlib
import errno
import hashlib
import json
import os
import random
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from ...bundle.files import sync_file, sync_folder
from ...bundle.store import MANIFEST, MAX_MANIFEST
from ...delays import send_delay
from ...durable_sqlite import is_full
from ..errors import Reason, UpdateDelayed, UpdateRefused
from ..rate_limit import RateLimit
from ..sources import NotThere, Source

PART = ".part"
RESERVE = 64 << 20  # bytes that an update leaves free, for alarms and their pictures
SYNC_BYTES = 1 << 20  # what a power cut may take of a file that is under way
TRIES = 6  # in a row without a new byte, then the link counts as down
FIRST_SECONDS, LONGEST_SECONDS = 0.25, 15.0  # between two tries
ALGORITHMS = ("sha256", "sha384", "sha512")


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

    def matches(self, path: Path) -> bool:
        """Whether the file at `path` is the one that was signed, by every hash; False where there is none."""
        if not path.is_file() or path.stat().st_size != self.length or not self.hashes:
            return False
        if any(name not in ALGORITHMS for name in self.hashes):
            return False
        digests = {name: hashlib.new(name) for name in self.hashes}
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                for digest in digests.values():
                    digest.update(piece)
        return all(digest.hexdigest() == self.hashes[name] for name, digest in digests.items())


def fetch_files(
    source: Source,
    files: Mapping[str, TargetInfo],
    into: Path,
    limiter: RateLimit,
    stop: threading.Event,
    have: Sequence[Path] = (),
) -> None:
    """Put every file into the folder `into` by its name there; those that lie there already are kept.

    Files that a bundle's folder in `have` holds with the same SHA-256 are copied from there.
    """
    with _disk_errors(into):
        into.mkdir(parents=True, exist_ok=True)
        missing = {name: target for name, target in files.items() if not target.matches(into / name)}
        _check_room(missing, into)
        held = _held(have)
    for name, target in files.items():
        path = into / name
        with _disk_errors(into):
            path.parent.mkdir(parents=True, exist_ok=True)
            if name not in missing:  # a process that was killed may have left it in memory, or under both names
                sync_file(path)
                _part(path).unlink(missing_ok=True)
            elif not _copied(held.get(target.hashes.get("sha256", "")), target, path):
                fetch_file(source, target, path, limiter, stop)
            for folder in {path.parent, into, into.parent}:
                sync_folder(folder)


def fetch_file(source: Source, target: TargetInfo, path: Path, limiter: RateLimit, stop: threading.Event) -> None:
    """Put one file at `path`, whose folder must exist, going on with the part of it that lies there.

    UpdateRefused where the source's file is not the signed one: too long, too short or other. A part that turns out
    to be damaged, by a power cut perhaps, is fetched once more from its beginning.
    """
    part = _part(path)
    fresh = not part.exists()
    while True:
        reason = Reason.HASH
        try:
            fetch = partial(_append, source, target, part, limiter, stop)
            keep_on(fetch, partial(_size, part), limiter, stop)
            if target.matches(part):
                break
        except _TooLong:
            reason = Reason.SIZE
        part.unlink(missing_ok=True)
        if fresh:
            seen = f"{target.where} of {source.name} is not what was signed ({target.length} bytes, {_hash(target)})"
            raise UpdateRefused(reason, seen)
        fresh = True
    sync_file(part)  # one that was whole already may lie in memory alone, where the process that wrote it was killed
    part.replace(path)
    sync_folder(path.parent)


class _TooLong(Exception):
    """More arrives than was signed."""


def keep_on(fetch: Callable[[], None], size: Callable[[], int], limiter: RateLimit, stop: threading.Event) -> None:
    """Call `fetch` until it succeeds, over as many connections as it takes, while each adds to `size`.

    UpdateDelayed where TRIES in a row bring nothing, or for another reason than the link.
    """
    failures = 0
    while True:
        before = size()
        try:
            fetch()
            return
        except NotThere:
            raise
        except UpdateDelayed as error:
            failures = 1 if size() > before else failures + 1
            if error.reason != Reason.LINK or failures >= TRIES:
                raise
        stop.wait(send_delay(failures, random.random(), FIRST_SECONDS, LONGEST_SECONDS))
        limiter.take(0, stop)


def _append(source: Source, target: TargetInfo, part: Path, limiter: RateLimit, stop: threading.Event) -> None:
    """Fetch what `part` lacks over one connection; what has come is on disk however it ends."""
    limiter.take(0, stop)
    start = min(_size(part), target.length)
    if start == target.length and start:
        return
    with source.open_range(target.where, start) as opened, part.open("r+b" if part.exists() else "wb") as file:
        file.truncate(opened.start)
        file.seek(opened.start)
        try:
            _write(opened.pieces, file, target.length, limiter, stop)
        finally:
            _sync(file)


def _write(pieces: Iterator[bytes], file: BinaryIO, length: int, limiter: RateLimit, stop: threading.Event) -> None:
    size, synced = file.tell(), file.tell()
    for piece in pieces:
        size += len(piece)
        if size > length:
            raise _TooLong
        file.write(piece)
        if size - synced >= SYNC_BYTES:
            _sync(file)
            synced = size
        limiter.take(len(piece), stop)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _part(path: Path) -> Path:
    """Return the place of a file while it is under way."""
    return path.with_name(path.name + PART)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _hash(target: TargetInfo) -> str:
    return ", ".join(f"{name} {value[:12]}..." for name, value in target.hashes.items())


def _check_room(missing: Mapping[str, TargetInfo], into: Path) -> None:
    needed = sum(target.length - min(_size(_part(into / name)), target.length) for name, target in missing.items())
    if is_full(into, needed + RESERVE):
        free = shutil.disk_usage(into).free
        seen = f"{into} has {free / 1e6:.1f} MB left, the update needs {needed / 1e6:.1f} MB more"
        raise UpdateDelayed(Reason.DISK, f"{seen}, and {RESERVE / 1e6:.0f} MB have to stay free")


def _held(folders: Sequence[Path]) -> dict[str, Path]:
    """Return what the bundles in these folders say they hold: SHA-256 -> file. Nothing of it is verified yet."""
    found: dict[str, Path] = {}
    for folder in folders:
        with contextlib.suppress(OSError, ValueError, AttributeError, KeyError, TypeError, RecursionError):
            with (folder / MANIFEST).open("rb") as file:
                document = json.loads(file.read(MAX_MANIFEST))
            found |= {entry["sha256"]: folder / name for name, entry in document["files"].items()}
    return found


def _copied(held: Path | None, target: TargetInfo, path: Path) -> bool:
    """Copy the file `held` to `path`, where it is there and turns out to be the signed one."""
    if held is None or not held.is_file() or held.is_symlink() or held.stat().st_size != target.length:
        return False
    part = _part(path)
    shutil.copyfile(held, part)
    sync_file(part)
    if not target.matches(part):
        part.unlink()
        return False
    part.replace(path)
    return True


@contextlib.contextmanager
def _disk_errors(into: Path) -> Iterator[None]:
    """Turn an OSError of the block, which comes from this device's disk, into UpdateDelayed."""
    try:
        yield
    except OSError as error:
        what = "is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else f"takes nothing ({error.strerror})"
        raise UpdateDelayed(Reason.DISK, f"the disk of {into} {what}") from error
