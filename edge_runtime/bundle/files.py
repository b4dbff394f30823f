"""Files that survive a power cut, files for their owner alone, locks, and digests."""

import contextlib
import errno
import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

DIGEST = re.compile(r"[0-9a-f]{64}")  # a hex SHA-256


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` at `path` so that a power cut leaves the old file or the new one, never a mixture.

    The folder must exist. A killed writer leaves at most a hidden `.spare-*` file, which nothing reads.
    """
    replace_by_parts(path, (data,))


def replace_by_parts(path: Path, parts: Iterable[bytes]) -> None:
    """Do what `replace_file` does with content that need not be in memory as a whole."""
    with _spare(path.parent, parts) as spare:
        with contextlib.suppress(PermissionError):  # the FAT of USB sticks knows no modes
            spare.chmod(0o644)  # mkstemp makes it private; what we write is meant to be read
        spare.replace(path)
    sync_folder(path.parent)


def create_private(path: Path, data: bytes) -> None:
    """Put `data` at `path`, readable for its owner alone from its first moment, unless a file is there already.

    Of several processes that do so at once, the first one wins; a power cut leaves the whole file or none.
    """
    with _spare(path.parent, (data,)) as spare, contextlib.suppress(FileExistsError):
        os.link(spare, path)  # unlike a rename it leaves what is there
    sync_folder(path.parent)


@contextlib.contextmanager
def _spare(folder: Path, parts: Iterable[bytes]) -> Iterator[Path]:
    """Yield a durable file of `parts`, hidden and private, to be renamed or linked; its own name is gone afterwards."""
    handle, name = tempfile.mkstemp(dir=folder, prefix=".spare-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def lock_file(file: IO[bytes]) -> None:
    """Lock the open file for as long as it is open; OSError where another process holds it."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def make_folder(folder: Path) -> None:
    """Make `folder` and those above it, where they are absent, so that a power cut does not take them away again."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_file(path: Path) -> None:
    """Make the content of the file at `path` durable. Windows only does that through a handle that may write."""
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` durable, where the system lets a program open a folder. Windows does not."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):  # some network drives cannot
            raise
    finally:
        os.close(handle)


def sha256_bytes(data: bytes) -> str:
    """Return the hex SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the hex SHA-256 of the file at `path`, read into one buffer: new ones cost half as much again."""
    digest, buffer = hashlib.sha256(), memoryview(bytearray(1 << 18))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
    return digest.hexdigest()
