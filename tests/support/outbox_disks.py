"""An outbox that is read to its end, and a disk without room."""

from pathlib import Path

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
