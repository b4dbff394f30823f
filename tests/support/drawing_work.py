"""Work for engines whose results one can count: each item becomes a picture of seeded noise, in a file of its own."""

import os
import signal
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

import cv2
import numpy as np

from augment.json_objects import JsonObject
from augment.records import Journal
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.files import replace_file, sha256_bytes


class Drawn(JsonObject):
    id: str
    sha256: str


@dataclass(frozen=True)
class Item:
    id: str
    seed: int


@dataclass(frozen=True)
class Drawing:
    """Draws into `place`, where it also notes each picture that it drew, and which process drew it."""

    place: Path
    seconds: float = 0.0  # that a batch takes
    kills: str = ""  # the item at which the first process that draws it is killed, as by the system
    refuses: str = ""  # the item that is an error of the person's
    what: str = "drawings"

    def start(self) -> Callable[[Sequence[Item]], list[Drawn]]:
        for name in ("pictures", "drawn", "processes"):
            (self.place / name).mkdir(parents=True, exist_ok=True)
        (self.place / "processes" / str(os.getpid())).touch()
        return lambda batch: [self._draw(item) for item in batch]

    def _draw(self, item: Item) -> Drawn:
        time.sleep(self.seconds)
        killed = self.place / "killed"
        if item.id == self.kills and not killed.exists():
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if item.id == self.refuses:
            raise InputError(f"{item.id} cannot be drawn")
        picture = np.random.default_rng(item.seed).integers(0, 256, (8, 8, 3), np.uint8)
        data = cv2.imencode(".png", picture)[1].tobytes()
        replace_file(self.place / "pictures" / f"{item.id}.png", data)
        (self.place / "drawn" / f"{item.id}-{uuid.uuid4().hex}").touch()
        return Drawn(id=item.id, sha256=sha256_bytes(data))

    def times_drawn(self) -> dict[str, int]:
        names = [path.name.rpartition("-")[0] for path in (self.place / "drawn").iterdir()]
        return {name: names.count(name) for name in names}

    def pictures(self) -> dict[str, bytes]:
        return {path.stem: path.read_bytes() for path in (self.place / "pictures").glob("*.png")}

    def processes(self) -> list[int]:
        return [int(path.name) for path in (self.place / "processes").iterdir()]


def batches(count: int, size: int = 2) -> list[list[Item]]:
    return [[Item(f"{number}-{row}", 100 * number + row) for row in range(size)] for number in range(count)]


def journal(place: Path) -> Journal[Drawn]:
    place.mkdir(parents=True, exist_ok=True)
    return Journal(place / "journal.jsonl", Drawn, "drawn so")


def lines(place: Path) -> list[str]:
    """The whole lines of all parts of the journal, without their heads."""
    return [
        line for path in place.glob("journal*.jsonl") for line in path.read_text().rpartition("\n")[0].split("\n")[1:]
    ]


by_id = attrgetter("id")

if __name__ == "__main__":  # draw with the cluster at an address
    from augment.engines.ray_engine import RayEngine

    folder = Path(sys.argv[1])
    RayEngine(2, sys.argv[2]).map(Drawing(folder, seconds=0.2), batches(30), journal(folder), by_id)
