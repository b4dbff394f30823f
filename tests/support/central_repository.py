"""A signed repository by the central team's own code, with keys of its own in files, for tests of both sides."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from augment.updates.keys import KeyRing, create_keys
from augment.updates.repository import GROUPS, About, Repository, create_repository
from edge_runtime.updates.repository.floor_time import utc_now


def make_ring(folder: Path, groups: tuple[str, ...] = GROUPS) -> KeyRing:
    """Every key of a repository, in `folder`; the passphrase of each is `test`."""
    ring = KeyRing([folder], lambda _: "test")
    create_keys(ring, groups)
    return ring


def make_repository(folder: Path, about: About | None = None, clock: Callable[[], datetime] = utc_now) -> Repository:
    """An empty repository at `folder`, whose keys lie in keys/ beside it: the first root is metadata/1.root.json.

    `add_bundle`, `release` and `commit` fill it.
    """
    about = about or About()
    return create_repository(folder, make_ring(folder.parent / "keys", about.groups), about, clock)
