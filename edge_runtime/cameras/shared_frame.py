"""The newest frame of one camera, and how it is doing, in memory that two processes share. It never grows.

An anonymous file that both processes map holds a head of numbers and three slots of pixels. The capture process writes
frames in turns into the first two, the one that is not the newest; the station copies the newest. The third slot holds
a marked frame, which was asked for, so that it takes no other frame's place.

A record lock guards each slot: the kernel drops it when its holder is killed, and it orders memory on every processor,
which a counter in shared memory would not. Nobody waits: a slot in use is passed over.

Who writes the head's numbers: MARK_WANTED the station alone; all others the capture process, and the station while no
capture process lives.
"""

import fcntl
import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum

import numpy as np

from ..bundle.errors import UnavailableError
from ..bundle.preprocess import Frame
from ..causes import Cause

MAX_FRAME_BYTES = 3840 * 2160 * 3  # pages that are never written cost nothing
HEAD = mmap.PAGESIZE
SLOT = -(-MAX_FRAME_BYTES // mmap.PAGESIZE) * mmap.PAGESIZE
SIZE = HEAD + 3 * SLOT
MARKED_SLOT = 2
CAUSES = tuple(Cause)
Taken = tuple[Frame, float] | None


class Field(IntEnum):
    """Where each number lies in the head, in units of 8 bytes; all are float64."""

    NEWEST = 0  # sequence number of the newest frame; 0: none yet
    DEADLINE = 1  # monotonic seconds by which the capture process must move; 0: none
    CAUSE = 2  # 1 + index of the cause of the present outage; 0: none
    STREAMING = 3  # 1 while frames come
    OUTAGE = 4  # monotonic seconds since when no frame comes; 0: none
    TRIES = 5  # that failed in this outage
    PUBLISHED_AT = 6  # monotonic seconds of the last frame that came
    FINISHED = 7  # 1 when a source that may end has ended
    MARK_WANTED = 8  # token of the marked frame that the station asked for; 0: none
    SLOTS = 16  # per slot: sequence number or token, captured, height, width


class SharedFrame:
    """One side's access to the shared memory. The capture process publishes, the station's side reads."""

    def __init__(self, handle: int | None = None) -> None:
        """Map the file behind the descriptor `handle`, which the other side made, or make one."""
        self.handle = os.memfd_create("camera", os.MFD_CLOEXEC) if handle is None else handle
        if handle is None:
            os.ftruncate(self.handle, SIZE)
        self._memory = mmap.mmap(self.handle, SIZE)
        self._taken = self._taken_mark = 0
        self.skipped = 0  # frames that were replaced by newer ones before this side read them

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
        """The cause of the present outage."""
        number = int(self[Field.CAUSE])
        return CAUSES[number - 1] if number else None

    @cause.setter
    def cause(self, cause: Cause | None) -> None:
        self[Field.CAUSE] = 0 if cause is None else 1 + CAUSES.index(cause)

    @property
    def wanted_mark(self) -> int:
        """The token of the marked frame that was asked for and has not been published yet; 0: none."""
        wanted = int(self[Field.MARK_WANTED])
        return wanted if wanted != int(self[_slot_field(MARKED_SLOT)]) else 0

    def publish(self, image: Frame, captured: float) -> bool:
        """Make `image`, of at most MAX_FRAME_BYTES, the newest; False where the slot is being read, which drops it."""
        sequence = int(self[Field.NEWEST]) + 1
        written = self._write(sequence % 2, sequence, image, captured)
        if written:
            self[Field.NEWEST] = sequence
        return written

    def publish_marked(self, image: Frame, captured: float, token: int) -> bool:
        """Give out `image` as the marked frame of `token`; False where the last one is being read."""
        return self._write(MARKED_SLOT, token, image, captured)

    def take_newest(self, wanted: Callable[[Frame, float], bool] = lambda image, captured: True) -> Taken:
        """Return a copy of the newest frame and when it was captured, unless it has been taken.

        `wanted` is shown the frame where it lies, and must keep nothing of it; a frame that is not wanted is taken all
        the same, and None is returned: most frames are looked at only, and a copy costs more than the look.
        """
        sequence = int(self[Field.NEWEST])
        if sequence <= self._taken or (found := self._read(sequence % 2, self._taken, wanted)) is None:
            return None
        sequence, image, captured = found
        self.skipped += sequence - self._taken - 1
        self._taken = sequence
        return None if image is None else (image, captured)

    def take_marked(self) -> tuple[int, Frame] | None:
        """Return token and copy of a marked frame that has not been taken, and give its memory back."""
        if int(self[_slot_field(MARKED_SLOT)]) <= self._taken_mark:
            return None
        if (found := self._read(MARKED_SLOT, self._taken_mark, lambda image, captured: True)) is None:
            return None
        self._taken_mark, image, _ = found
        return None if image is None else (self._taken_mark, image)

    def _write(self, slot: int, number: int, image: Frame, captured: float) -> bool:
        with slot_lock(self.handle, slot, fcntl.LOCK_EX) as held:
            if held:
                room = np.frombuffer(self._memory, np.uint8, image.nbytes, HEAD + slot * SLOT).reshape(image.shape)
                room[...] = image
                for index, value in reversed(list(enumerate((number, captured, image.shape[0], image.shape[1])))):
                    self[_slot_field(slot) + index] = value  # the number last: it says that the others hold
        return held

    def _read(
        self, slot: int, after: int, wanted: Callable[[Frame, float], bool]
    ) -> tuple[int, Frame | None, float] | None:
        """Return number, copy where it is wanted, and capture time.

        None where the slot is being written or its number is not above `after`.
        """
        with slot_lock(self.handle, slot, fcntl.LOCK_SH) as held:
            number, captured, height, width = (self[_slot_field(slot) + index] for index in range(4))
            if not held or number <= after:
                return None  # being replaced: the next call finds the other slot
            size = int(height) * int(width) * 3
            pixels = np.frombuffer(self._memory, np.uint8, size, HEAD + slot * SLOT)
            shown = pixels.reshape(int(height), int(width), 3)
            image = shown.copy() if wanted(shown, captured) else None
            if slot == MARKED_SLOT:  # seldom used: its pages go back to the system, where the system takes them
                with suppress(OSError):
                    self._memory.madvise(mmap.MADV_REMOVE, HEAD + slot * SLOT, SLOT)
            return int(number), image, captured


@contextmanager
def slot_lock(handle: int, slot: int, how: int) -> Iterator[bool]:
    """Hold the record lock of `slot` in the shared file for the block; yields whether it was free, and never waits."""
    try:
        fcntl.lockf(handle, how | fcntl.LOCK_NB, 1, slot)
    except BlockingIOError:
        yield False
        return
    except OSError as error:
        raise UnavailableError(f"shared memory cannot be locked ({error.strerror}); restart the service") from error
    try:
        yield True
    finally:
        fcntl.lockf(handle, fcntl.LOCK_UN, 1, slot)


def _slot_field(slot: int) -> int:
    return Field.SLOTS + slot * 8
