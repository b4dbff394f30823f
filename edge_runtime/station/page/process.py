"""The page's process as a child of the service: started, restarted with growing delays, ended with the service."""

import contextlib
import logging
import os
import subprocess
import threading
from collections.abc import Sequence

from ...child_process import end_child, start_child
from ...delays import restart_delay
from .live_frames import LiveFrames

HUNG_SECONDS = 60.0  # without a sign of life; a page under load or a paused machine answers sooner
GOOD_SECONDS = 60.0  # a process that lived so long has begun well: the next wait is the shortest again
NICENESS = 10  # the watch comes first

log = logging.getLogger(__name__)


class PageProcess:
    """Runs `command` with the descriptor of the live `frames`; without a command there is no page.

    Standard input is a pipe that nobody writes to: where it ends, the service is gone, and the page ends too.
    """

    def __init__(self, command: Sequence[str] = (), frames: LiveFrames | None = None) -> None:
        self._command, self._frames = tuple(command), frames
        self._child: subprocess.Popen[bytes] | None = None
        self._start_at, self._began, self._failures = 0.0, 0.0, 0

    def tick(self, now: float) -> None:
        """Start the process, end one that hangs, or note that it died; `now` is in monotonic seconds."""
        if not self._command:
            return
        if self._child is not None and self._hangs(now):
            log.warning("the page has not answered for %.0f s, it is ended", HUNG_SECONDS)
            end_child(self._child)
        if self._child is not None and (code := self._child.poll()) is not None:
            end_child(self._child)
            self._child = None
            wait = self._wait(now)
            log.warning("the page ended with code %d, it starts again in %.0f s; its messages stand above", code, wait)
        if self._child is None and now >= self._start_at:
            self._began = now
            handles = (self._frames.handle,) if self._frames else ()
            try:
                self._child = start_child(self._command, stdin=subprocess.PIPE, pass_fds=handles)
            except OSError as error:  # such as too many processes: the watch goes on
                log.warning("the page cannot be started (%s), it is tried again in %.0f s", error, self._wait(now))

    def _hangs(self, now: float) -> bool:
        last = self._frames.last_alive() if self._frames else now
        return now - max(last, self._began) > HUNG_SECONDS

    def _wait(self, now: float) -> float:
        """Note that the process failed; return the seconds until it is started again."""
        self._failures = 1 if now - self._began > GOOD_SECONDS else self._failures + 1
        delay = restart_delay(self._failures)
        self._start_at = now + delay
        return delay

    def stop(self) -> None:
        """End the process at once: what it wrote is in databases that survive that."""
        if self._child is not None:
            end_child(self._child)
            self._child = None
        if self._frames is not None:
            self._frames.close()
            self._frames = None


def follow_parent(stop: threading.Event) -> None:
    """Make way for the service, whose child this process is, on the processor; set `stop` once that is gone."""
    with contextlib.suppress(OSError):
        os.nice(NICENESS)

    def wait() -> None:
        while os.read(0, 1):  # sys.stdin has a lock, which a page that ends by itself would stumble over
            pass
        stop.set()

    threading.Thread(target=wait, name="parent", daemon=True).start()
