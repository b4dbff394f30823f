"""Live tiles: for each view the newest judged picture, or the cause why there is none. No old picture is shown."""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...alerts.event_query import Selection
from ...bundle.errors import UnavailableError
from ...bundle.preprocess import PreprocessSpec
from ...causes import Cause
from ...media.heatmap import overlay
from ...media.jpeg import encode_jpeg, mark_own
from ...web.access import require
from ...web.accounts import Role
from ...web.texts import Texts
from .desk import Desk, percent, shown_time, wall_of, whole_of
from .events import rows_of
from .live_frames import MAX_SIDE, LiveFrame

LOOK_SECONDS = 1.0  # between two looks at the shared memory, for all viewers together
QUALITY = 80  # of a live JPEG
NEWEST_ALARMS = 6  # beside the tiles
ALARM_HOURS = 24.0
# What a tile counts as, the worst first, and the state by which the count is coloured.
KINDS = {"faults": "bad", "off": "warn", "maintenance": "note", "waiting": "off", "healthy": "ok"}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tile:
    """What one view shows now. `state` is ok, bad, note or off; of the last there is no picture.

    `short` says the state, `words` say it in full where there is no picture, `detail` what to do about it. `number` is
    that of the picture, 0 where there is none; `taken` when it was captured, `share` and `threshold` (0 to 1) what the
    bar shows of `label`. `waits` says that nothing is wrong but that no picture has come yet.
    """

    slot: int
    camera: str
    region: str
    state: str
    short: str
    words: str = ""
    detail: str = ""
    number: int = 0
    taken: str = ""
    label: str = ""
    share: float = 0.0
    threshold: float = 0.0
    chance: str = ""
    waits: bool = False

    @property
    def kind(self) -> str:
        """What it counts as, a key of KINDS."""
        if self.state == "off" and self.waits:
            return "waiting"
        return {"bad": "faults", "off": "off", "note": "maintenance", "ok": "healthy"}[self.state]


def tile_of(
    t: Texts,
    slot: int,
    view: tuple[str, str],
    told: Mapping[str, Any],
    about: tuple[int, Mapping[str, Any]] | None,
    now: float,
) -> Tile:
    """Return the tile of a view, by what the service `told` (empty: it does not answer) and the newest picture's text.

    `now` is in monotonic seconds.
    """
    status = told.get("cameras", {}).get(view[0])
    if status is None:
        return Tile(slot, *view, "off", t("live.off"), t("live.no_service"), t("live.no_service_detail"))
    cause, since = status.get("cause", ""), shown_time(wall_of(told.get("since", {}).get(view[0], "")))
    maintained = status.get("status") == Cause.MAINTENANCE.status
    if status.get("status") != "online" and not maintained:
        words = t("live.not_evaluated", cause=t(f"cause.{cause}"))
        if since:
            words = t("live.not_evaluated_since", cause=t(f"cause.{cause}"), since=since)
        return Tile(slot, *view, "off", t("live.off"), words, status.get("problem") or Cause(cause).advice)
    maintenance = ""
    if maintained:
        maintenance = t("live.maintenance", until=shown_time(wall_of(status.get("until", ""))), by=status.get("by", ""))
    if about is None or too_old(about[1], now):
        state, short = ("note", maintenance) if maintained else ("off", t("live.waits"))
        return Tile(slot, *view, state, short, t("live.waiting"), waits=True)
    number, said = about
    flagged = said["flagged"]
    return Tile(
        slot,
        *view,
        state="note" if maintained else "bad" if flagged else "ok",
        short=maintenance or (t("live.flagged", label=said["label"]) if flagged else t("live.healthy")),
        number=number,
        taken=shown_time(wall_of(said["captured"]), seconds=True),
        label=said["label"],
        share=said["probability"],
        threshold=said["threshold"],
        chance=percent(said["probability"]),
    )


def summary(t: Texts, tiles: Sequence[Tile]) -> list[dict[str, Any]]:
    """Return how many tiles are of which kind, the worst first, each with the first slot that is."""
    kinds = {kind: [tile for tile in tiles if tile.kind == kind] for kind in KINDS}
    return [
        {"state": KINDS[kind], "words": t(f"live.now_{kind}", n=len(found)), "slot": found[0].slot}
        for kind, found in kinds.items()
        if found
    ]


def too_old(about: Mapping[str, Any], now: float) -> bool:
    """Whether a picture with this text may not be shown as live any more `now` (monotonic seconds)."""
    return bool(now - about["captured_monotonic"] > about["limit"])


