"""The process of one camera: opens its address, publishes the newest frame, and tries again for ever.

`python -m edge_runtime.cameras.capture_process` is started by `camera.Camera` alone. It reads its orders as one JSON
line from standard input, so that no password shows in the list of processes, and dies when standard input closes.
"""

import json
import os
import signal
import sys
import threading
import time
import traceback
from contextlib import closing
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import cast

import cv2

from ..bundle.preprocess import Frame
from ..bundle.radiometric import RadiometricRule
from ..causes import Cause
from ..delays import reconnect_delay
from ..redact import redact
from .address import CameraAddress, Kind
from .frame_marker import draw_mark
from .readers import BACKLOG, Waits, open_source
from .regions import Rectangle, paint
from .rtsp_describe import AnswerTimeout, SourceFailed
from .shared_frame import MAX_FRAME_BYTES, Field, SharedFrame

ANSWER_SHARE = 1 / 3  # of the time for opening, that a camera may take to answer
EXTRA_SECONDS = 50.0  # that a camera which did not answer in time may take on the same connection
GRACE_SECONDS = 5.0  # beyond a wait that was announced


@dataclass(frozen=True)
class CaptureOrders:
    """What a capture process is asked to do. The time-outs are those of the camera's settings."""

    address: CameraAddress
    open_timeout: float
    read_timeout: float
    upload_timeout: float
    check_seconds: float  # between two frames that are decoded and published
    shared_memory: int  # file descriptor
    frame_event: int  # eventfd that is written at each frame
    radiometric: RadiometricRule | None = None  # the bundle's rule for radiometric pictures in a folder
    masks: tuple[Rectangle, ...] = ()  # what is painted over

    def to_line(self) -> bytes:
        """Return the orders as one line of JSON."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "CaptureOrders":
        """Return the orders that `to_line` wrote."""
        document = json.loads(line)
        address, rule = document.pop("address"), document.pop("radiometric")
        read = RadiometricRule.from_json(rule) if rule else None
        document["masks"] = tuple(tuple(mask) for mask in document["masks"])
        return cls(CameraAddress(Kind(address.pop("kind")), **address), **document, radiometric=read)


class Capture:
    """Brings the frames of one address into one shared memory."""

    def __init__(self, orders: CaptureOrders, shared: SharedFrame) -> None:
        self.orders = orders
        self.shared = shared

    def run(self) -> None:
        """Capture until a source that may end has ended. The successor of a killed process first waits its turn."""
        if self.shared[Field.TRIES]:
            self._wait()
        while not self.shared[Field.FINISHED]:
            try:
                self._stream()
            except SourceFailed as failure:
                self._fail(failure.cause)
            if not self.shared[Field.FINISHED] and self.shared[Field.TRIES]:
                self._wait()

    def _stream(self) -> None:
        """Publish until the source ends. Of a folder every picture counts; of a stream those that are due."""
        orders, due, seen_at = self.orders, 0.0, time.monotonic()
        folder = orders.address.kind is Kind.FOLDER
        patience = EXTRA_SECONDS if folder else orders.read_timeout
        self._announce_deadline(EXTRA_SECONDS if folder else orders.open_timeout)
        timeout = AnswerTimeout(orders.open_timeout * ANSWER_SHARE, EXTRA_SECONDS, self._report_silence)
        waits = Waits(orders.read_timeout, orders.upload_timeout, orders.check_seconds)
        # The successor of a process that died does not show again what may have killed it.
        backlog = 0 if self.shared[Field.TRIES] else BACKLOG
        with closing(open_source(orders.address, timeout, waits, backlog, orders.radiometric)) as frames:
            for decode in frames:
                now = time.monotonic()
                self._announce_deadline(patience)
                if isinstance(decode, Cause):
                    self._fail(decode)
                if not callable(decode) or (now < due and not folder):
                    continue
                due = max(due + orders.check_seconds, now)
                try:
                    published = self._publish(decode(), now)
                except SourceFailed as failure:
                    if not folder:
                        raise
                    # The next picture in a folder may be another.
                    self._fail(failure.cause)
                    continue
                if published:
                    seen_at = now
                elif folder:
                    self._fail(Cause.CODEC)
                elif now - seen_at > orders.read_timeout:
                    raise SourceFailed(Cause.CODEC)
        self._end()

    def _publish(self, image: Frame | None, now: float) -> bool:
        if image is None:
            return False
        paint(image, self.orders.masks)  # before anybody else has the picture, and before pixels are mixed
        while image.nbytes > MAX_FRAME_BYTES:  # no model looks at so many pixels
            image = cast(Frame, cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
            paint(image, self.orders.masks)
        self.shared.publish(image, now)
        if (token := self.shared.wanted_mark) and (marked := draw_mark(image, token)) is not None:
            self.shared.publish_marked(marked, now, token)
        self.shared[Field.PUBLISHED_AT] = now
        self.shared[Field.STREAMING] = 1
        self.shared[Field.OUTAGE] = self.shared[Field.TRIES] = 0
        self.shared.cause = None
        self._wake_station()
        return True

    def _end(self) -> None:
        if self.orders.address.endless:
            raise SourceFailed(Cause.ENDED)
        if not self.shared[Field.STREAMING]:
            raise SourceFailed(Cause.CODEC)  # not one frame could be read
        self.shared[Field.FINISHED] = 1
        raise SourceFailed(Cause.ENDED)

    def _report_silence(self) -> None:
        """Report that the camera took the question and does not answer, and wait on."""
        self._fail(Cause.TIMEOUT)
        self._announce_deadline(EXTRA_SECONDS + GRACE_SECONDS)

    def _fail(self, cause: Cause) -> None:
        note_failure(self.shared, cause, time.monotonic())
        self._wake_station()

    def _wake_station(self) -> None:
        os.eventfd_write(self.orders.frame_event, 1)

    def _wait(self) -> None:
        outage = time.monotonic() - self.shared[Field.OUTAGE]
        seconds = reconnect_delay(self.shared.cause or Cause.ENDED, outage, int(self.shared[Field.TRIES]))
        self._announce_deadline(seconds + GRACE_SECONDS)
        time.sleep(seconds)

    def _announce_deadline(self, seconds: float) -> None:
        self.shared[Field.DEADLINE] = time.monotonic() + seconds


def note_failure(shared: SharedFrame, cause: Cause, now: float) -> None:
    """Write into `shared` that no frame comes because of `cause`. The outage began with the last frame.

    The capture process calls this, and the station only after it has seen that process end: counting up is no atomic
    step, so two writers would lose tries.
    """
    shared.cause = cause
    shared[Field.STREAMING] = 0
    if not shared[Field.OUTAGE]:
        shared[Field.OUTAGE] = shared[Field.PUBLISHED_AT] or now
    shared[Field.TRIES] += 1


def main() -> None:
    """Run a capture process from the orders on standard input."""
    orders = CaptureOrders.from_line(sys.stdin.buffer.readline())
    for number in (signal.SIGINT, signal.SIGHUP):  # of a terminal: the station stops us
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    _silence(orders.address.secrets)
    cv2.setNumThreads(1)
    Capture(orders, SharedFrame(orders.shared_memory)).run()


def _die_with_parent() -> None:
    os.read(0, 1)  # blocks until the parent closes it or is gone
    os._exit(0)


def _silence(secrets: tuple[str, ...]) -> None:
    """Keep passwords out of the output.

    Native libraries write addresses with passwords to descriptors 1 and 2; our own tracebacks are cleaned.
    """
    report = os.fdopen(os.dup(2), "w")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)

    def write_redacted(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        report.write(redact("".join(traceback.format_exception(kind, error, trace)), secrets))
        report.flush()

    sys.excepthook = write_redacted


if __name__ == "__main__":
    main()
