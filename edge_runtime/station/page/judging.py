"""What persons tell the station: judgements of alarms, acknowledgements, snoozes, maintenance; each can be undone."""

import time
from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ...alerts.outbox import Entry
from ...bundle.errors import InputError
from ...judgements.records import Verdict, judge_event
from ...web.access import current, require
from ...web.accounts import Role
from ..attention import attention
from .desk import Desk, fields, hours_of, shown_time, text_of, whole_of

JUDGEMENTS_UNDO, ATTENTION_UNDO = "/judgements/undo", "/attention/undo"
Fields = dict[str, Any]


class Judging:
    """The routes that write. Each answers a JSON object: `message` for the person, `undo` the address of its undo.

    That names what it takes back: several persons may share an account, and one person may have two windows.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk, self._t = desk, desk.pages.t

    def routes(self) -> list[Route]:
        """Return the routes."""
        doors = {
            "/events/{id}/judge": self.judge,
            "/events/{id}/acknowledge": self.acknowledge,
            JUDGEMENTS_UNDO: self.undo_judgement,
            ATTENTION_UNDO: self.undo_attention,
            "/cameras/{camera}/snooze": self.snooze,
            "/cameras/{camera}/maintenance": self.maintenance,
            "/attention/{entry}/end": self.end,
        }
        return [Route(path, endpoint, methods=["POST"]) for path, endpoint in doors.items()]

    @require(Role.OPERATOR)
    async def judge(self, request: Request) -> Response:
        """Keep what a person says of an alarm: `verdict`, for another class `true_label`, `boxes`, and a `note`."""

        def work(content: Fields) -> Fields:
            entry, account = self._desk.alarm(request), current(request)
            try:
                verdict = Verdict(text_of(content, "verdict"))
            except ValueError:
                raise InputError(f"the verdict is none of {', '.join(known.value for known in Verdict)}") from None
            label = self._true_label(entry, content) if verdict is Verdict.OTHER else ""
            boxes = content.get("boxes") or [] if verdict in (Verdict.RIGHT, Verdict.OTHER) else []
            role, note = account.role.name.lower(), text_of(content, "note")
            judgement = judge_event(entry.document, verdict, account.name, role, label, boxes, note)
            self._desk.judgements.add(judgement)
            self._desk.audit(request, f"judged {verdict.value}{f' {label}' if label else ''}", entry.id)
            words = self._t(f"verdict.{verdict.value}") + (f": {label}" if label else "")
            words += f", {self._t('event.boxes', n=len(boxes))}" if boxes else ""
            return {
                "message": self._t("event.judged", words=words),
                "undo": f"{JUDGEMENTS_UNDO}?id={judgement.id}",
                "event": entry.id,
            }

        return await self._done(request, work)

    def _true_label(self, entry: Entry, content: Fields) -> str:
        """Return the other class: one that the model knows, in its spelling, or a word of the person's own."""
        said = " ".join(text_of(content, "true_label").split())
        label = next((known for known in self._desk.labels() if known.casefold() == said.casefold()), said)
        if label == entry.document.get("label"):
            raise InputError(f"{label} is what the alarm says; judge it right, or name another class")
        return label

    @require(Role.OPERATOR)
    async def acknowledge(self, request: Request) -> Response:
        """Note that somebody has seen an alarm."""

        def work(content: Fields) -> Fields:
            entry = self._desk.alarm(request)
            seen = self._desk.attention.acknowledge(entry.id, current(request).name)
            self._desk.audit(request, "acknowledged", entry.id)
            return {"message": self._t("event.acknowledged"), "undo": _undo_of(seen), "event": entry.id}

        return await self._done(request, work)

    @require(Role.OPERATOR)
    async def undo_judgement(self, request: Request) -> Response:
        """Take back the judgement with this `id`, or the newest, of this person."""

        def work(content: Fields) -> Fields:
            undone = self._desk.judgements.undo(current(request).name, request.query_params.get("id", ""))
            if undone is None:
                return {"message": self._t("event.nothing_to_undo")}
            self._desk.audit(request, "took a judgement back", undone.event)
            return {"message": self._t("event.undone"), "event": undone.event}

        return await self._done(request, work)

    @require(Role.OPERATOR)
    async def undo_attention(self, request: Request) -> Response:
        """Take back the acknowledgement, snooze or maintenance with this `id`, or the newest, of this person."""

        def work(content: Fields) -> Fields:
            given = request.query_params.get("id")
            entry = None if given is None else whole_of(given) or 0  # 0 is none's
            undone = self._desk.attention.undo(current(request).name, entry)
            if undone is None:
                return {"message": self._t("event.nothing_to_undo")}
            self._desk.audit(request, f"took back {undone.kind}", undone.event or undone.camera)
            return {"message": self._t("event.undone"), "event": undone.event}

        return await self._done(request, work)

    @require(Role.OPERATOR)
    async def snooze(self, request: Request) -> Response:
        """Snooze alarms of a camera for `hours`: of one `label`, or of all."""

        def work(content: Fields) -> Fields:
            camera, label = self._desk.camera(request.path_params["camera"]).name, text_of(content, "label")
            if label and label not in self._desk.labels():
                raise InputError("the label is none of the model's; choose one of the list")
            until = time.time() + hours_of(content) * 3600
            entry = self._desk.attention.snooze(camera, label, until, current(request).name)
            self._desk.audit(request, f"snoozed {label or 'all labels'} until {shown_time(until)}", camera)
            return {"message": self._t("event.snoozed", until=shown_time(until)), "undo": _undo_of(entry)}

        return await self._done(request, work)

    @require(Role.OPERATOR)
    async def maintenance(self, request: Request) -> Response:
        """Put a camera under maintenance for `hours`."""

        def work(content: Fields) -> Fields:
            camera = self._desk.camera(request.path_params["camera"]).name
            until = time.time() + hours_of(content) * 3600
            entry = self._desk.attention.maintenance(camera, until, current(request).name)
            self._desk.audit(request, f"maintenance until {shown_time(until)}", camera)
            message = self._t("cameras.maintained", camera=camera, until=shown_time(until))
            return {"message": message, "undo": _undo_of(entry)}

        return await self._done(request, work)

    @require(Role.OPERATOR)
    async def end(self, request: Request) -> Response:
        """End a snooze or a maintenance."""

        def work(content: Fields) -> Fields:
            number = whole_of(request.path_params["entry"])
            if number is None:
                raise HTTPException(404)
            ended = self._desk.attention.end(number, current(request).name)
            self._desk.audit(request, f"ended {ended.kind}", ended.camera)
            return {"message": self._t("cameras.ended"), "undo": _undo_of(ended)}

        return await self._done(request, work)

    async def _done(self, request: Request, work: Callable[[Fields], Fields]) -> Response:
        """Do the `work` with what the request carries, in a thread since it writes to a disk; answer its result."""
        return JSONResponse(await run_in_threadpool(work, await fields(request)))


def _undo_of(entry: attention.Entry) -> str:
    return f"{ATTENTION_UNDO}?id={entry.id}"
