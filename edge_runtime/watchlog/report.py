"""The report of a night: what was watched, and what was not, as a log line, as JSON, as a page."""

import html
import time
from pathlib import Path
from string import Template
from typing import Any

from ..web.page_style import page_style
from .ledger_query import Interval, Night

PAGE = Path(__file__).with_name("night.html")  # a template of the standard library
MINUTE = 60.0  # seconds
MOMENT, TIME, MINUTES = "%Y-%m-%d %H:%M:%S", "%H:%M:%S", "%H:%M"
MAX_NAMED = 5  # intervals in the log line; the page has all


def watched_share(night: Night, camera: str | None = None) -> float | None:
    """Return the share of camera time that was watched, 0..1, of one camera or all; None where none was due."""
    due = sum(seconds for name, seconds in night.due.items() if camera in (None, name))
    blind = sum(interval.seconds for interval in night.blind if camera in (None, interval.camera))
    return max(0.0, 1 - blind / due) if due > 0 else None


def log_line(night: Night) -> str:
    """Return one line, `watched 97.4 % of camera time; yard-3 blind 02:10-03:40 (frozen)`."""
    share = watched_share(night)
    watched = "watched nothing: no camera was due" if share is None else f"watched {percent(share)} of camera time"
    longest = sorted(night.blind, key=lambda interval: -interval.seconds)
    named = sorted(longest[:MAX_NAMED], key=lambda interval: interval.began)
    parts = [f"{i.camera} blind {_when(i)} ({i.cause.value})" for i in named]
    rest = len(longest) - len(named)
    parts += [f"{rest} shorter interval{'s' if rest > 1 else ''}"] if rest else []
    for camera in dict.fromkeys(interval.camera for interval in night.maintenance):
        parts.append(f"{camera} under maintenance for {length(_maintenance(night, camera))}")
    return "; ".join([watched, *parts])


def _maintenance(night: Night, camera: str) -> float:
    """Return for how many seconds the camera was under maintenance."""
    return sum(interval.seconds for interval in night.maintenance if interval.camera == camera)


def to_json(night: Night) -> dict[str, Any]:
    """Return the whole night as plain values; times in seconds, wall times since 1970."""
    share = watched_share(night)
    return {
        "until": round(night.until.wall, 1),
        "seconds": round(night.seconds, 1),
        "watched_share": None if share is None else round(share, 5),
        "cameras": {name: _camera(night, name) for name in night.due},
    }


def _camera(night: Night, name: str) -> dict[str, Any]:
    share = watched_share(night, name)
    return {
        "due_seconds": round(night.due[name], 1),
        "watched_share": None if share is None else round(share, 5),
        "blind": [_interval(interval) for interval in night.blind if interval.camera == name],
        "maintenance_seconds": round(_maintenance(night, name), 1),
        "maintenance": [_interval(interval) for interval in night.maintenance if interval.camera == name],
    }


def _interval(interval: Interval) -> dict[str, Any]:
    return {
        "cause": interval.cause.value,
        "began": round(interval.wall, 1),
        "seconds": round(interval.seconds, 1),
        "estimated": interval.estimated,
    }


def to_html(night: Night, station: str) -> str:
    """Return a page without scripts or outside parts; every name is escaped."""
    intervals = "".join(_interval_row(interval) for interval in (*night.blind, *night.maintenance))
    began = night.until.wall - night.seconds
    state, share, headline = _verdict(night)
    return Template(PAGE.read_text(encoding="utf-8")).substitute(
        style=page_style(),
        title=f"{html.escape(station)}: what was watched",
        state=state,
        share=share,
        headline=headline,
        summary=html.escape(log_line(night)),
        began=_local(began, MOMENT),
        ended=_local(night.until.wall, MOMENT),
        hours="".join(f"<span>{_local(began + part * night.seconds / 4, MINUTES)}</span>" for part in range(5)),
        cameras="".join(_camera_row(night, name) for name in night.due),
        intervals=intervals or '<tr><td colspan="5">No camera was blind or under maintenance.</td></tr>',
    )


def _verdict(night: Night) -> tuple[str, str, str]:
    """Return the state that colours the page, the share that was watched, and what that means."""
    share, blind = watched_share(night), {interval.camera for interval in night.blind}
    if share is None:
        return "off", "nothing", "No camera was due."
    if not blind:
        return "ok", percent(share), "Every camera was watched all the time."
    were = "were" if len(blind) > 1 else "was"
    cameras = f"{len(blind)} of {len(night.due)} camera{'s' if len(night.due) > 1 else ''}"
    return "warn" if share else "bad", percent(share), f"{cameras} {were} blind for a time."


def _camera_row(night: Night, name: str) -> str:
    share = watched_share(night, name)
    start = night.until.monotonic - night.seconds
    step = 100 / night.seconds  # percent of the bar for a second
    bars = [("watched", began, ended) for began, ended in night.spans[name]]
    bars += [("blind", i.began, i.ended) for i in night.blind if i.camera == name]
    bars += [("maintenance", i.began, i.ended) for i in night.maintenance if i.camera == name]
    spans = "".join(
        f'<span class="{kind}" style="left:{step * (on - start):.2f}%;width:{step * (off - on):.2f}%"></span>'
        for kind, on, off in bars
    )
    text = "not due" if share is None else percent(share)
    return (
        f'<tr><th scope="row">{html.escape(name)}</th><td class="number">{text}</td>'
        f'<td><div class="stretch" aria-hidden="true">{spans}</div></td></tr>'
    )


def _interval_row(interval: Interval) -> str:
    about = "about " if interval.estimated else ""
    cells = {
        "Camera": html.escape(interval.camera),
        "From": _local(interval.wall, MOMENT),
        "To": _local(interval.wall + interval.seconds, TIME),
        "Length": f"{about}{length(interval.seconds)}",
        "Cause": f"<span><strong>{interval.cause.value}</strong>: {html.escape(interval.cause.advice)}</span>",
    }
    row = "".join(f'<td data-label="{name}">{text}</td>' for name, text in cells.items())
    return f"<tr>{row}</tr>"


def percent(share: float, digits: int = 1) -> str:
    """Return a share (0 to 1) in percent, never rounded up to a whole that it is not."""
    factor = 10**digits
    return f"{int(share * 100 * factor + 1e-9) / factor:.{digits}f} %"


def _when(interval: Interval) -> str:
    if interval.seconds < MINUTE:
        return f"{length(interval.seconds)} at {_local(interval.wall, MINUTES)}"
    return f"{_local(interval.wall, MINUTES)}-{_local(interval.wall + interval.seconds, MINUTES)}"


def _local(wall: float, form: str) -> str:
    return time.strftime(form, time.localtime(wall))


def length(seconds: float) -> str:
    """Return a length of time as `3 h 12 min`, `2 min 5 s` or `7 s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
