"""Put a whole folder in the place of another."""

import ctypes
import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from edge_runtime.bundle.files import sync_folder

AT_FDCWD = -100
RENAME_EXCHANGE = 2  # linux/fs.h
CANNOT = (errno.EINVAL, errno.ENOSYS, errno.EXDEV)  # the last one is an overlay whose lower layer holds the folder


def replace_folder(spare: Path, target: Path, exchange: Callable[[Path, Path], bool] | None = None) -> None:
    """Rename `spare` to `target`, its neighbour; an older `target` is swapped out in one step and then removed.

    At every moment, and after a power cut, the name leads to the old folder or the new one, both whole. (A reader that
    opens file after file by name may still meet a swap half-way; a bundle's digests tell it so.) Only a file system
    that cannot swap two folders leaves an instant without either; the old one then waits beside as `<spare>.old`.
    `exchange` (default: `exchange_names`) is for tests.
    """
    old = spare
    if not target.exists():
        spare.rename(target)
    elif not (exchange or exchange_names)(spare, target):
        old = spare.with_name(f"{spare.name}.old")
        shutil.rmtree(old, ignore_errors=True)  # a run that was killed right here left it
        target.rename(old)
        spare.rename(target)
    sync_folder(target.parent)
    if old.exists():
        shutil.rmtree(old)


def exchange_names(one: Path, other: Path) -> bool:
    """Swap two names in one step and return True; return False where the system cannot."""
    # os.replace refuses a folder that is not empty; Linux itself has offered the swap since 3.15.
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in CANNOT:
        return False
    raise OSError(code, os.strerror(code), str(other))
