"""The night: what was watched and what was not, the alarms and what persons said of them, and how the station does."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...bundle.manifest import Manifest, SmallestFault
from ...clock import instant, iso
from ...judgements.records import Verdict
from ...updates.errors import advice_on
from ...watchlog.ledger_query import Interval, Night, ledger_path, read_night_of
from ...watchlog.report import length, watched_share
from ...web.access import require
from ...web.accounts import Role
from ..scores.drift import LEARNING, LEFT, read_drift
from ..scores.replay import SAME_SECONDS
from ..state_lock import is_running
from ..updating.signed_reports import on_disk
from .desk import NIGHTS, PERIODS, Desk, percent, period_of, shown_time, wall_of

DAY = 86400.0  # seconds
PRECISION_DAYS = 8 * 7
MOST_INTERVALS = 200  # in the table of what was not watched


class NightPage:
    """The page of the night, and the part about cameras that the page of cameras shows too."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        """Return the route."""
        return [Route("/night", self.page)]

    @require(Role.VIEWER)
    def page(self, request: Request) -> Response:
        """Show the report of the last hours."""
        period = period_of(request.query_params, NIGHTS, "24h")
        seconds = PERIODS[period]
        told, night = self._desk.service.read(), self._night(seconds)
        share = watched_share(night)
        context = {
            "period": period,
            "periods": NIGHTS,
            "covered": "" if share is None else percent(share, 1),
            "covered_state": "off" if share is None else "ok" if share > 0.99 else "warn" if share > 0.9 else "bad",
            "began": shown_time(night.until.wall - (night.until.monotonic - shown_from(night))),
            "ended": shown_time(night.until.wall),
            "cameras": [self._camera(night, name) for name in self._desk.cameras],
            "intervals": self._intervals(night)[:MOST_INTERVALS],
            "alarms": self._alarms(night.until.wall - seconds, night.until.wall),
            "outbox": self._desk.events.counts(),
            "sinks": self._sinks(),
            "precision": self._precision(),
            "drift": self._drift(),
            **self._model(told),
        }
        return self._desk.pages.answer(request, "night.html", context)

    def _night(self, seconds: float) -> Night:
        state_dir = self._desk.settings.station.state_dir
        ledger = ledger_path(state_dir)
        if not ledger.exists():
            return Night(seconds, instant(), {}, ())
        return read_night_of(ledger, seconds, instant(), is_running(state_dir))

    def _camera(self, night: Night, name: str) -> dict[str, Any]:
        """Return the bar of a camera and what it can see."""
        start = shown_from(night)
        shown = max(night.until.monotonic - start, 1.0)
        t, share = self._desk.pages.t, watched_share(night, name) if name in night.spans else None

        def part(began: float, ended: float, state: str, words: str) -> dict[str, Any]:
            return {
                "from": (began - start) / shown,
                "to": (ended - start) / shown,
                "state": state,
                "words": words,
            }

        def of(interval: Interval, state: str) -> dict[str, Any]:
            span = f"{shown_time(interval.wall)} – {shown_time(interval.wall + interval.seconds)}"
            return part(interval.began, interval.ended, state, f"{t(f'cause.{interval.cause.value}')} {span}")

        spans = [(start, start), *night.spans.get(name, ()), (night.until.monotonic,) * 2]
        parts = [
            part(left[1], right[0], "off", t("night.not_due"))
            for left, right in pairwise(spans)
            if right[0] - left[1] > 1
        ]
        parts += [of(interval, "bad") for interval in night.blind if interval.camera == name]
        parts += [of(interval, "note") for interval in night.maintenance if interval.camera == name]
        return {
            "name": name,
            "parts": parts,
            "covered": percent(share, 1),
            "maintenance": _length_of(night.maintenance, name),
            "blind": _length_of(night.blind, name),
            "smallest": smallest_seen(self._desk, name),
        }

    def _intervals(self, night: Night) -> list[dict[str, Any]]:
        found = sorted((*night.blind, *night.maintenance), key=lambda interval: -interval.wall)
        return [
            {
                "camera": interval.camera,
                "began": shown_time(interval.wall, seconds=True),
                "ended": shown_time(interval.wall + interval.seconds, seconds=True),
                "length": length(interval.seconds),
                "estimated": interval.estimated,
                "cause": f"cause.{interval.cause.value}",
                "state": "note" if interval in night.maintenance else "bad",
                "advice": interval.cause.advice,
            }
            for interval in found
        ]

    def _alarms(self, since: float, until: float) -> dict[str, Any]:
        """Return how many alarms there were, by label, and what persons said of them so far.

        One that a clock which went ahead has dated later than now is of no night; the list of events has it.
        """
        alarms = dict(self._desk.events.alarm_labels(since, until + SAME_SECONDS))
        judged = self._desk.judgements.judged_events(iso(since)).items()
        said = Counter(judgement.verdict for event, judgement in judged if event in alarms)
        labels = Counter(alarms.values())
        return {
            "all": len(alarms),
            "open": len(alarms) - sum(said.values()),
            "right": said[Verdict.RIGHT],
            "false": said[Verdict.WRONG] + said[Verdict.OTHER],
            "unsure": said[Verdict.UNSURE],
            "labels": labels.most_common(),
        }

    def _sinks(self) -> list[str]:
        sections = {"mqtt": self._desk.settings.mqtt, "webhook": self._desk.settings.webhook}
        return [name for name, section in sections.items() if section is not None]

    def _precision(self) -> list[dict[str, Any]]:
        since = iso((time.time() // DAY - PRECISION_DAYS) * DAY)  # the same question all day: it is counted once
        weeks: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for found in self._desk.judgements.precision(since):
            words = f"{found.week} {percent(found.value)}"
            weeks.setdefault((found.camera, found.label), []).append({"value": found.value, "words": words})
        return [
            {
                "camera": found.camera,
                "label": found.label,
                "right": found.right,
                "judged": found.right + found.wrong,
                "value": found.value,
                "words": percent(found.value),
                "interval": " – ".join(percent(end) for end in found.interval),
                "weeks": weeks[found.camera, found.label],
            }
            for found in self._desk.judgements.precision(since, by_week=False)
        ]

    def _drift(self) -> dict[str, Any]:
        states = read_drift(self._desk.settings.station.state_dir)
        return {
            "left": [
                {"view": " ".join(filter(None, (one.camera, one.region))), "sentence": one.sentence}
                for one in states
                if one.state == LEFT
            ],
            "learning": sum(one.state == LEARNING for one in states),
            "all": len(states),
        }

    def _model(self, told: Mapping[str, Any]) -> dict[str, Any]:
        """Return which model serves and how far the newest update is, as the service says, else as the disk does."""
        model, update = (told["model"], told["update"]) if told else on_disk(self._desk.settings)
        reason = update.get("reason", "")
        return {
            "answers": bool(told),
            "disk": told.get("disk", ""),
            "model": model if model and model.get("digest") else None,
            "update": {
                "stage": update.get("stage", ""),
                "since": shown_time(wall_of(str(update.get("since") or ""))),
                "why": ": ".join(filter(None, (reason, update.get("detail", "")))),
                "advice": advice_on(reason) or "",
            },
        }


def shown_from(night: Night) -> float:
    """Return where the bars of a night begin, on the ledger's time axis: not before any camera was to be watched."""
    began = [spans[0][0] for spans in night.spans.values() if spans]
    return min(began, default=night.until.monotonic - night.seconds)


