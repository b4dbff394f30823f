"""The manifest of the bundle that serves, read from disk, and read again only when another one serves."""

import threading
from pathlib import Path

from ...bundle.errors import InputError
from ...bundle.manifest import Manifest
from ...bundle.store import MANIFEST, open_bundle
from ...updates.slots import Slots


class ServedModel:
    """Knows the manifest of the slot, or the factory bundle, that serves. Any thread may ask."""

    def __init__(self, slots: Slots) -> None:
        self._slots, self._lock = slots, threading.Lock()
        self._stamp: tuple[Path, int] | None = None
        self._manifest: Manifest | None = None

    def manifest(self) -> Manifest | None:
        """Return the manifest; None where no bundle can serve."""
        with self._lock:
            try:
                folder = self._slots.current()
                stamp = folder, (folder / MANIFEST).stat().st_mtime_ns
                if stamp != self._stamp:
                    self._stamp, self._manifest = stamp, None
                    self._manifest = open_bundle(folder).manifest
            except (InputError, OSError):
                self._manifest = None
            return self._manifest
