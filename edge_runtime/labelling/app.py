"""The labelling page: one picture with its boxes, or many at once. Needs the extra `field` or `central`.

A picture is asked for by its place in the order, so no name from outside ever becomes a path.
"""

import math
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..bundle.errors import InputError
from ..bundle.preprocess import Frame
from ..media.heatmap import fitted
from ..media.jpeg import encode_jpeg
from ..web.access import Access, current, require
from ..web.accounts import Role
from ..web.bodies import json_object
from ..web.secured import secured
from ..web.templates import Entry, Head, Pages
from .items import Box, Item, Items, Look
from .journal import ANSWERS, LABEL, Answer, Given, Journal

OWN = Path(__file__).parent
KEPT_LOOKS = 12  # pictures in memory: the one that is shown, and its neighbours
SIDE, SMALL_SIDE = 1600, 320  # pixels of the longer side of a picture, and of one among many
QUALITY = 88
AT_ONCE = 48  # pictures on a page of many
MOST_BOXES, MOST_NOTE, MOST_SECONDS = 64, 200, 86400.0
BODY_BYTES = 1 << 20

Finish = Callable[[], Sequence[str]]
"""Writes what the answers make, and says so in sentences."""


def label_app(items: Items, journal: Journal, access: Access, finish: Finish, title: str) -> secured:
    """Return the page as an ASGI application for whoever `access` lets in."""
    navigation = (Entry("/", "label.one", "box"), Entry("/grid", "label.many", "label"))
    pages = Pages([OWN], lambda: Head(title, navigation=navigation))
    page = _LabelPage(items, journal, finish, pages)
    return secured(page.routes(), access, pages, body_bytes=BODY_BYTES)


