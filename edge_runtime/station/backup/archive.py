"""The file of a backup: a ZIP archive of the state folder, whole although the service goes on writing.

Databases come through SQLite's own backup, which sees one moment of them; slots and update state under the lock of
updates; pictures last, so that each picture of an event in the copied outbox is there unless it was dropped meanwhile.
"""

import contextlib
import json
import os
import shutil
import sqlite3
import stat
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import IO

from ...alerts.outbox import DATABASE, FOLDERS
from ...bundle.errors import InputError, UnavailableError
from ...bundle.files import make_folder, sync_file, sync_folder
from ...bundle.store import CURRENT_SLOT, read_pointer
from ...bundle.zip_errors import ZIP_ERRORS
from ...clock import iso
from ...durable_sqlite import disk, is_full
from ...judgements.store import DATABASE as JUDGEMENTS
from ...updates.slots import PREVIOUS
from ...updates.state import LOCK as UPDATE_LOCK
from ...updates.state import UPDATES, update_lock
from ...updates.update_process import INCOMING
from ...watchlog.ledger_query import ledger_path
from ..attention.attention import DATABASE as ATTENTION
from ..retention.retention import DATABASE as RETENTION
from ..scores.score_store import score_files
from ..state_lock import LOCK

INDEX = "backup.json"
SCHEMA, VERSION = "rarefault/state-backup", 1
RESTORING = ".restoring"  # in a state folder: a restore was cut off, and all else here is its
SLOTS = CURRENT_SLOT.parent
POINTERS = (CURRENT_SLOT, SLOTS / PREVIOUS)
PICTURES = tuple(sorted({*FOLDERS.values()}))
LOCKS = (LOCK, f"{UPDATES}/{UPDATE_LOCK}")
LEFT_OUT = ("requests", f"{UPDATES}/{INCOMING}", RESTORING)  # folders that are nothing to another run
SQLITE_WASTE = ("-wal", "-shm", "-journal")


def back_up(state_dir: Path, target: Path, station: str, pictures: bool = True) -> int:
    """Write the backup to `target`, which only its owner may read: it holds the station's key. Return its bytes.

    Without `pictures` it lacks those, archives of feedback and stored scores.
    UnavailableError where the disk does not take it, or an update process is at work.
    """
    if not state_dir.is_dir():
        raise InputError(f"{state_dir} is no state folder; check state_dir in [station]")
    with disk(f"the backup {target}"):
        handle, spare = tempfile.mkstemp(dir=target.absolute().parent, prefix=".spare-")
        try:
            with os.fdopen(handle, "wb") as file:
                with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                    _write(archive, state_dir, station, pictures)
                file.flush()
                os.fsync(file.fileno())
            Path(spare).replace(target)
        finally:
            Path(spare).unlink(missing_ok=True)
        sync_folder(target.absolute().parent)
        return target.stat().st_size


def restore(source: Path, state_dir: Path) -> str:
    """Put a backup into the empty `state_dir`, whose lock the caller holds; return the name of its station.

    InputError where the archive is damaged, or has what a backup has not, or the folder is in use; a restore that was
    cut off is begun anew.
    """
    spare = state_dir / RESTORING
    if spare.exists():
        _empty(state_dir)
    if foreign := sorted(path.name for path in state_dir.iterdir() if path.name not in LOCKS):
        raise InputError(f"{state_dir} holds {', '.join(foreign[:3])}; move it away, a backup needs an empty folder")
    try:
        with zipfile.ZipFile(source) as archive:
            index = _checked_index(archive, source)
            if is_full(state_dir, sum(info.file_size for info in archive.infolist())):
                raise UnavailableError(f"{state_dir} has no room for {source}; make some, or give another disk")
            with disk(f"the state folder {state_dir}"):
                spare.mkdir()
                sync_folder(state_dir)
                _extract(archive, spare)
    except ZIP_ERRORS as error:
        raise InputError(f"{source} is no whole backup ({error}); copy it again, or take another") from error
    with disk(f"the state folder {state_dir}"):
        for path in sorted(spare.iterdir()):
            path.replace(state_dir / path.name)
        sync_folder(state_dir)
        spare.rmdir()
        sync_folder(state_dir)
    return index


