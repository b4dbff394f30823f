"""Keeps what the model says in the running service: scores on disk, and the drift of each camera."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...alerts.events import JudgedView
from ...alerts.votes import CameraRule
from ...bundle.store import Bundle
from ..metrics import Metrics
from .drift import LEFT, DriftWatch
from .score_store import ScoreWriter


class ScoreKeeper:
    """Told of every judged view and of every turn of the model, by the thread of the loop; a part of the service."""

    def __init__(
        self,
        state_dir: Path,
        budget: int,
        bundle: Bundle,
        rules: Mapping[str, CameraRule],
        views: Sequence[tuple[str, str]],
        metrics: Metrics,
    ) -> None:
        """`budget` in bytes bounds the stored scores; `rules` by camera; `views` are all pairs of camera and region."""
        self._writer = ScoreWriter(state_dir, budget, bundle.identity(), rules, views)
        self._drift = DriftWatch(state_dir, bundle.digest, views)
        self._metrics = metrics

    def judged(self, views: Sequence[JudgedView], alarms: int = 0) -> None:
        """Keep the scores of `views`; the number of `alarms` can be counted again from them."""
        self._writer.note(views)
        self._drift.note(views)

    def take_over(self, bundle: Bundle, rules: Mapping[str, CameraRule]) -> None:
        """Go on with another bundle, by which the next views are judged."""
        self._writer.take_over(bundle.identity(), rules)
        self._drift.take_over(bundle.digest)

    def tick(self, now: float) -> None:
        """Show which cameras have left their range."""
        states = self._drift.states()
        left = {state.camera for state in states if state.state == LEFT}
        for camera in {state.camera for state in states}:
            self._metrics.camera_drift.labels(camera).set(camera in left)

    def stop(self) -> None:
        """Write what waits."""
        self._writer.close()

    def document(self) -> list[dict[str, Any]]:
        """Return what /status and heartbeat tell of the views that have left their range."""
        return [state.to_json() for state in self._drift.states() if state.state == LEFT]