class _LabelPage:
    """The endpoints. Any thread may run them; the model is asked by one at a time."""

    def __init__(self, items: Items, journal: Journal, finish: Finish, pages: Pages) -> None:
        self._items, self._journal, self._finish, self._pages = items, journal, finish, pages
        self._looks: OrderedDict[int, Look] = OrderedDict()
        self._model = threading.Lock()

    def routes(self) -> list[Route]:
        return [
            Route("/", self._one),
            Route("/grid", self._many),
            Route("/items", self._list),
            Route("/items/{number:int}", self._item),
            Route("/pictures/{number:int}", self._picture),
            Route("/small/{number:int}", self._small),
            Route("/maps/{number:int}/{label:int}", self._map),
            Route("/answers", self._answer, methods=["POST"]),
            Route("/undo", self._undo, methods=["POST"]),
            Route("/finish", self._finished, methods=["POST"]),
        ]

    # Pages

    @require(Role.VIEWER)
    def _one(self, request: Request) -> Response:
        return self._pages.answer(request, "label.html", {"setup": self._setup()})

    @require(Role.VIEWER)
    def _many(self, request: Request) -> Response:
        return self._pages.answer(request, "grid.html", {"setup": {**self._setup(), "at_once": AT_ONCE}})

    def _setup(self) -> dict[str, Any]:
        """Return what the scripts begin with; `start` is the first picture without an answer."""
        given, order = self._journal.current(), self._items.order
        start = next((number for number, item in enumerate(order) if item.id not in given), 0)
        faults = [label in self._items.faults for label in self._items.labels]
        return {"labels": list(self._items.labels), "faults": faults, "start": start, **self._progress(given)}

    def _progress(self, given: Mapping[str, Given]) -> dict[str, Any]:
        order = self._items.order
        done = Counter(item.reason for item in order if item.id in given)
        reasons = {reason: [done[reason], count] for reason, count in Counter(item.reason for item in order).items()}
        return {"answered": sum(done.values()), "total": len(order), "reasons": reasons}

    # What scripts ask for

    @require(Role.VIEWER)
    def _list(self, request: Request) -> Response:
        """Return the numbers of the pictures that a filter leaves, from `start` on, with what is known of each."""
        asked, given = request.query_params, self._journal.current()
        reason, label, open_only = asked.get("reason", ""), asked.get("label", ""), asked.get("open") == "1"
        start = _whole(asked.get("start", "0"))
        chosen = [
            number
            for number, item in enumerate(self._items.order)
            if (not reason or item.reason == reason)
            and (not label or item.label == label)
            and not (open_only and item.id in given)
        ]
        found = [self._brief(number, given) for number in chosen[start : start + AT_ONCE]]
        return JSONResponse({"items": found, "matching": len(chosen)})

    @require(Role.VIEWER)
    def _item(self, request: Request) -> Response:
        number = self._number(request)
        brief = self._brief(number, self._journal.current())
        try:
            look = self._look(number)
        except InputError as error:
            return JSONResponse({**brief, "unread": str(error)})
        height, width = look.frame.shape[:2]
        found = {**brief, "width": width, "height": height, "boxes": look.boxes}
        found["maps"] = [place for place, label in enumerate(self._items.labels) if label in look.maps]
        if look.proposal is not None:
            proposal = look.proposal
            found["proposal"] = {
                "label": proposal.label,
                "probability": round(proposal.probability, 4),
                "boxes": dict(proposal.boxes),
            }
        return JSONResponse(found)

    def _brief(self, number: int, given: Mapping[str, Given]) -> dict[str, Any]:
        item = self._items.order[number]
        chance = None if item.chance is None else round(item.chance, 4)
        found = {"number": number, "id": item.id, "label": item.label, "reason": item.reason, "rival": item.rival}
        known = given.get(item.id)
        answered = None if known is None else {**_plain(known.answer), "who": known.who, "when": known.when}
        return {**found, "chance": chance, "answered": answered}

    @require(Role.VIEWER)
    def _picture(self, request: Request) -> Response:
        return _jpeg(fitted(self._look(self._number(request)).frame, SIDE))

    @require(Role.VIEWER)
    def _small(self, request: Request) -> Response:
        """Return a small picture, without a look of the model."""
        return _jpeg(fitted(self._items.picture(self._items.order[self._number(request)]), SMALL_SIDE))

    @require(Role.VIEWER)
    def _map(self, request: Request) -> Response:
        look, place = self._look(self._number(request)), request.path_params["label"]
        drawn = look.drawn_map(self._items.labels[place], SIDE) if place < len(self._items.labels) else None
        if drawn is None:
            raise HTTPException(404)
        return _jpeg(drawn)

    # What a person does

    @require(Role.OPERATOR)
    async def _answer(self, request: Request) -> Response:
        content = await json_object(request)
        given = content.get("answers")
        if not isinstance(given, list) or not 0 < len(given) <= AT_ONCE:
            raise InputError(f"answers is no list of 1 to {AT_ONCE} answers; load the page again")

        def keep() -> dict[str, Any]:
            self._journal.give([self._read(one) for one in given], current(request).name)
            return self._progress(self._journal.current())

        return JSONResponse(await run_in_threadpool(keep))

    @require(Role.OPERATOR)
    def _undo(self, request: Request) -> Response:
        undone = set(self._journal.undo(current(request).name))
        numbers = [number for number, item in enumerate(self._items.order) if item.id in undone]
        return JSONResponse({"numbers": numbers, **self._progress(self._journal.current())})

    @require(Role.OPERATOR)
    def _finished(self, request: Request) -> Response:
        return JSONResponse({"sentences": list(self._finish())})

    def _read(self, found: object) -> Answer:
        """Return the answer that the page sent; InputError where it cannot be one."""
        if not isinstance(found, dict) or type(found.get("number")) is not int or found.get("answer") not in ANSWERS:
            raise InputError("this is no answer; load the page again")
        number, note = found["number"], str(found.get("note", ""))
        if not 0 <= number < len(self._items.order):
            raise InputError(f"there is no picture {number}; load the page again")
        if len(note) > MOST_NOTE:
            raise InputError(f"the note has {len(note)} characters, expected at most {MOST_NOTE}")
        item, seconds = self._items.order[number], _finite(found.get("seconds", 0), MOST_SECONDS)
        if found["answer"] != LABEL:
            return Answer(item.id, found["answer"], seconds=seconds, note=note)
        label = str(found.get("label"))
        if label not in self._items.labels:
            raise InputError(f"the label {label!r} is none of {', '.join(self._items.labels)}; load the page again")
        height, width, boxes = self._boxes(number, item, label, found.get("boxes"))
        return Answer(item.id, LABEL, label, boxes, width, height, seconds, found.get("proposed") is True, note)

    def _boxes(self, number: int, item: Item, label: str, given: object) -> tuple[int, int, tuple[Box, ...]]:
        """Return height and width of the picture, and the boxes of an answer; none but faults have any.

        Where many were answered at once nobody looked at boxes (None): a label that stays keeps those of its source.
        """
        if self._items.faults and label not in self._items.faults:
            return 0, 0, ()
        if given is None and label != item.label:
            return 0, 0, ()
        look = self._look(number)
        height, width = look.frame.shape[:2]
        if given is None:
            return height, width, look.boxes
        if not isinstance(given, list) or len(given) > MOST_BOXES:
            raise InputError(f"boxes is no list of at most {MOST_BOXES} boxes; load the page again")
        return height, width, tuple(_box(one, width, height) for one in given)

    # Looking

    def _number(self, request: Request) -> int:
        number: int = request.path_params["number"]
        if number >= len(self._items.order):
            raise HTTPException(404)
        return number

    def _look(self, number: int) -> Look:
        with self._model:
            if number not in self._looks:
                self._looks[number] = self._items.look(self._items.order[number])
                while len(self._looks) > KEPT_LOOKS:
                    self._looks.popitem(last=False)
            self._looks.move_to_end(number)
            return self._looks[number]


def _jpeg(frame: Frame) -> Response:
    return Response(encode_jpeg(frame, QUALITY), media_type="image/jpeg")


def _plain(answer: Answer) -> dict[str, Any]:
    return {"answer": answer.answer, "label": answer.label, "boxes": answer.boxes, "note": answer.note}


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise InputError(f"start is {text[:20]!r}, expected a whole number")
    return int(text)


def _finite(value: object, most: float) -> float:
    number = float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
    return round(min(number, most), 2) if number >= 0 else 0.0


def _box(found: object, width: int, height: int) -> Box:
    """Return a box in pixels, cut at the border of the picture; InputError where nothing of it is left."""
    numbers = (
        [one for one in found if type(one) in (int, float) and math.isfinite(one)] if isinstance(found, list) else []
    )
    if len(numbers) != 4:
        raise InputError("a box is not four numbers: x, y, width and height in pixels; load the page again")
    left, top = max(0.0, numbers[0]), max(0.0, numbers[1])
    right, bottom = min(float(width), numbers[0] + numbers[2]), min(float(height), numbers[1] + numbers[3])
    if right - left < 1 or bottom - top < 1:
        raise InputError("a box lies outside the picture, or is smaller than a pixel; draw it again")
    x, y, across, down = (round(edge, 1) for edge in (left, top, right - left, bottom - top))
    return x, y, across, down
