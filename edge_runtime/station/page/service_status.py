"""What the running service says of itself, asked at most once a second for all viewers together."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

FRESH_SECONDS = 1.0
ANSWER_SECONDS = 2.0  # for the service to answer


class ServiceStatus:
    """Keeps the newest answer of `ask`, which returns an empty one where the service does not answer."""

    def __init__(self, ask: Callable[[], Mapping[str, Any]], clock: Callable[[], float] = time.monotonic) -> None:
        self._ask, self._clock = ask, clock
        self._lock = threading.Lock()
        self._told: Mapping[str, Any] = {}
        self._asked: float | None = None

    def read(self) -> Mapping[str, Any]:
        """Return what the service says, at most a second old; empty where it does not answer."""
        with self._lock:
            if self._asked is None or self._clock() - self._asked >= FRESH_SECONDS:
                self._told = self._ask()
                self._asked = self._clock()
            return self._told
