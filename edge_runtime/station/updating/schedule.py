"""Starts a command as a child of the service: now and then, one at a time, and never beside a candidate."""

import logging
import random
import subprocess
from collections.abc import Callable, Sequence

from ...child_process import end_child, start_child
from ...delays import send_delay

FIRST_SECONDS = 60.0  # after the start of the service: its cameras come first
RETRY_SECONDS = 30.0  # after the first failure, such as a link that is down; doubles up to the interval
SPREAD = 0.1  # of the interval, so that stations do not ask in step

log = logging.getLogger(__name__)


class CommandSchedule:
    """Runs `command` (none: nothing) every `interval` seconds, the first time `first` seconds after the first tick.

    Where it fails it runs again sooner. `chance` returns a number in 0..1.
    """

    def __init__(
        self,
        command: Sequence[str],
        interval: float,
        first: float = FIRST_SECONDS,
        chance: Callable[[], float] = random.random,
        what: str = "update",
    ) -> None:
        """`what` names the process in the log."""
        self._what = what
        self._command, self._interval, self._first, self._chance = tuple(command), interval, first, chance
        self._due: float | None = None  # monotonic seconds
        self._child: subprocess.Popen[bytes] | None = None
        self._failures = 0

    def tick(self, now: float, busy: bool) -> None:
        """Start the process where it is due at `now` (monotonic seconds), unless the service is `busy` with a model."""
        if not self._command:
            return
        if self._due is None:
            self._due = now + min(self._first, self._interval) * (1 + SPREAD * self._chance())
        if self._child is not None:
            self._look_after(self._child, now)
        elif now >= self._due and not busy:
            log.info("the %s process starts", self._what)
            try:
                self._child = start_child(self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            except OSError as error:  # such as too many processes: the watch goes on
                log.warning("the %s process cannot be started (%s)", self._what, error)
                self._failed(now)

    def stop(self) -> None:
        """End the process; whatever it was doing, the next one goes on there."""
        if self._child is not None:
            end_child(self._child)
            self._child = None

    def _look_after(self, child: "subprocess.Popen[bytes]", now: float) -> None:
        if (code := child.poll()) is None:
            return
        self._child = None
        if code:
            log.warning("the %s process ended with code %d; its messages stand before this one", self._what, code)
            self._failed(now)
        else:
            self._failures = 0
            self._due = now + self._interval * (1 + SPREAD * self._chance())

    def _failed(self, now: float) -> None:
        self._failures += 1
        usual = self._interval * (1 + SPREAD * self._chance())
        soon = send_delay(self._failures, self._chance(), first=RETRY_SECONDS, cap=self._interval)
        self._due = now + min(usual, soon)


class Schedules:
    """Several schedules that are looked after together."""

    def __init__(self, *schedules: CommandSchedule) -> None:
        self._schedules = schedules

    def tick(self, now: float, busy: bool) -> None:
        """Start what is due at `now` (monotonic seconds), unless the service is `busy` with a model."""
        for schedule in self._schedules:
            schedule.tick(now, busy)

    def stop(self) -> None:
        """End every process; whatever it was doing, the next one goes on there."""
        for schedule in self._schedules:
            schedule.stop()
