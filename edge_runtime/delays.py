"""How long to wait before something that failed is tried again. Pure: time and chance are passed in."""

import random

from .causes import Cause

LONGEST_SECONDS = 60.0  # between two tries of a camera, or two starts of its process
LOGIN_SECONDS = 5.0  # after the first rejected login; doubles, because cameras lock accounts
CRASH_SECONDS = 1.0  # after the first crash of a process; doubles
OUTAGE_SHARE = 1 / 40  # of the outage so far is waited
SHORTEST_SECONDS = 0.5
LEDGER_SECONDS = 10.0  # between two tries to open a ledger that the disk refused


def reconnect_delay(cause: Cause, outage_seconds: float, tries: int, chance: float | None = None) -> float:
    """Return the seconds until a camera is asked again, `tries` failed ones into an outage.

    The wait grows with the outage, not with the number of tries, so that a short outage is ended at once when it ends:
    a fortieth of the outage so far, between half a second and a minute. After 60 s down a camera is asked every 1.5 s,
    after 40 minutes every 60 s. A rejected login doubles its wait instead. Each wait is drawn from 75 to 125 % of that,
    so that cameras do not ask in step; `chance` in 0..1 replaces the random number.
    """
    if cause in (Cause.AUTH, Cause.FORBIDDEN):
        base = _doubled(tries, LOGIN_SECONDS, LONGEST_SECONDS)
    else:
        base = min(max(outage_seconds * OUTAGE_SHARE, SHORTEST_SECONDS), LONGEST_SECONDS)
    chance = random.random() if chance is None else chance
    return min(base * (0.75 + 0.5 * chance), LONGEST_SECONDS)


def restart_delay(crashes: int) -> float:
    """Return the seconds until a process is started again that died by itself so many times in a row (from 1)."""
    return _doubled(crashes, CRASH_SECONDS, LONGEST_SECONDS)


def send_delay(failures: int, chance: float, first: float = 1.0, cap: float = 60.0) -> float:
    """Return the seconds until the next try to send, after so many failures in a row (from 1).

    `first` seconds, then twice as long each time up to `cap`, each shortened by up to a half: `chance` is 0..1.
    """
    return _doubled(failures, first, cap) * (1 - chance / 2)


def _doubled(failures: int, first: float, cap: float) -> float:
    return min(first * 2.0 ** min(failures - 1, 30), cap)
