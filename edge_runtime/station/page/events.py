"""Flagged events: a list with filters, and one event with its picture, map and votes, and what persons said of it."""

import threading
import time
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import cv2
import numpy as np
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ...alerts.event_query import Selection
from ...alerts.outbox import DELIVERED, PARKED, Entry
from ...bundle.errors import InputError
from ...bundle.preprocess import Frame
from ...judgements.records import Judgement, Verdict, disagree, drawn_boxes
from ...media.heatmap import fitted
from ...media.jpeg import encode_jpeg
from ...web.access import require
from ...web.accounts import Role
from .desk import PERIODS, SNOOZE_HOURS, Desk, percent, period_of, shown_time, wall_of, whole_of

PAGE_ROWS = 50
THUMB_SIDE, THUMB_QUALITY = 320, 80  # pixels, and of its JPEG
LARGE_PICTURE = 256 << 10  # bytes of a JPEG that is decoded at half its size for a small one
KEPT_THUMBS = 256  # in memory, about 15 KB each
MOST_PICTURE = 64 << 20  # bytes of a file that is sent
OPEN, JUDGED = "open", "judged"
STATES = {Verdict.RIGHT: "ok", Verdict.WRONG: "warn", Verdict.OTHER: "note", Verdict.UNSURE: "off"}


@dataclass(frozen=True)
class Filter:
    """What of the list a person wants to see; each is empty where it does not narrow. Times are ISO 8601, local."""

    camera: str = ""
    label: str = ""
    judged: str = ""  # OPEN, JUDGED or the word of a verdict
    period: str = ""
    since: str = ""
    until: str = ""
    tests: str = ""
    before: str = ""

    @classmethod
    def of(cls, query: QueryParams) -> "Filter":
        """Return the filter of an address. InputError where a part of it cannot be one."""
        found = cls(**{name: query.get(name, "") for name in cls.__dataclass_fields__})
        period_of(query, PERIODS, "")
        if found.judged not in ("", OPEN, JUDGED, *(verdict.value for verdict in Verdict)):
            raise InputError("judged is none of the choices; choose one")
        if found.before and whole_of(found.before) is None:
            raise InputError("before is no number; go back to the first page")
        for time_text in (found.since, found.until):
            if time_text and wall_of(time_text) is None:
                raise InputError("a time is none; write it like 2026-11-23T02:10")
        return found

    def query(self, **changes: str) -> str:
        """Return the query of an address with this filter, changed so."""
        changed = replace(self, **changes)
        return urlencode({name: value for name, value in vars(changed).items() if value})

    @property
    def narrow(self) -> bool:
        """Whether anything is left out beside older pages."""
        return any(value for name, value in vars(self).items() if name != "before")

    def selection(self, desk: Desk) -> Selection:
        """Return which events these are."""
        since = wall_of(self.since)
        if since is None and self.period:
            since = time.time() - PERIODS[self.period]

        def keep(ids: Sequence[str]) -> Collection[str]:
            latest = desk.judgements.latest(ids)
            if self.judged == OPEN:
                return set(ids) - set(latest)
            return {id_ for id_, found in latest.items() if self.judged in (JUDGED, found.verdict.value)}

        return Selection(
            cameras=[self.camera] if self.camera else (),
            labels=[self.label] if self.label else (),
            since=since,
            until=wall_of(self.until),
            before=whole_of(self.before),
            tests=bool(self.tests),
            keep=keep if self.judged else None,
            limit=PAGE_ROWS,
        )