def smallest_seen(desk: Desk, camera: str) -> str:
    """Return in words the smallest fault that the views of a camera can show, or why that is not known."""
    manifest = desk.model.manifest()
    if manifest is None:
        return desk.pages.t("night.smallest_no_model")
    if (smallest := manifest.smallest_fault) is None:
        return desk.pages.t("night.smallest_untold")
    sizes = view_sizes(desk, camera)
    if not sizes:
        return desk.pages.t("night.smallest_unknown")
    words = []
    for region, (height, width) in sizes.items():
        pixels = smallest_pixels(manifest, smallest, height, width)
        said = desk.pages.t("night.smallest", n=pixels, share=percent(pixels / min(height, width)))
        words.append(f"{region}: {said}" if len(sizes) > 1 else said)
    return "; ".join(words)


def view_sizes(desk: Desk, camera: str) -> dict[str, tuple[int, int]]:
    """Return by region the size (height, width) of what was judged last of a camera, where that is known."""
    found = {}
    for slot, (name, region) in enumerate(desk.views):
        if name == camera and (seen := desk.picture_text(slot)):
            height, width = seen[1]["size"]
            found[region] = (int(height), int(width))
    return found


def smallest_pixels(manifest: Manifest, smallest: SmallestFault, height: int, width: int) -> int:
    """Return the smallest fault in pixels of a view of this size, whose canvas shows it smaller or larger."""
    place = manifest.input.placement(height, width)
    return max(1, round(smallest.pixels * max(width / place.width, height / place.height)))


def _length_of(intervals: Iterable[Interval], camera: str) -> str:
    """Return how long the intervals of a camera last together, "" where there is none."""
    seconds = sum(interval.seconds for interval in intervals if interval.camera == camera)
    return length(seconds) if seconds >= 0.5 else ""
