"""Slots: immutable folders of bundles, each named by its digest, and two pointers that are switched by a rename.

    STATE/slots/<digest>/    a bundle that was verified before it was moved here
    STATE/slots/current      a link to the slot that serves; where the system refuses links, a file that holds its name
    STATE/slots/previous     the same for the slot to fall back to

Below both stands the factory bundle, which `bundle` in [station] names: it serves where no pointer does. Every step is
durable before the next one begins, so that a power cut leaves the old pointer or the new one, each with a whole slot.
"""

import contextlib
import logging
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from ..bundle.errors import InputError
from ..bundle.files import DIGEST, make_folder, replace_file, sync_file, sync_folder
from ..bundle.store import CURRENT_SLOT, open_bundle, read_pointer
from .errors import Reason, UpdateDelayed, UpdateRefused

PREVIOUS = "previous"
HIDDEN = "."  # begins the names of what is being made or removed; it never serves

log = logging.getLogger(__name__)


class Slots:
    """The slots below a state folder. One process at a time changes them: the one that holds `update_lock`.

    `factory` is the bundle that serves where no pointer does. `link` makes a link; OSError where it is refused.
    `reached` is told each step that is on disk; tests end the process there.
    """

    def __init__(
        self,
        state_dir: Path,
        factory: Path | None = None,
        link: Callable[[str, Path], None] = os.symlink,
        reached: Callable[[str], None] = lambda step: None,
    ) -> None:
        self.state_dir, self.reached = state_dir, reached
        self.folder = (state_dir / CURRENT_SLOT.parent).resolve()
        self.factory = factory.resolve() if factory else None
        self._current, self._previous = self.folder / CURRENT_SLOT.name, self.folder / PREVIOUS
        self._link = link

    def current(self) -> Path:
        """Return the folder of the bundle that serves; InputError where there is none."""
        folder = self._target(self._current) or self.factory
        if folder is None:
            raise InputError(f"no bundle serves below {self.folder}; set bundle in [station], or run an update")
        return folder

    def previous(self) -> Path | None:
        """Return what serves after a roll back: the previous slot, else the factory bundle, else None."""
        current, before = self._target(self._current), self._target(self._previous)
        if before is not None and before != current and before.is_dir():
            return before
        return self.factory if current is not None else None

    def is_current(self, digest: str) -> bool:
        """Whether the slot of this digest serves."""
        return self._target(self._current) == self.folder / digest

    def bundles(self) -> list[Path]:
        """Return every folder that may hold files of a bundle: all slots and the factory bundle."""
        slots = [path for path in sorted(self.folder.iterdir()) if path.is_dir()] if self.folder.is_dir() else []
        return [*slots, *([self.factory] if self.factory else [])]

    def install(self, incoming: Path, digest: str) -> Path:
        """Move the verified folder `incoming` to its slot, durably, and return the slot.

        A whole slot of this digest stays as it is; a damaged one makes way.
        """
        slot = self.folder / digest
        with _disk(f"the slot {slot}"):
            make_folder(self.folder)
            if slot.exists():
                if not slot_problem(slot):
                    _remove(incoming)
                    sync_folder(self.folder)  # a process that was killed may have left its name in memory alone
                    return slot
                self._hide(slot)
            _sync_tree(incoming)
            incoming.replace(slot)
            sync_folder(self.folder)
            sync_folder(incoming.parent)
        self.reached("installed")
        return slot

    def activate(self, digest: str) -> None:
        """Let the slot of this digest serve, and the one that served be the previous one."""
        if self.is_current(digest):
            with _disk(str(self._current)):
                sync_folder(self.folder)  # a process that was killed may have left the switch in memory alone
            return
        slot = self.folder / digest
        if problem := slot_problem(slot):
            raise UpdateRefused(Reason.TAMPERED_SLOT, problem)
        with _disk(str(self._current)):
            self._point(self._previous, read_pointer(self._current))
            self.reached("previous switched")
            self._point(self._current, digest)
            self.reached("current switched")

    def roll_back(self) -> Path:
        """Let the previous slot serve, or where it is damaged the factory bundle, and return it.

        InputError where neither can serve; everything stays as it is then.
        """
        before = self.previous()
        if before is not None and before != self.factory and (problem := slot_problem(before)):
            log.error("the previous slot cannot serve: %s", problem)
            before = self.factory
        if before is None:
            raise InputError(f"{self.folder} has no slot to go back to; set bundle in [station], or run an update")
        with _disk(str(self._current)):
            if before == self.factory:
                self._point(self._previous, None)
                self._point(self._current, None)
            else:
                self._point(self._current, read_pointer(self._previous))
        self.reached("rolled back")
        return before

    def collect_garbage(self, candidate: str = "") -> None:
        """Remove every slot but the current, the previous and the `candidate`, and what a killed process left.

        Folders whose names are no digests are somebody's own and stay.
        """
        pointed = (self._target(self._current), self._target(self._previous), self.factory)
        kept = [path for path in (*pointed, self.folder / candidate if candidate else None) if path is not None]
        for path in sorted(self.folder.iterdir()) if self.folder.is_dir() else []:
            if path.is_dir() and not path.is_symlink():
                ours = path.name.startswith(HIDDEN) or DIGEST.fullmatch(path.name)
                if ours and not any(place.is_relative_to(path) for place in kept):
                    self._hide(path)
            elif path.name.startswith(HIDDEN):
                path.unlink(missing_ok=True)

    def _hide(self, slot: Path) -> None:
        """Remove a slot: under a hidden name first, so that nothing finds half of it."""
        hidden = slot
        if not slot.name.startswith(HIDDEN):
            hidden = slot.with_name(f"{HIDDEN}gone-{secrets.token_hex(4)}")
            slot.replace(hidden)
            sync_folder(self.folder)
        _remove(hidden)

    def _target(self, pointer: Path) -> Path | None:
        name = read_pointer(pointer)
        return None if name is None else (self.folder / name).resolve()

    def _point(self, pointer: Path, target: str | None) -> None:
        """Switch the pointer, durably."""
        if target is None:
            pointer.unlink(missing_ok=True)
            sync_folder(self.folder)
            return
        spare = self.folder / f"{HIDDEN}spare-{secrets.token_hex(4)}"
        try:
            self._link(target, spare)
        except (OSError, NotImplementedError):
            replace_file(pointer, f"{target}\n".encode())
            return
        spare.replace(pointer)
        sync_folder(self.folder)


def slot_problem(folder: Path) -> str:
    """Return a sentence about the first thing that is wrong with the bundle in a slot, empty where it is whole.

    The name of a slot is the digest of its manifest, which holds the digest of every other file.
    """
    try:
        digest = open_bundle(folder).digest
    except InputError as error:
        return str(error)
    if DIGEST.fullmatch(folder.name) and digest != folder.name:
        return f"{folder} holds the bundle {digest}, not the one of its name"
    return ""


def _sync_tree(folder: Path) -> None:
    """Make every file below `folder`, and the folders that name them, durable."""
    for place, _, files in os.walk(folder, topdown=False):
        for name in files:
            sync_file(Path(place, name))
        sync_folder(Path(place))


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _disk(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UpdateDelayed(Reason.DISK, f"{what} cannot be written ({error.strerror})") from error
