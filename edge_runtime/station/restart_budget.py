"""How often processes may be replaced before the fault is not theirs. Pure; time is passed in."""

from collections import deque
from collections.abc import Iterable, Mapping

ALLOWED = 10  # replacements of one process
WITHIN_SECONDS = 600.0


class RestartBudget:
    """One camera that always crashes its decoder is a bad camera; all of them together are a bad service."""

    def __init__(self, names: Iterable[str]) -> None:
        self._times: dict[str, deque[float]] = {name: deque(maxlen=ALLOWED + 1) for name in names}
        self._known: dict[str, int] = {}

    def spent(self, restarts: Mapping[str, int], now: float) -> bool:
        """`restarts` so far, by name, at `now` (monotonic seconds): whether every one is over its budget."""
        for name, count in restarts.items():
            self._times[name].extend([now] * (count - self._known.get(name, 0)))
            self._known[name] = count
        return bool(self._times) and all(self._is_over(times, now) for times in self._times.values())

    def _is_over(self, times: deque[float], now: float) -> bool:
        return len(times) > ALLOWED and now - times[0] <= WITHIN_SECONDS
