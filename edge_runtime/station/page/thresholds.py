"""What another threshold would have done: the alarms that there would have been, from stored scores."""

import threading
import time
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...bundle.errors import InputError
from ...clock import iso
from ...judgements.records import Verdict
from ...web.access import require
from ...web.accounts import Role
from ..scores.replay import SAME_SECONDS, JudgedAlarm, alarms_at
from ..scores.score_store import ScoreBlock, read_scores
from .desk import HOUR, NIGHTS, PERIODS, Desk, period_of, shown_time, wall_of

STEPS = 50  # thresholds that are tried, beside the one in force
BEFORE = HOUR  # that is read besides, so that what stood at the beginning is known
KEPT, KEPT_SECONDS = 16, 120.0  # answers in memory, and for how long they are good


class Thresholds:
    """The page of thresholds."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._known: dict[tuple[str, str, str], tuple[float, dict[str, Any]]] = {}
        self._lock = threading.Lock()  # one count at a time: the watch comes first

    def routes(self) -> list[Route]:
        """Return the route."""
        return [Route("/thresholds", self.page)]

    @require(Role.VIEWER)
    def page(self, request: Request) -> Response:
        """Show the slider for one label, of one camera or of all."""
        query, manifest = request.query_params, self._desk.model.manifest()
        labels = list(manifest.fault_labels) if manifest else []
        label, camera = query.get("label") or (labels or [""])[0], query.get("camera", "")
        period = period_of(query, NIGHTS, "24h")
        if camera:
            self._desk.camera(camera)
        if label and label not in labels:
            raise InputError("the label is none of the model's; choose one of the list")
        context = {
            "labels": labels,
            "cameras": self._desk.cameras,
            "periods": NIGHTS,
            "label": label,
            "camera": camera,
            "period": period,
            "counts": self._counts(label, camera, period) if label else {"points": []},
        }
        return self._desk.pages.answer(request, "thresholds.html", context)

    def _counts(self, label: str, camera: str, period: str) -> dict[str, Any]:
        key = label, camera, period
        with self._lock:
            counted, known = self._known.get(key, (0.0, {}))
            if known and time.monotonic() - counted < KEPT_SECONDS:
                return known
            found = self._count(label, camera, time.time() - PERIODS[period])
            self._known[key] = time.monotonic(), found
            while len(self._known) > KEPT:
                self._known.pop(next(iter(self._known)))
            return found

    def _count(self, label: str, camera: str, since: float) -> dict[str, Any]:
        """Return the `points` of the slider, each a threshold with its alarms, and the one `in_force`.

        That is of the newest scores that know the label. What a clock that went ahead has dated later than now is left
        out, else it would belong to every night until then.
        """
        blocks = read_scores(self._desk.settings.station.state_dir, since - BEFORE, time.time() + SAME_SECONDS)
        known = [block for block in blocks if label in block.labels]
        if not known:
            return {"points": []}
        in_force = _in_force(known[-1], label, camera)
        tried = sorted({*(round(step / STEPS, 4) for step in range(1, STEPS)), in_force})
        counts = alarms_at(blocks, label, tried, camera or None, since, self._judged(since))
        points = [
            {"threshold": one.threshold, "alarms": one.alarms, "right": one.right, "wrong": one.wrong} for one in counts
        ]
        first = min(float(block.times[0]) for block in known)
        return {"points": points, "in_force": in_force, "since": shown_time(max(first, since))}

    def _judged(self, since: float) -> list[JudgedAlarm]:
        """Return the alarms that persons judged; one that nobody is sure of says nothing."""
        found = self._desk.judgements.judged_events(iso(since)).values()
        return [
            JudgedAlarm(one.camera, one.region, one.label, when, one.verdict is Verdict.RIGHT)
            for one in found
            if one.verdict is not Verdict.UNSURE and (when := wall_of(one.captured)) is not None
        ]


def _in_force(block: ScoreBlock, label: str, camera: str) -> float:
    """Return the threshold in force: of the camera, or of all the one that most have."""
    thresholds = block.header.thresholds
    found: Sequence[float] = [by[label] for name, by in thresholds.items() if name == camera or not camera]
    return max(found, key=list(found).count) if found else 0.5
