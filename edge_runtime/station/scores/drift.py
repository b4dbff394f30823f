"""Drift: whether a camera's pictures and scores have left the range that they had in the first week.

Every hour the median of each measure is compared with those that the first week had at about the same hour of day, so
night and day are no drift. Most of the last judged hours have to lie outside on one side, so a shower is none either.
Frames that flag a fault do not count: those are what alarms are for. What has left its range for two weeks is
learned anew, since nobody seems to mind, and a season may have changed.
"""

import json
import logging
import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...alerts.events import JudgedView
from ...bundle.errors import InputError
from ...bundle.files import make_folder, replace_file
from ...clock import EARLIEST, instant, iso
from .score_store import FOLDER

FILE = "drift.json"  # in the folder of the scores
VERSION = 1
HOUR = 3600.0  # seconds
SAMPLE_SECONDS = 30.0  # between two frames of a view that are counted
LEAST_SAMPLES = 12  # of an hour that counts
LEARNED_HOURS = 168  # whose medians make the range: a week that was judged
NEAR_HOURS = 2  # of the day, before and after, that belong to the range of an hour
LEAST_NEAR = 10  # medians that make a range
RECENT_HOURS, OUTSIDE_HOURS, INSIDE_HOURS = 24, 10, 4  # of so many, those outside that tell drift, and that end it
ACCEPT_HOURS = 14 * 24  # after which the range is learned anew
MARGIN = 1.0  # of the width of the range, which it is widened by on both sides,
LEARNING, USUAL, LEFT = "learning", "usual", "left"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Measure:
    """One figure of a frame: by how much its range is widened `least`, and what it means to lie `below` or `above`."""

    least: float
    below: str
    above: str
    advice: str


_PICTURE = "clean the lens, look at lamp and view"
MEASURES = {
    "brightness": Measure(12.0, "the picture is darker", "the picture is brighter", _PICTURE),  # grey levels
    "contrast": Measure(0.25, "the picture has less contrast", "the picture has more contrast", _PICTURE),  # log
    "detail": Measure(0.35, "the picture shows less detail", "the picture shows more detail or noise", _PICTURE),  # log
    "score": Measure(
        1.0,  # of the logarithm of the odds
        "the model is surer that nothing is wrong",
        "the model is less sure that nothing is wrong",
        "look at the newest pictures, and judge some",
    ),
}


@dataclass(frozen=True)
class DriftState:
    """How a view does against its own range: `state` is "learning", "usual" or "left".

    Where it has left its range: by which `measure`, on which `side` of it ("below" or "above"), and `since` when, in
    wall seconds since 1970.
    """

    camera: str
    region: str
    state: str
    measure: str = ""
    side: str = ""
    since: float | None = None

    @property
    def sentence(self) -> str:
        """What has left the range, and what to do; empty where nothing has."""
        if self.since is None:
            return ""
        measure = MEASURES[self.measure]
        what = measure.below if self.side == "below" else measure.above
        return f"{what} than in its first week at this time of day, since {iso(self.since)}; {measure.advice}"

    def to_json(self) -> dict[str, Any]:
        """Return what /status and heartbeat tell of a view that has left its range."""
        since = None if self.since is None else iso(self.since)
        return {**asdict(self), "since": since, "sentence": self.sentence}


@dataclass
class Series:
    """The hourly medians of one measure of one view; hours are counted since 1970."""

    measure: str
    learned: list[tuple[int, float]] = field(default_factory=list)  # hour and median
    recent: list[tuple[int, int]] = field(default_factory=list)  # hour, and -1 below, 0 inside, 1 above
    left: int | None = None  # the hour since which the range is left
    side: int = 0
    _ranges: dict[int, tuple[float, float]] = field(default_factory=dict, init=False)  # by hour of day

    @property
    def state(self) -> str:
        """Whether the series is still learning, or has left its range."""
        if len(self.learned) < LEARNED_HOURS:
            return LEARNING
        return USUAL if self.left is None else LEFT

    def add(self, hour: int, value: float) -> None:
        """Take the median `value` of an hour that has ended."""
        if self.left is not None and hour - self.left >= ACCEPT_HOURS:
            self.forget()
        if len(self.learned) < LEARNED_HOURS:
            self.learned.append((hour, value))
            return
        if (bounds := self._range(hour % 24)) is None:
            return
        self.recent = [*self.recent, (hour, (value > bounds[1]) - (value < bounds[0]))][-RECENT_HOURS:]
        self._decide()

    def forget(self) -> None:
        """Learn the range anew."""
        self.learned, self.recent, self.left, self.side = [], [], None, 0
        self._ranges.clear()

    def _decide(self) -> None:
        for side in (-1, 1):
            outside = [hour for hour, where in self.recent if where == side]
            if self.left is None and len(outside) >= OUTSIDE_HOURS:
                self.left, self.side = outside[0], side
        still = sum(where == self.side for _, where in self.recent)
        if self.left is not None and still <= INSIDE_HOURS and len(self.recent) == RECENT_HOURS:
            self.left, self.side = None, 0

    def _range(self, hour: int) -> tuple[float, float] | None:
        """Return the range of an hour of the day; None where the first week had too little of it."""
        if not self._ranges:
            for place in range(24):
                near = [value for seen, value in self.learned if _apart(seen % 24, place) <= NEAR_HOURS]
                if len(near) >= LEAST_NEAR:
                    margin = max(MEASURES[self.measure].least, MARGIN * (max(near) - min(near)))
                    self._ranges[place] = (min(near) - margin, max(near) + margin)
        return self._ranges.get(hour)


