"""Which alarm is about which fault. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scipy.stats import binomtest

from benchmarks.watch.film import HOT_SECONDS, View

GRACE = 3.0  # seconds after the lens has closed in which an alarm still counts for its fault

Event = Mapping[str, Any]


@dataclass
class Count:
    """`found`: by hot camera whose fault was seen to its end, the alarms about it and the seconds that each took.

    `false`: all other alarms. `unseen`: hot cameras whose fault was not shown to its end while the station watched.
    """

    found: dict[str, list[tuple[float, Event]]] = field(default_factory=dict)
    false: list[Event] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)

    def told(self, view: View) -> list[str]:
        """Labels of the alarms about a hot view's fault, the first one first."""
        return [event["label"] for _, event in self.found.get(view.camera, [])]


def count_alarms(
    views: Iterable[View],
    alarms: Sequence[tuple[float, Event]],
    began: Mapping[str, Sequence[float]],
    ended: float,
) -> Count:
    """Sort `alarms` (seconds since 1970 of the arrival, document) by what the films showed when they arrived.

    A film that began again before its fault was over counts from the new beginning.
    """
    count = Count()
    for view in views:
        mine = [(at, event) for at, event in alarms if event["camera"] == view.camera]
        opened = None if view.opens is None else _opened(began[view.camera], ended, view.opens)
        if view.opens is not None and opened is None:
            count.unseen.append(view.camera)
        elif opened is not None:
            count.found[view.camera] = [(at - opened, event) for at, event in mine if _about(at - opened)]
        count.false += [event for at, event in mine if opened is None or not _about(at - opened)]
    return count


def _opened(began: Sequence[float], ended: float, opens: float) -> float | None:
    """When the lens first opened for as long as it should."""
    ends = [*began[1:], ended]
    whole = (at + opens for at, end in zip(began, ends, strict=True) if at + opens + HOT_SECONDS + GRACE <= end)
    return next(whole, None)


def _about(seconds: float) -> bool:
    return 0 <= seconds <= HOT_SECONDS + GRACE


def share(hits: int, of: int) -> str:
    """`hits` of `of` with the exact 95 % interval of Clopper and Pearson."""
    if not of:
        return "0 of 0"
    low, high = binomtest(hits, of).proportion_ci(method="exact")
    return f"{hits} of {of}, {100 * hits / of:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
