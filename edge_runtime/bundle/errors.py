"""The one error tree of the toolkit.

    RarefaultError
    ├── InputError         the input is bad: a file, a setting, a bundle; trying again changes nothing
    │   └── DamagedFileError   of a bundle
    └── UnavailableError   the world is unavailable: a hub, a device, a disk; trying again may help

A message is one sentence or two: what, what was seen, what was expected, what to do next.
A bug is not a RarefaultError; it keeps its traceback.
"""

import contextlib
from collections.abc import Iterator


class RarefaultError(Exception):
    """Base of every failure that the toolkit foresees; command lines print it as one sentence and exit with 1."""


class InputError(RarefaultError):
    """What was given cannot be used; the same call will fail again until the input changes."""


class DamagedFileError(InputError):
    """A file of a bundle is not the one that its manifest lists; no other engine would help."""


class UnavailableError(RarefaultError):
    """Something outside could not be reached or run; the same call may succeed later or elsewhere."""


@contextlib.contextmanager
def os_errors_as(kind: type[RarefaultError], what: str, remedy: str) -> Iterator[None]:
    """Turn an OSError of the block into a `kind` that says `what` failed, why, and the `remedy`."""
    try:
        yield
    except OSError as error:
        raise kind(f"{what} ({error.strerror}); {remedy}") from error
