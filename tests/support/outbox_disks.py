"""An outbox that is read to its end, a small disk, and one without room."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_runtime.alerts.outbox import Outbox


def drain(outbox: Outbox, sink: str = "mqtt") -> list[tuple[str, str, int]]:
    """(kind, camera, number) of everything, in the order in which `sink` gets it."""
    got = []
    while (entry := outbox.next(sink)) is not None:
        got.append((entry.kind, entry.camera, entry.document["number"]))
        outbox.delivered(sink, entry.seq)
    return got


def fill(place: Path) -> Path:
    """Take the rest of the disk."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            while True:
                try:
                    if not file.write(bytes(size)):
                        break
                except OSError:
                    break
    return ballast


@contextlib.contextmanager
def small_disk(place: Path, megabytes: int) -> Iterator[Path]:
    """Make the folder `place` on a disk of its own, which is real and in memory, for the block."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
