"""The updates of a station from a signed repository: `python -m tests.support.signed_rehearsal STATE URL`.

The repository, its signatures and the check of the files are real; cameras and golden frames are left out.
What the station has accepted is told by lines on its standard output, see `SignedRepository`.
"""

import json
import random
import sys
import threading
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import onnx

from edge_runtime.bundle.manifest import Manifest, model_file
from edge_runtime.bundle.store import MANIFEST, write_bundle_manifest
from edge_runtime.updates.content_check import check_content
from edge_runtime.updates.rate_limit import RateLimit
from edge_runtime.updates.repository.floor_time import FLOOR, FloorTime, utc_now
from edge_runtime.updates.slots import Slots
from edge_runtime.updates.sources import Source, open_source
from edge_runtime.updates.state import UPDATES, UpdateState
from edge_runtime.updates.trusted_repository import Release, TrustedRepository
from edge_runtime.updates.update_process import Trial, run_update
from tests.support.colour_bundle import make_bundle
from tests.support.update_rehearsal import GROUP, announce, live

TRUST = "trust"  # below STATE/updates
TRIAL = Trial(content=check_content, fits=lambda bundle, serving: [], prove=lambda bundle, serving: None)


class SignedRepository(TrustedRepository):
    """Tells `reached` what was accepted, once a station may rely on it."""

    def __init__(
        self, trust: Path, source: Source, reached: Callable[[str], None], now: Callable[[], datetime]
    ) -> None:
        super().__init__(trust, source, now)
        self._trust, self._told = trust, reached

    def refresh(self) -> None:
        super().refresh()
        self._told(f"refreshed {floor_of(self._trust).isoformat()}")

    def release(self, group: str) -> Release:
        release = super().release(group)
        self._told(f"release {release.number}")
        return release


def floor_of(trust: Path) -> datetime:
    """The time before which this station takes no time to be."""
    return FloorTime(trust / FLOOR, lambda: datetime.fromtimestamp(0, timezone.utc)).reference()


def signed_life(
    slots: Slots,
    source: Source,
    good: bool = True,
    limiter: RateLimit | None = None,
    trial: Trial = TRIAL,
    now: Callable[[], datetime] = utc_now,
) -> UpdateState:
    """Live with the signed repository that `source` reads."""
    trust, allowed, stop = slots.state_dir / UPDATES / TRUST, limiter or RateLimit(), threading.Event()

    def update() -> UpdateState:
        return run_update(
            slots, GROUP, lambda: SignedRepository(trust, source, slots.reached, now), trial, allowed, stop
        )

    return live(slots, update, good)


def padded_bundle(folder: Path, size: int, precisions: tuple[str, ...] = ("fp32", "fp16")) -> Path:
    """Make a bundle whose first model is about `size` bytes larger, so that its download has a middle."""
    path = make_bundle(folder, precisions) / model_file(precisions[0])
    model = onnx.load(str(path))
    model.doc_string = random.Random(size).randbytes(size // 2).hex()
    onnx.save(model, str(path))
    manifest = Manifest.from_json(json.loads((folder / MANIFEST).read_bytes()))
    write_bundle_manifest(folder, manifest)
    return folder


def main() -> None:
    """Run one life, as the arguments say."""
    state_dir, url = sys.argv[1:]
    signed_life(Slots(Path(state_dir), reached=announce), open_source(url))


if __name__ == "__main__":
    main()
