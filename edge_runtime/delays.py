"""When to try a camera again. Pure."""

import random
from dataclasses import dataclass

from .causes import Cause

CAP_SECONDS = 60.0
LOGIN_SECONDS = 5.0  # after the first rejected login; doubles, because cameras lock accounts


@dataclass(frozen=True)
class Backoff:
    """The wait grows with the outage, not with the number of tries: a short outage is ended at once when it ends.

    A fortieth of the outage so far, between half a second and a minute: after 60 s down a camera is asked every 1.5 s,
    after 40 minutes every 60 s. Each wait is drawn from 75 to 125 % of that, so that cameras do not ask in step.
    """

    share: float = 1 / 40
    floor_seconds: float = 0.5

    def wait(self, cause: Cause, outage_seconds: float, tries: int, random_unit: float | None = None) -> float:
        """Seconds until the next try, `tries` failed ones into an outage. `random_unit` in 0..1 replaces the dice."""
        if cause is Cause.AUTH:
            base = min(LOGIN_SECONDS * 2.0 ** min(tries - 1, 10), CAP_SECONDS)
        else:
            base = min(max(outage_seconds * self.share, self.floor_seconds), CAP_SECONDS)
        dice = random.random() if random_unit is None else random_unit
        return min(base * (0.75 + 0.5 * dice), CAP_SECONDS)