class Tiles:
    """The page of live tiles, its stream and its pictures."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._drawn: OrderedDict[tuple[int, int, bool], bytes] = OrderedDict()
        self._alarm = 0
        self._lock = threading.Lock()

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/", self.page),
            Route("/live/stream", self.stream),
            Route("/live/alarms", self.alarms),
            Route("/live/{slot}.jpg", self.picture),
        ]

    def publish(self, stop: threading.Event) -> None:
        """Show all viewers what is new, once a second until `stop`; without a viewer nothing is asked or drawn.

        A look that fails is none: where that goes on, the streams end, and browsers say that nothing is live.
        """
        while not stop.wait(LOOK_SECONDS):
            if not self._desk.live.viewers:
                continue
            try:
                self._desk.live.publish(self.value())
            except Exception:  # whatever it is, the next look may do better
                log.exception("the live page could not look at the cameras")

    def value(self) -> dict[str, Any]:
        """Return what the stream shows: the tiles, the header's state and the number of the newest alarm."""
        head, tiles = self._desk.head(), self.tiles()
        return {
            "tiles": [asdict(tile) for tile in tiles],
            "now": summary(self._desk.pages.t, tiles),
            "state": head.state,
            "words": head.state_text,
            "newest": self._newest(),
        }

    def _newest(self) -> int:
        """Return the number of the newest alarm; the one before where the outbox cannot be read: tiles go on."""
        try:
            self._alarm = self._desk.events.newest()
        except UnavailableError as error:
            log.warning("%s", error)
        return self._alarm

    def tiles(self) -> list[Tile]:
        """Return the tiles of all views, and ask the service for pictures."""
        desk, now = self._desk, time.monotonic()
        if desk.frames is not None:
            desk.frames.want(now)
        told = desk.service.read()
        return [
            tile_of(desk.pages.t, slot, view, told, desk.picture_text(slot), time.monotonic())
            for slot, view in enumerate(desk.views)
        ]

    @require(Role.VIEWER)
    def page(self, request: Request) -> Response:
        """Show the live tiles and the newest alarms."""
        tiles = self.tiles()
        context = {
            "tiles": tiles,
            "now": summary(self._desk.pages.t, tiles),
            "pictures": self._desk.frames is not None,
            "newest": self._desk.events.newest(),
        }
        return self._desk.pages.answer(request, "live.html", {**context, **self._alarms()})

    @require(Role.VIEWER)
    def alarms(self, request: Request) -> Response:
        """Show the newest alarms, a part of the page."""
        return self._desk.pages.answer(request, "live_alarms.html", self._alarms())

    def _alarms(self) -> dict[str, Any]:
        entries = self._desk.events.select(Selection(since=time.time() - ALARM_HOURS * 3600, limit=NEWEST_ALARMS))
        return {"alarms": rows_of(self._desk, entries)}

    @require(Role.VIEWER)
    async def stream(self, request: Request) -> Response:
        """Send what is new as it happens; what was shown to earlier viewers may be old."""
        if not self._desk.live.viewers:
            self._desk.live.publish(await run_in_threadpool(self.value))
        return self._desk.live.answer(request)

    @require(Role.VIEWER)
    def picture(self, request: Request) -> Response:
        """Return the newest picture of a view as JPEG, with `map=1` under the heat of its label's map."""
        slot, frames = whole_of(request.path_params["slot"]), self._desk.frames
        with_map = request.query_params.get("map") == "1"
        if slot is None or frames is None or slot >= min(frames.views, len(self._desk.views)):
            raise HTTPException(404)
        found = frames.read(slot)
        if found is None or not self._desk.is_of(slot, found.about) or too_old(found.about, time.monotonic()):
            return Response(status_code=204)  # it would pose as live
        return Response(self._jpeg(slot, found, with_map), media_type="image/jpeg")

    def _jpeg(self, slot: int, frame: LiveFrame, with_map: bool) -> bytes:
        """Return the picture drawn and encoded: once for all viewers."""
        key = slot, frame.number, with_map
        with self._lock:
            if (known := self._drawn.get(key)) is not None:
                return known
        data = drawn(frame, with_map)
        with self._lock:
            self._drawn[key] = data
            while len(self._drawn) > 2 * len(self._desk.views):
                self._drawn.popitem(last=False)
        return data


def drawn(frame: LiveFrame, with_map: bool) -> bytes:
    """Return the live picture as JPEG, with its map over it where that is wanted."""
    if not with_map:
        return encode_jpeg(frame.picture, QUALITY)
    spec = PreprocessSpec.from_json(frame.about["input"])
    return mark_own(encode_jpeg(overlay(frame.picture, frame.map, spec, frame.about["full_heat"], MAX_SIDE), QUALITY))
