"""Drift: whether a camera's pictures and scores have left the range that they had."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...alerts.events import JudgedView


@dataclass(frozen=True)
class DriftState:
    """How a camera does against its own range: `state` is "learning", "usual" or "left".

    `sentence` says what has left the range, empty where nothing has; `since` is wall seconds since 1970, None likewise.
    """

    camera: str
    state: str
    sentence: str = ""
    since: float | None = None


class DriftWatch:
    """Learns the range of each camera and says who has left it; for one thread. Kept in STATE/scores/drift.json."""

    def __init__(self, state_dir: Path, model_digest: str, cameras: Iterable[str]) -> None:
        raise NotImplementedError

    def note(self, views: Iterable[JudgedView]) -> None:
        """Count judged views."""

    def take_over(self, model_digest: str) -> None:
        """Learn the range of the scores anew, since another model gives them."""

    def states(self) -> Mapping[str, DriftState]:
        """Return the state of each camera."""
        return {}


def read_drift(state_dir: Path) -> dict[str, DriftState]:
    """Return what the service last said of each camera, for a process beside it; empty where there is none yet."""
    return {}


def to_json(state: DriftState) -> dict[str, Any]:
    """Return the state for /status and heartbeat."""
    return {}
