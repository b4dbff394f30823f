"""The lock of a state folder: one service at a time works on it, and others can see that."""

from pathlib import Path
from typing import IO

from ..bundle.errors import UnavailableError, os_errors_as
from ..bundle.files import lock_file

LOCK = "lock"  # in the state folder


class StateFolderInUseError(UnavailableError):
    """The state folder is in use."""


def lock_state_folder(state_dir: Path) -> IO[bytes]:
    """Return a locked file that shows others that a service works here; the lock ends with the process.

    UnavailableError where the folder cannot be written; StateFolderInUseError where another process holds the lock.
    """
    with os_errors_as(UnavailableError, f"{state_dir} cannot be written", "check its permissions"):
        state_dir.mkdir(parents=True, exist_ok=True)
        file = (state_dir / LOCK).open("ab")
    try:
        lock_file(file)
    except OSError as error:
        file.close()
        raise StateFolderInUseError(
            f"another edge-station works on {state_dir}; stop it, or choose another state_dir"
        ) from error
    return file


def is_running(state_dir: Path) -> bool:
    """Whether a service works on `state_dir`."""
    try:
        with (state_dir / LOCK).open("rb") as file:  # only read: a disk that failed may take no more writes
            lock_file(file)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    except OSError as error:
        raise UnavailableError(f"{state_dir} cannot be read ({error.strerror}); check its permissions") from error
    return False
