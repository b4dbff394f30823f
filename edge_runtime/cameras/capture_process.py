"""The process of one camera: opens its source, puts the newest frame on the board, and tries again for ever.

`python -m edge_runtime.cameras.capture_process` is started by `camera_group.Cameras` alone. It reads its orders as one
JSON line from standard input, so that no password shows in the list of processes, and dies when standard input closes.
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

import cv2

from ..bundle.preprocess import Frame
from ..causes import Cause
from ..delays import Backoff
from ..redact import redact
from .address import Kind, Source
from .readers import open_source
from .rtsp_describe import AnswerTimeout, SourceFailed
from .shared_frame import MAX_FRAME_BYTES, Field, SharedFrame

ANSWER_SHARE = 1 / 3  # of the time for opening, that a camera may take to answer
EXTRA_SECONDS = 50.0  # that a camera which did not answer in time may take on the same connection
GRACE_SECONDS = 5.0  # beyond a wait that was announced


@dataclass(frozen=True)
class CaptureOrders:
    """What a camera's process is told."""

    kind: str
    address: str
    user: str | None
    password: str | None
    open_seconds: float  # without a sign of life while the source is opened; then the process is killed
    look_seconds: float  # between two frames that are decoded and published
    stall_seconds: float  # without a frame until the stream counts as stalled
    loop: bool  # begin a file or folder again at its end
    board: int  # file descriptor
    bell: int  # eventfd that rings for each frame

    @property
    def source(self) -> Source:
        """What to open."""
        return Source(Kind(self.kind), self.address, self.user, self.password)

    def to_line(self) -> bytes:
        """As one line of JSON."""
        return json.dumps(asdict(self)).encode() + b"\n"


class Capture:
    """One source, one board."""

    def __init__(self, orders: CaptureOrders, board: SharedFrame, backoff: Backoff | None = None) -> None:
        self.orders = orders
        self.board = board
        self.backoff = backoff or Backoff()

    def run(self) -> None:
        """Until a source that may end has ended. The successor of a killed process first waits its turn."""
        if self.board[Field.TRIES]:
            self._wait()
        while not self.board[Field.FINISHED]:
            try:
                self._watch()
            except SourceFailed as failure:
                self._failed(failure.cause)
            if not self.board[Field.FINISHED] and self.board[Field.TRIES]:
                self._wait()

    def _watch(self) -> None:
        """Publish until the source ends."""
        orders, due, seen_at = self.orders, 0.0, time.monotonic()
        self._promise(orders.open_seconds)
        patience = AnswerTimeout(orders.open_seconds * ANSWER_SHARE, EXTRA_SECONDS, self._silent)
        with closing(open_source(orders.source, patience, orders.stall_seconds, orders.look_seconds)) as frames:
            for decode in frames:
                now, wall = time.monotonic(), time.time()
                self.board[Field.RECEIVED] += 1
                self._promise(orders.stall_seconds)
                if now < due:
                    continue
                due = max(due + orders.look_seconds, now)
                if self._published(decode(), now, wall):
                    seen_at = now
                elif now - seen_at > orders.stall_seconds:
                    raise SourceFailed(Cause.CODEC)
        self._ended()

    def _published(self, frame: Frame | None, now: float, wall: float) -> bool:
        if frame is None or frame.nbytes > MAX_FRAME_BYTES:
            return False
        self.board.publish(frame, now, wall)
        self.board[Field.PUBLISHED_AT] = now
        self.board[Field.STREAMING] = 1
        self.board[Field.OUTAGE] = self.board[Field.TRIES] = 0
        self.board.cause = None
        ring(self.orders.bell)
        return True

    def _ended(self) -> None:
        if self.orders.source.endless:
            raise SourceFailed(Cause.ENDED)
        if not self.board[Field.STREAMING]:
            raise SourceFailed(Cause.CODEC)  # not one frame could be read
        if not self.orders.loop:
            self.board[Field.FINISHED] = 1
            raise SourceFailed(Cause.ENDED)

    def _silent(self) -> None:
        """The camera took the question and does not answer: say so, and wait on."""
        self._failed(Cause.TIMEOUT)
        self._promise(EXTRA_SECONDS + GRACE_SECONDS)

    def _failed(self, cause: Cause) -> None:
        note_failure(self.board, cause, time.monotonic())
        ring(self.orders.bell)

    def _wait(self) -> None:
        outage = time.monotonic() - self.board[Field.OUTAGE]
        seconds = self.backoff.wait(self.board.cause or Cause.ENDED, outage, int(self.board[Field.TRIES]))
        self._promise(seconds + GRACE_SECONDS)
        time.sleep(seconds)

    def _promise(self, seconds: float) -> None:
        self.board[Field.DEADLINE] = time.monotonic() + seconds


def note_failure(board: SharedFrame, cause: Cause, now: float) -> None:
    """Write onto `board` that no frame comes because of `cause`. The outage began with the last frame."""
    board.cause = cause
    board[Field.STREAMING] = 0
    if not board[Field.OUTAGE]:
        board[Field.OUTAGE] = board[Field.PUBLISHED_AT] or now
    board[Field.TRIES] += 1


def ring(bell: int) -> None:
    """Wake whoever waits for frames."""
    try:
        os.eventfd_write(bell, 1)
    except BlockingIOError:  # has rung 2**64 times unheard: it rings
        return


def main() -> None:
    """The child's whole life."""
    orders = CaptureOrders(**json.loads(sys.stdin.buffer.readline()))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the station stops us
    threading.Thread(target=_die_with_parent, daemon=True).start()
    _silence(orders.source.secrets)
    cv2.setNumThreads(1)
    Capture(orders, SharedFrame(orders.board)).run()


def _die_with_parent() -> None:
    os.read(0, 1)  # blocks until the parent closes it or is gone
    os._exit(0)


def _silence(secrets: tuple[str, ...]) -> None:
    """Native libraries write addresses with passwords to descriptors 1 and 2; our own tracebacks are cleaned."""
    report = os.fdopen(os.dup(2), "w")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)

    def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        report.write(redact("".join(traceback.format_exception(kind, error, trace)), secrets))
        report.flush()

    sys.excepthook = tell


if __name__ == "__main__":
    main()
