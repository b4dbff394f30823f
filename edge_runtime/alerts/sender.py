"""The loop that sends events to one sink: it owns retries and delays, so that no sink has to."""

import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ..bundle.errors import UnavailableError
from ..delays import send_delay
from .outbox import Entry, Outbox
from .sink import Answer, Sink, Verdict

POLL_SECONDS = 1.0  # how often a link without traffic is looked after

Delay = Callable[[int, float], float]  # (failures in a row, chance in 0..1) -> seconds to wait
CAMERA_DELAY = partial(send_delay, first=5.0, cap=300.0)  # for the events of one camera

log = logging.getLogger(__name__)


@dataclass
class _Trouble:
    """Failures in a row of a sink, or of one camera at it, and the monotonic time of the next try."""

    failures: int = 0
    until: float = 0.0


class Sender:
    """Sends what the outbox has for one sink: in order for each camera, again and again until it is acknowledged.

    Whatever is wrong with the sink delays everything; what is wrong with one camera's events delays that camera.
    """

    def __init__(
        self,
        outbox: Outbox,
        sink: Sink,
        delay: Delay = send_delay,
        camera_delay: Delay = CAMERA_DELAY,
        monotonic: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._outbox, self._sink = outbox, sink
        self._delay, self._camera_delay = delay, camera_delay
        self._monotonic, self._chance = monotonic, chance
        self._all = _Trouble()
        self._held: dict[str, _Trouble] = {}  # by camera whose events the sink does not take for now
        self._unmarked: dict[int, str | None] = {}  # decided, but not on disk yet: why it is refused, None where taken
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sender-{sink.name}", daemon=True)
        self.trouble = ""  # why nothing, or not everything, can be sent now

    @property
    def alive(self) -> bool:
        """Whether the loop runs; it ends by `begin_stop`, or by a bug."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Send in a thread of its own."""
        self._thread.start()

    def wake(self) -> None:
        """Look at the outbox again, because something was committed."""
        self._wake.set()

    def begin_stop(self) -> None:
        """Begin to stop: no further event is sent, and the sink is closed."""
        self._stopping.set()
        self._wake.set()
        self._sink.close()

    def join(self, seconds: float) -> None:
        """Wait for the end that `begin_stop` began. What was not acknowledged is sent again next time."""
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            pause = self.step()
            self._wake.wait(min(pause, POLL_SECONDS))

    def step(self) -> float:
        """Send at most one event; return the seconds until the next call is worth it."""
        now = self._monotonic()
        if now < self._all.until:
            return self._all.until - now
        self._mark()
        try:
            self._sink.open()
            waiting = [camera for camera, trouble in self._held.items() if now < trouble.until]
            entry = self._outbox.next(self._sink.name, waiting, self._unmarked)
        except UnavailableError as error:
            return self._hold(self._all, self._delay, str(error))
        if entry is None:
            if not waiting:
                self._held.clear()
                self._settled()
            return POLL_SECONDS
        return self._answered(entry, self._sink.send(entry))

    def _answered(self, entry: Entry, answer: Answer) -> float:
        if answer.verdict is Verdict.UNREACHABLE:
            return self._hold(self._all, self._delay, answer.reason, answer.retry_after)
        self._all = _Trouble()
        if answer.verdict is Verdict.HELD:
            trouble = self._held.setdefault(entry.camera, _Trouble())
            self._hold(trouble, self._camera_delay, answer.reason, answer.retry_after)
            return 0.0
        self._held.pop(entry.camera, None)
        refused = answer.verdict is Verdict.REFUSED
        if refused:
            log.error("%s refuses event %s: %s; it is parked", self._sink.name, entry.id, answer.reason)
        self._unmarked[entry.seq] = answer.reason if refused else None
        self._mark()
        if not self._held:
            self._settled()
        return 0.0

    def _mark(self) -> None:
        """Note what has been decided; on a full disk it stays in memory and is passed over."""
        with contextlib.suppress(UnavailableError):
            for seq, refusal in sorted(self._unmarked.items()):
                if refusal is None:
                    self._outbox.delivered(self._sink.name, seq)
                else:
                    self._outbox.park(self._sink.name, seq, refusal)
                del self._unmarked[seq]

    def _hold(self, trouble: _Trouble, delay: Delay, reason: str, retry_after: float | None = None) -> float:
        """Count one more failure; return the seconds until the next try."""
        trouble.failures += 1
        seconds = retry_after or delay(trouble.failures, self._chance())
        trouble.until = self._monotonic() + seconds
        if reason != self.trouble:  # once, not at every try
            log.warning("%s: %s", self._sink.name, reason)
        self.trouble = reason
        return seconds

    def _settled(self) -> None:
        self._all = _Trouble()
        if self.trouble:
            log.info("%s: takes events again", self._sink.name)
        self.trouble = ""