class DriftWatch:
    """Learns the range of each view and says who has left it; for one thread. Kept in STATE/scores/drift.json."""

    def __init__(self, state_dir: Path, model_digest: str, views: Iterable[tuple[str, str]]) -> None:
        """`views` are all pairs of camera and region. Goes on with what an earlier service has learned of them."""
        self._path = state_dir / FOLDER / FILE
        known, before = _load(self._path)
        self._series = {view: known.get(view) or {name: Series(name) for name in MEASURES} for view in views}
        self._samples: dict[tuple[str, str], dict[str, list[float]]] = {}
        self._due: dict[tuple[str, str], float] = {}  # monotonic seconds
        self._hour, self._model = 0, before or model_digest
        self.take_over(model_digest)

    def note(self, views: Iterable[JudgedView], wall: float | None = None) -> None:
        """Count judged views at the moment `wall` (seconds since 1970; None: now). A clock that was never set has no
        hours of a day.
        """
        wall = instant().wall if wall is None else wall
        if wall < EARLIEST:
            return
        if (hour := int(wall // HOUR)) != self._hour:
            self._end_hour(hour)
        for view in views:
            key = (view.camera, view.region)
            if not view.test and view.captured >= self._due.get(key, -math.inf) and (values := _measured(view)):
                self._due[key] = view.captured + SAMPLE_SECONDS
                samples = self._samples.setdefault(key, {name: [] for name in MEASURES})
                for name, value in values.items():
                    samples[name].append(value)

    def take_over(self, model_digest: str) -> None:
        """Learn the range of the scores anew where another model gives them."""
        if model_digest != self._model:
            self._samples.clear()
            for series in self._series.values():
                series["score"].forget()
        self._model = model_digest

    def states(self) -> list[DriftState]:
        """Return the state of each view."""
        return [_state(*view, series) for view, series in self._series.items()]

    def _end_hour(self, hour: int) -> None:
        if self._hour < hour:  # else the clock was set back, and nobody knows which hour it was
            for view, samples in self._samples.items():
                for name, values in samples.items():
                    if len(values) >= LEAST_SAMPLES:
                        self._series[view][name].add(self._hour, statistics.median(values))
            if self._samples:
                self._keep()
        self._hour, self._samples = hour, {}

    def _keep(self) -> None:
        views = [
            {"camera": camera, "region": region, "series": [_series_json(one) for one in series.values()]}
            for (camera, region), series in self._series.items()
        ]
        document = {"schema": "rarefault/drift", "version": VERSION, "model": self._model, "views": views}
        try:
            make_folder(self._path.parent)
            replace_file(self._path, json.dumps(document).encode())
        except OSError as error:
            log.warning("%s is not kept (%s); after a restart the ranges of this hour are missing", self._path, error)


def read_drift(state_dir: Path) -> list[DriftState]:
    """Return what the service last said of each view, for a process beside it; empty where there is nothing yet."""
    return [_state(*view, series) for view, series in _load(state_dir / FOLDER / FILE)[0].items()]


def _measured(view: JudgedView) -> dict[str, float]:
    """Return the measures of a judged view; empty where it flags a fault or got no decision."""
    decision, health = view.evaluation.decision, view.evaluation.health
    if decision is None or decision.fault:
        return {}
    chance = max((decision.chances[label] for label in view.evaluation.rule.fault_labels), default=0.0)
    chance = min(max(chance, 1e-4), 1 - 1e-4)
    return {
        "brightness": health.mean,
        "contrast": math.log(health.std + 1),
        "detail": math.log((math.sqrt(health.sharpness) + 1) / (health.mean + 8)),
        "score": math.log(chance / (1 - chance)),
    }


def _state(camera: str, region: str, series: Mapping[str, Series]) -> DriftState:
    for one in series.values():
        if one.left is not None:
            side = "below" if one.side < 0 else "above"
            return DriftState(camera, region, LEFT, one.measure, side, one.left * HOUR)
    learning = any(one.state == LEARNING for one in series.values())
    return DriftState(camera, region, LEARNING if learning else USUAL)


def _apart(one: int, other: int) -> int:
    """Return how far two hours of the day lie apart."""
    return min((one - other) % 24, (other - one) % 24)


def _series_json(series: Series) -> dict[str, Any]:
    learned = [(hour, round(value, 4)) for hour, value in series.learned]
    return {
        "measure": series.measure,
        "learned": learned,
        "recent": series.recent,
        "left": series.left,
        "side": series.side,
    }


def _load(path: Path) -> tuple[dict[tuple[str, str], dict[str, Series]], str]:
    """Return the series by view and the digest of the model; nothing where the file is absent or cannot be read."""
    try:
        document = json.loads(path.read_bytes())
        if document["version"] > VERSION:
            raise InputError(f"its version is {document['version']}, expected at most {VERSION}")
        views = {
            (view["camera"], view["region"]): {
                name: Series(**one) for one in view["series"] if (name := one["measure"]) in MEASURES
            }
            for view in document["views"]
        }
        if any(set(series) != set(MEASURES) for series in views.values()):
            raise InputError(f"its measures are not {', '.join(MEASURES)}")
        return views, str(document["model"])
    except FileNotFoundError:
        return {}, ""
    except (OSError, ValueError, KeyError, TypeError, InputError) as error:
        log.warning("%s cannot be read (%s); the range of each camera is learned anew", path, error)
        return {}, ""
