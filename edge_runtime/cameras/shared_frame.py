"""The newest frame of one camera, and how it is doing, in memory shared by two processes. It never grows.

Two slots in an anonymous file that both processes map. The camera writes the slot that is not the newest; the reader
copies the newest. A record lock guards each slot: the kernel drops it when its holder is killed, and it orders memory
on every processor, which a counter in shared memory would not. Nobody waits: a slot in use is passed over.
"""

import fcntl
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from ..bundle.errors import UnavailableError
from ..bundle.preprocess import Frame
from ..causes import Cause

MAX_FRAME_BYTES = 3840 * 2160 * 3  # pages that are never written cost nothing
HEAD = mmap.PAGESIZE
SLOT = -(-MAX_FRAME_BYTES // mmap.PAGESIZE) * mmap.PAGESIZE
CAUSES = tuple(Cause)


class Field(IntEnum):
    """Where each number lies in the head, in units of 8 bytes; all are float64."""

    NEWEST = 0  # sequence number of the newest frame; 0: none yet
    RECEIVED = 1  # frames that came from the camera, looked at or not
    DEADLINE = 2  # monotonic seconds by which the camera's process must move; 0: none
    CAUSE = 3  # 1 + index of the cause of the present outage; 0: none
    STREAMING = 4  # 1 while frames come
    OUTAGE = 5  # monotonic seconds since when no frame comes; 0: none
    TRIES = 6  # that failed in this outage
    PUBLISHED_AT = 7  # monotonic seconds of the last frame that came
    FINISHED = 8  # 1 when a source that may end has ended
    SLOTS = 16  # per slot: sequence, captured, wall, height, width


@dataclass(frozen=True)
class Shot:
    """`frame` uint8 (H, W, 3) BGR, its `sequence` from 1, when it was `captured` (monotonic s), and the `wall` time."""

    frame: Frame
    sequence: int
    captured: float
    wall: float


class SharedFrame:
    """One side's view of the shared memory. The camera's side publishes, the station's side reads."""

    def __init__(self, handle: int | None = None) -> None:
        """With the `handle` of the other side's board, or anew."""
        self.handle = os.memfd_create("camera", os.MFD_CLOEXEC) if handle is None else handle
        if handle is None:
            os.ftruncate(self.handle, HEAD + 2 * SLOT)
        self._memory = mmap.mmap(self.handle, HEAD + 2 * SLOT)

    def close(self) -> None:
        """Give the mapping back."""
        self._memory.close()
        os.close(self.handle)

    def __getitem__(self, field: int) -> float:
        return float(np.frombuffer(self._memory, np.float64, 1, field * 8)[0])

    def __setitem__(self, field: int, value: float) -> None:
        np.frombuffer(self._memory, np.float64, 1, field * 8)[0] = value

    @property
    def cause(self) -> Cause | None:
        """Of the present outage."""
        number = int(self[Field.CAUSE])
        return CAUSES[number - 1] if number else None

    @cause.setter
    def cause(self, cause: Cause | None) -> None:
        self[Field.CAUSE] = 0 if cause is None else 1 + CAUSES.index(cause)

    def publish(self, frame: Frame, captured: float, wall: float) -> bool:
        """Make `frame`, of at most MAX_FRAME_BYTES, the newest; False where the slot is being read, which drops it."""
        sequence = int(self[Field.NEWEST]) + 1
        slot = sequence % 2
        with self._locked(slot, fcntl.LOCK_EX) as held:
            if held:
                start = HEAD + slot * SLOT
                room = np.frombuffer(self._memory, np.uint8, frame.nbytes, start).reshape(frame.shape)
                room[...] = frame
                for index, value in enumerate((sequence, captured, wall, frame.shape[0], frame.shape[1])):
                    self[self._slot_field(slot) + index] = value
                self[Field.NEWEST] = sequence
        return held

    def newest(self, after: int = 0) -> Shot | None:
        """A copy of the newest frame, if its sequence number is above `after`."""
        newest = int(self[Field.NEWEST])
        if newest <= after:
            return None
        slot = newest % 2
        with self._locked(slot, fcntl.LOCK_SH) as held:
            field = self._slot_field(slot)
            sequence, captured, wall, height, width = (self[field + index] for index in range(5))
            if not held or sequence <= after:
                return None  # being replaced: the next call finds the other slot
            size = int(height) * int(width) * 3
            pixels = np.frombuffer(self._memory, np.uint8, size, HEAD + slot * SLOT)
            return Shot(pixels.reshape(int(height), int(width), 3).copy(), int(sequence), captured, wall)

    @staticmethod
    def _slot_field(slot: int) -> int:
        return Field.SLOTS + slot * 8

    @contextmanager
    def _locked(self, slot: int, how: int) -> Iterator[bool]:
        try:
            fcntl.lockf(self.handle, how | fcntl.LOCK_NB, 1, slot)
        except BlockingIOError:
            yield False
            return
        except OSError as error:
            raise UnavailableError(f"shared memory cannot be locked ({error.strerror}); restart the service") from error
        try:
            yield True
        finally:
            fcntl.lockf(self.handle, fcntl.LOCK_UN, 1, slot)
