"""The cameras: how each does, what it can see, and for how long it is under maintenance or snoozed."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...causes import Cause
from ...web.access import require
from ...web.accounts import Role
from .desk import SNOOZE_HOURS, Desk, shown_time, wall_of
from .night import smallest_seen, view_sizes

MAINTENANCE_HOURS = (1, 2, 4, 8, 24, 72, 168)
STATES = {"online": "ok", "maintenance": "note", "offline": "bad", "not_evaluated": "warn"}
HISTORY = 20  # lines of who told what


class Cameras:
    """The page of cameras."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        """Return the route."""
        return [Route("/cameras", self.page)]

    @require(Role.VIEWER)
    def page(self, request: Request) -> Response:
        """Show all cameras."""
        manifest = self._desk.model.manifest()
        context = {
            "cameras": [self._camera(name) for name in self._desk.cameras],
            "faults": manifest.fault_labels if manifest else (),
            "maintenance_hours": MAINTENANCE_HOURS,
            "snooze_hours": SNOOZE_HOURS,
            "history": [
                {
                    "when": shown_time(line.wall),
                    "by": line.by,
                    "what": f"cameras.did_{line.kind}{'' if line.seconds or line.kind not in ENDED else '_end'}",
                    "about": " ".join(filter(None, (line.camera, line.label))),
                }
                for line in self._desk.attention.history(HISTORY)
            ],
        }
        return self._desk.pages.answer(request, "cameras.html", context)

    def _camera(self, name: str) -> dict[str, Any]:
        told, t = self._desk.service.read(), self._desk.pages.t
        status = told.get("cameras", {}).get(name) or {"status": "offline", "cause": Cause.NOT_RUNNING.value}
        cause = status.get("cause", "")
        since = shown_time(wall_of(told.get("since", {}).get(name, "")))
        holding = self._desk.attention.current()
        maintenance = holding.maintenance.get(name)
        return {
            "name": name,
            "state": STATES.get(status.get("status", ""), "off"),
            "words": t(f"cause.{cause}") if cause else t("cameras.watched"),
            "since": since if cause else "",
            "advice": status.get("problem") or (Cause(cause).advice if cause else ""),
            "sizes": [f"{width} × {height}" for height, width in view_sizes(self._desk, name).values()],
            "smallest": smallest_seen(self._desk, name),
            "masks": len(self._desk.camera(name).masks),
            "maintenance": maintenance and _mark(maintenance.entry, maintenance.until, maintenance.by),
            "snoozes": [
                {**_mark(mark.entry, mark.until, mark.by), "label": label}
                for (camera, label), mark in holding.snoozes.items()
                if camera == name
            ],
        }


ENDED = ("maintenance", "snooze")  # kinds of entries that also tell an end


def _mark(entry: int, until: float, by: str) -> dict[str, Any]:
    return {"entry": entry, "until": shown_time(until), "by": by}