def _write(archive: zipfile.ZipFile, state_dir: Path, station: str, pictures: bool) -> None:
    about = {"schema": SCHEMA, "schema_version": VERSION, "station": station, "created": iso(time.time())}
    archive.writestr(INDEX, json.dumps(about))
    with update_lock(state_dir):
        for folder in (state_dir / UPDATES, state_dir / SLOTS):
            _add_files(archive, state_dir, folder)
        for pointer in POINTERS:
            if (name := read_pointer(state_dir / pointer)) is not None:
                archive.writestr(pointer.as_posix(), name)
    named = [state_dir / name for name in (DATABASE, JUDGEMENTS, ATTENTION, RETENTION)]
    databases = [*named, ledger_path(state_dir)]
    for path in databases:
        if path.exists():
            _add_database(archive, state_dir, path)
    done = {state_dir / UPDATES, state_dir / SLOTS, *databases}
    done |= set() if pictures else {state_dir / folder for folder in PICTURES}
    apart = [*databases, *([] if pictures else score_files(state_dir))]
    for path in sorted(state_dir.iterdir()):
        if path not in done:
            _add_files(archive, state_dir, path, apart)


def _add_files(archive: zipfile.ZipFile, state_dir: Path, path: Path, without: list[Path] | None = None) -> None:
    """Add a file, or all files below a folder; links and what is being written are left out, what goes away too."""
    for file in [path, *sorted(path.rglob("*"))] if path.is_dir() and not path.is_symlink() else [path]:
        name = file.relative_to(state_dir).as_posix()
        if file in (without or ()) or not _is_kept(name) or file.is_symlink() or not file.is_file():
            continue
        with contextlib.suppress(FileNotFoundError):
            archive.write(file, name, zipfile.ZIP_STORED if name.endswith(".jpg") else zipfile.ZIP_DEFLATED)


def _is_kept(name: str) -> bool:
    hidden = any(part.startswith(".") for part in PurePosixPath(name).parts)
    outside = any(name == folder or name.startswith(f"{folder}/") for folder in LEFT_OUT)
    pointer = any(name == path.as_posix() for path in POINTERS)
    return not (hidden or outside or pointer or name in LOCKS or name.endswith(SQLITE_WASTE))


def _add_database(archive: zipfile.ZipFile, state_dir: Path, path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=state_dir, prefix=".backup-") as folder:
        copy = Path(folder) / path.name
        with closing(sqlite3.connect(path, timeout=30)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        archive.write(copy, path.relative_to(state_dir).as_posix())


def _checked_index(archive: zipfile.ZipFile, source: Path) -> str:
    """Return the station's name; InputError where the archive is no backup of ours or has names that lead elsewhere."""
    try:
        index = json.loads(archive.read(INDEX))
        station, fits = str(index["station"]), index["schema"] == SCHEMA and int(index["schema_version"]) <= VERSION
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{source} is no backup of a station ({error!r}); see edge-station backup") from error
    if not fits:
        raise InputError(f"{source} was made by a later rarefault, or is something else; install the later one")
    for info in archive.infolist():
        parts = PurePosixPath(info.filename).parts
        link = stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG)
        if link or not parts or parts[0] == "/" or ".." in parts or "\\" in info.filename or ":" in info.filename:
            raise InputError(f"{source} holds {info.filename!r}, which no backup has; do not use it")
    return station


def _extract(archive: zipfile.ZipFile, spare: Path) -> None:
    for info in archive.infolist():
        if info.filename == INDEX:
            continue
        path = spare / info.filename
        make_folder(path.parent)
        mode = (info.external_attr >> 16) & 0o777 or 0o644
        with archive.open(info) as source, _created(path, mode) as target:
            shutil.copyfileobj(source, target)
        sync_file(path)
    for folder in [spare, *(path for path in spare.rglob("*") if path.is_dir())]:
        sync_folder(folder)


@contextlib.contextmanager
def _created(path: Path, mode: int) -> Iterator[IO[bytes]]:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        yield file


def _empty(state_dir: Path) -> None:
    """Remove what a restore that was cut off has left, its mark last."""
    for path in sorted(state_dir.iterdir(), key=lambda path: path.name == RESTORING):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name not in LOCKS:
            path.unlink()