def rows_of(desk: Desk, entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Return what a list shows of these alarms."""
    ids = [entry.id for entry in entries]
    judged, seen = desk.judgements.latest(ids), desk.attention.acknowledged(ids)
    return [_row(desk, entry, judged.get(entry.id), entry.id in seen) for entry in entries]


def _row(desk: Desk, entry: Entry, judged: Judgement | None, seen: bool) -> dict[str, Any]:
    document = entry.document
    return {
        "id": entry.id,
        "seq": entry.seq,
        "camera": entry.camera,
        "region": document.get("region", ""),
        "label": document.get("label", ""),
        "time": shown_time(wall_of(document.get("time", ""))),
        "chance": percent(document.get("probability")),
        "share": document.get("probability") or 0.0,
        "threshold": document.get("threshold") or 0.0,
        "test": bool(document.get("test")),
        "picture": "frame" in entry.pictures and entry.pictures["frame"].exists(),
        "map": "heatmap" in entry.pictures and entry.pictures["heatmap"].exists(),
        "judged": judged and _said(desk, judged),
        "seen": seen,
        "quiet": "maintenance" if document.get("maintenance") else "snoozed" if document.get("snoozed") else "",
    }


def _said(desk: Desk, judged: Judgement) -> dict[str, str]:
    words = desk.pages.t(f"verdict.{judged.verdict.value}")
    return {
        "state": STATES[judged.verdict],
        "words": f"{words}: {judged.true_label}" if judged.true_label else words,
        "who": judged.judge,
        "when": shown_time(wall_of(judged.time)),
        "note": judged.note,
        "label": judged.label,
    }


class Events:
    """The pages of events, and their pictures."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._thumbs: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/events", self.index),
            Route("/events/newest", self.newest),
            Route("/events/{id}", self.one),
            Route("/events/{id}/{name}.jpg", self.picture),
        ]

    @require(Role.VIEWER)
    def index(self, request: Request) -> Response:
        """Show the list, and beside it the first event."""
        return self._page(request, None)

    @require(Role.VIEWER)
    def newest(self, request: Request) -> Response:
        """Tell the number of the newest alarm and the state in the header, for a list that stays open."""
        head = self._desk.head()
        told = {"newest": self._desk.events.newest(), "state": head.state, "words": head.state_text}
        return JSONResponse(told)

    @require(Role.VIEWER)
    def one(self, request: Request) -> Response:
        """Show one event beside the list; with `part=1` the event alone, and with `row=1` its row."""
        entry = self._desk.alarm(request)
        if request.query_params.get("part") == "1":
            return self._desk.pages.answer(request, "event.html", {"event": self._detail(entry)})
        if request.query_params.get("row") == "1":
            context = {"row": rows_of(self._desk, [entry])[0], "query": "", "chosen": entry.id}
            return self._desk.pages.answer(request, "event_row.html", context)
        return self._page(request, entry)

    def _page(self, request: Request, chosen: Entry | None) -> Response:
        wanted = Filter.of(request.query_params)
        entries = self._desk.events.select(wanted.selection(self._desk))
        more = len(entries) == PAGE_ROWS
        shown = chosen or (entries[0] if entries else None)
        context = {
            "rows": rows_of(self._desk, entries),
            "event": self._detail(shown) if shown else None,
            "opened": chosen is not None,
            "chosen": shown.id if shown else "",
            "filter": wanted,
            "query": wanted.query(),
            "next": wanted.query(before=str(entries[-1].seq)) if more else "",
            "first": wanted.query(before="") if wanted.before else None,
            "cameras": self._desk.cameras,
            "labels": self._desk.labels(),
            "periods": list(PERIODS),
            "snooze_hours": SNOOZE_HOURS,
            "newest": self._desk.events.newest(),
            "verdicts": [verdict.value for verdict in Verdict],
        }
        return self._desk.pages.answer(request, "events.html", context)

    def _detail(self, entry: Entry) -> dict[str, Any]:
        """Return what the page of one event shows."""
        desk, document = self._desk, entry.document
        row = rows_of(self._desk, [entry])[0]
        seen = desk.attention.acknowledged([entry.id]).get(entry.id)
        said = desk.judgements.of_event(entry.id)
        manifest, snooze = desk.model.manifest(), desk.attention.current().snoozed(entry.camera, row["label"])
        labels = [*(manifest.labels if manifest else ()), *desk.judgements.true_labels()]
        return {
            **row,
            "moment": shown_time(wall_of(document.get("time", "")), seconds=True),
            "clock": document.get("clock", ""),
            "votes": document.get("votes"),
            "group": document.get("group"),
            "model": document.get("model") or {},
            "doubts": document.get("doubts") or [],
            "marks": [self._mark(name, document[name]) for name in ("maintenance", "snoozed") if document.get(name)],
            "deliveries": self._deliveries(entry),
            "said": [_said(desk, judgement) for judgement in said],
            "boxes": drawn_boxes(said),
            "disagree": disagree(said),
            "seen_by": seen and {"who": seen.by, "when": shown_time(seen.wall)},
            "snoozed": snooze and {"until": shown_time(snooze.until), "by": snooze.by},
            "others": [label for label in dict.fromkeys(labels) if label != row["label"]],
        }

    def _mark(self, name: str, mark: Mapping[str, Any]) -> str:
        until = shown_time(wall_of(str(mark.get("until", ""))))
        return self._desk.pages.t(f"event.mark_{name}", until=until, by=mark.get("by", ""))

    def _deliveries(self, entry: Entry) -> list[dict[str, str]]:
        states = {DELIVERED: "ok", PARKED: "bad"}
        return [
            {"sink": sink, "state": states.get(state, "warn"), "words": f"event.delivery_{state}", "why": why}
            for sink, (state, why) in self._desk.events.deliveries(entry.seq).items()
        ]

    @require(Role.VIEWER)
    def picture(self, request: Request) -> Response:
        """Return a picture of an event: the clean frame, the heat map, or a small frame for lists."""
        entry, name = self._desk.alarm(request), request.path_params["name"]
        if name == "thumb":
            return Response(self._thumb(entry), media_type="image/jpeg")
        if name not in entry.pictures:
            raise HTTPException(404)
        return Response(_read(entry.pictures[name]), media_type="image/jpeg")

    def _thumb(self, entry: Entry) -> bytes:
        with self._lock:
            if entry.id in self._thumbs:
                return self._thumbs[entry.id]
        if "frame" not in entry.pictures:
            raise HTTPException(404)
        data = _read(entry.pictures["frame"])
        how = cv2.IMREAD_REDUCED_COLOR_2 if len(data) > LARGE_PICTURE else cv2.IMREAD_COLOR
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), how)
        if picture is None:
            raise HTTPException(404)
        data = encode_jpeg(fitted(cast(Frame, picture), THUMB_SIDE), THUMB_QUALITY)
        with self._lock:
            self._thumbs[entry.id] = data
            while len(self._thumbs) > KEPT_THUMBS:
                self._thumbs.popitem(last=False)
        return data


def _read(path: Path) -> bytes:
    """Return the file; HTTPException 404 where it is gone, as old pictures are, or is no picture of an event."""
    try:
        if path.stat().st_size > MOST_PICTURE:
            raise HTTPException(404)
        return path.read_bytes()
    except OSError:
        raise HTTPException(404) from None
