"""What all of the station's pages share: settings, the stores that they read and write, texts, and what forms hold."""

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request

from ...alerts.event_query import EventQuery
from ...alerts.events import ALARM
from ...alerts.outbox import Entry as Alarm
from ...bundle.errors import InputError
from ...cameras.settings import CameraSettings
from ...clock import from_iso
from ...judgements.store import Judgements
from ...watchlog import report
from ...web.access import address_of, current
from ...web.bodies import json_object
from ...web.sse import LiveValues
from ...web.templates import Entry, Head, Pages
from ..attention.attention import Attention
from ..settings import StationSettings
from ..status import ask_service
from .live_frames import LiveFrames, views_of
from .served_model import ServedModel
from .service_status import ANSWER_SECONDS, ServiceStatus

FOLDER = Path(__file__).parent  # of templates and static files
NAVIGATION = (
    Entry("/", "nav.live", "live"),
    Entry("/events", "nav.events", "events"),
    Entry("/night", "nav.night", "night"),
    Entry("/thresholds", "nav.thresholds", "threshold"),
    Entry("/cameras", "nav.cameras", "cameras"),
)
HOUR = 3600.0  # seconds
PERIODS = {"12h": 12 * HOUR, "24h": 24 * HOUR, "7d": 7 * 24 * HOUR, "30d": 30 * 24 * HOUR}
NIGHTS = ("12h", "24h", "7d")  # the periods over which a night and its thresholds are looked at
SNOOZE_HOURS = (1, 2, 4, 8, 12, 24)  # that are offered
STALE_SECONDS = 10.0  # without a look at the cameras, after which what the live page shows is not live any more
MOST_DIGITS = 15  # of a number in an address: no database counts further


@dataclass
class Desk:
    """The page's side of a station. `frames` is None where no service gives live pictures."""

    settings: StationSettings
    judgements: Judgements
    attention: Attention
    frames: LiveFrames | None = None
    live: LiveValues = field(default_factory=partial(LiveValues, stale=STALE_SECONDS))
    events: EventQuery = field(init=False)
    model: ServedModel = field(init=False)
    service: ServiceStatus = field(init=False)
    pages: Pages = field(init=False)

    def __post_init__(self) -> None:
        station = self.settings.station
        self.events, self.model = EventQuery(station.state_dir), ServedModel(station.slots)
        self.service = ServiceStatus(partial(ask_service, self.settings, ANSWER_SECONDS))
        self.pages = Pages([FOLDER], self.head, self.settings.page.language)
        self.views = views_of(self.settings.camera)

    @property
    def cameras(self) -> list[str]:
        """The names of the cameras, in the order of the settings."""
        return [camera.name for camera in self.settings.camera]

    def camera(self, name: str) -> CameraSettings:
        """Return the settings of a camera; InputError where none has this name."""
        found = next((camera for camera in self.settings.camera if camera.name == name), None)
        if found is None:
            raise InputError(f"no camera of this station has that name; known are {', '.join(self.cameras) or 'none'}")
        return found

    def picture_text(self, slot: int) -> tuple[int, Mapping[str, Any]] | None:
        """Return number and text of the newest live picture of the view in `slot`, None where there is none."""
        found = self.frames.about(slot) if self.frames is not None and slot < self.frames.views else None
        return found if found and self.is_of(slot, found[1]) else None

    def is_of(self, slot: int, about: Mapping[str, Any]) -> bool:
        """Whether a picture with this text is of the view in `slot`: settings may have changed."""
        return (about["camera"], about["region"]) == self.views[slot]

    def alarm(self, request: Request) -> Alarm:
        """Return the alarm that an address names; HTTPException 404 where there is none."""
        found = self.events.by_id(request.path_params["id"])
        if found is None or found.kind != ALARM:
            raise HTTPException(404)
        return found

    def labels(self) -> list[str]:
        """Return every label that the model may report, and those of events that earlier models raised."""
        manifest = self.model.manifest()
        return list(dict.fromkeys([*(manifest.labels if manifest else ()), *self.events.labels()]))

    def head(self) -> Head:
        """Return what the header of every page shows."""
        t, told = self.pages.t, self.service.read()
        cameras = told.get("cameras", {})
        watched = sum(status.get("status") == "online" for status in cameras.values())
        expected = sum(status.get("status") != "maintenance" for status in cameras.values())
        state, words = "ok", t("nav.watched", watched=watched, of=len(cameras))
        if not told:
            state, words = "bad", t("nav.no_service")
        elif watched < expected or not cameras or told.get("disk"):
            state = "warn"
        return Head(self.settings.station.name, state, words, NAVIGATION)

    def audit(self, request: Request, what: str, subject: str) -> None:
        """Add a line on what the person who asks has done."""
        self.judgements.audit(current(request).name, address_of(request), what, subject)


@contextmanager
def open_desk(settings: StationSettings, frames: LiveFrames | None = None) -> Iterator[Desk]:
    """Open the stores that the page writes, make them where they are absent, and close them at the end.

    UnavailableError where the disk does not let us.
    """
    state_dir = settings.station.state_dir
    with ExitStack() as opened:
        attention = Attention(state_dir)  # makes the folder
        opened.callback(attention.close)
        judgements = Judgements(state_dir, repair=True)
        opened.callback(judgements.close)
        yield Desk(settings, judgements, attention, frames)


async def fields(request: Request) -> dict[str, Any]:
    """Return what a request carries, a JSON object or a form."""
    if "application/json" in request.headers.get("content-type", ""):
        return await json_object(request)
    return {name: value for name, value in (await request.form()).items() if isinstance(value, str)}


def text_of(content: dict[str, Any], name: str) -> str:
    """Return a text of what a request carries, "" where it is absent. InputError where it is none."""
    value = content.get(name, "")
    if not isinstance(value, str) or not all(char.isprintable() or char == "\n" for char in value):
        raise InputError(f"{name} is no text; load the page again")
    return value


def period_of(query: QueryParams, known: Collection[str], otherwise: str) -> str:
    """Return the word for a period in an address, one of the `known` of PERIODS; InputError where it is none."""
    period = query.get("period") or otherwise
    if period and period not in known:
        raise InputError(f"the period is none of {', '.join(known)}; choose one")
    return period


def hours_of(content: dict[str, Any]) -> float:
    """Return the `hours` of what a request carries, above 0. InputError where they are none."""
    try:
        hours = float(content.get("hours", ""))
    except (TypeError, ValueError, OverflowError):
        hours = 0.0
    if not 0 < hours <= 24 * 366:
        raise InputError("hours is no number above 0; choose for how long")
    return hours


def whole_of(text: str) -> int | None:
    """Return the number that a part of an address spells, None where it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else None


def wall_of(text: str) -> float | None:
    """Return an ISO 8601 time in seconds since 1970, None where the text is none; without a zone it is local time."""
    try:
        return from_iso(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def shown_time(wall: float | None, seconds: bool = False) -> str:
    """Return local time as a person reads it: of today the hour alone."""
    if wall is None:
        return ""
    moment, clock = time.localtime(wall), "%H:%M:%S" if seconds else "%H:%M"
    today = time.strftime("%Y-%m-%d", moment) == time.strftime("%Y-%m-%d")
    return time.strftime(clock if today else f"%Y-%m-%d {clock}", moment)


def percent(share: float | None, digits: int = 0) -> str:
    """Return a share (0 to 1) in percent as the night's report does; "" of None."""
    return "" if share is None else report.percent(share, digits)
