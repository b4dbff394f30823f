"""The newest judged picture of each view, in memory that the service and the page's process share.

The service writes only while somebody looks: the page sets a moment until which pictures are wanted, again and again.
What it writes is small (a picture of at most 640 pixels, the map of one label, a line of text), at most once a second a
view, and the page does the rest: heat, JPEG, sending. Each view has a slot behind a record lock as in
`cameras.shared_frame`; nobody waits for anybody.
"""

import fcntl
import json
import mmap
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from ...alerts.events import JudgedView
from ...bundle.decision import Decision, Rule
from ...bundle.heads import Array
from ...bundle.preprocess import Frame
from ...bundle.store import Bundle
from ...cameras.settings import CameraSettings
from ...cameras.shared_frame import slot_lock
from ...clock import instant, iso
from ...watchlog.watch_state import late_seconds

MAX_SIDE = 640  # pixels of a live picture
EVERY_SECONDS = 1.0  # a view
SLOW_RATE = 0.2  # frames a second; of a camera that is judged more seldom every picture is kept
WANTED_SECONDS = 5.0  # for which one look asks for pictures
TEXT_BYTES, MAP_BYTES, PICTURE_BYTES = 4096, 256 * 256 * 4, MAX_SIDE * MAX_SIDE * 3
HEAD_BYTES = 64  # of a slot: six numbers, float64
SLOT_BYTES = -(-(HEAD_BYTES + TEXT_BYTES + MAP_BYTES + PICTURE_BYTES) // mmap.PAGESIZE) * mmap.PAGESIZE


@dataclass(frozen=True)
class LiveFrame:
    """What the page knows of one view: `picture` uint8 (H, W, 3) BGR, `map` float32 (h, w) over the model's canvas.

    `about` holds camera, region, label (of map and probability), named (what the model reports), flagged, probability,
    threshold, captured (ISO 8601), captured_monotonic (seconds), limit (the age in seconds from which it is too old to
    be shown), size (height, width in pixels of what was judged), model, and what draws the map: input (the manifest's
    object) and full_heat. `number` grows with each picture.
    """

    number: int
    picture: Frame
    map: Array
    about: Mapping[str, Any]


class LiveFrames:
    """One side's access to the shared memory: the service makes it and writes, the page reads by the handle."""

    def __init__(self, views: int = 0, handle: int | None = None) -> None:
        """Make memory for so many `views`, or map the file behind the descriptor `handle`."""
        self.handle = os.memfd_create("live-frames", os.MFD_CLOEXEC) if handle is None else handle
        if handle is None:
            os.ftruncate(self.handle, mmap.PAGESIZE + views * SLOT_BYTES)
        size = os.fstat(self.handle).st_size
        self.views = (size - mmap.PAGESIZE) // SLOT_BYTES
        self._memory = mmap.mmap(self.handle, size)

    def close(self) -> None:
        """Give the mapping back."""
        self._memory.close()
        os.close(self.handle)

    def want(self, now: float) -> None:
        """Ask for pictures for the next seconds, from `now` (monotonic); the page does so while somebody looks."""
        np.frombuffer(self._memory, np.float64, 1)[0] = now + WANTED_SECONDS

    def wanted(self, now: float) -> bool:
        """Whether somebody looks."""
        return now < float(np.frombuffer(self._memory, np.float64, 1)[0])

    def say_alive(self, now: float) -> None:
        """Note that the page answers, at `now` (monotonic seconds)."""
        np.frombuffer(self._memory, np.float64, 2)[1] = now

    def last_alive(self) -> float:
        """Return when the page last answered, in monotonic seconds; 0 before the first time."""
        return float(np.frombuffer(self._memory, np.float64, 2)[1])

    def write(self, slot: int, picture: Frame, cam: Array, about: Mapping[str, Any]) -> bool:
        """Make this the newest picture of the view in `slot`; False where it is being read, which drops it."""
        text = json.dumps(about).encode()
        if len(text) > TEXT_BYTES or cam.nbytes > MAP_BYTES or picture.nbytes > PICTURE_BYTES:
            return False
        with slot_lock(self.handle, slot, fcntl.LOCK_EX) as held:
            if held:
                head = self._head(slot)
                place = self._place(slot)
                self._memory[place : place + len(text)] = text
                self._array(place + TEXT_BYTES, np.dtype(np.float32), cam.shape)[...] = cam
                self._array(place + TEXT_BYTES + MAP_BYTES, np.dtype(np.uint8), picture.shape)[...] = picture
                head[:6] = (head[0] + 1, len(text), *cam.shape, *picture.shape[:2])
        return held

    def read(self, slot: int) -> LiveFrame | None:
        """Return a copy of the newest picture in `slot`; None before the first, and while it is being written."""
        with slot_lock(self.handle, slot, fcntl.LOCK_SH) as held:
            number, length, rows, columns, height, width = (int(value) for value in self._head(slot)[:6])
            if not held or not number:
                return None
            place = self._place(slot)
            about = json.loads(self._memory[place : place + length])
            cam = self._array(place + TEXT_BYTES, np.dtype(np.float32), (rows, columns)).copy()
            picture = self._array(place + TEXT_BYTES + MAP_BYTES, np.dtype(np.uint8), (height, width, 3)).copy()
        return LiveFrame(number, picture, cam, about)

    def about(self, slot: int) -> tuple[int, Mapping[str, Any]] | None:
        """Return number and text of the newest picture in `slot`, without the picture; None as in `read`."""
        with slot_lock(self.handle, slot, fcntl.LOCK_SH) as held:
            number, length = (int(value) for value in self._head(slot)[:2])
            if not held or not number:
                return None
            place = self._place(slot)
            return number, json.loads(self._memory[place : place + length])

    def _head(self, slot: int) -> "np.ndarray[Any, np.dtype[np.float64]]":
        return np.frombuffer(self._memory, np.float64, HEAD_BYTES // 8, mmap.PAGESIZE + slot * SLOT_BYTES)

    def _place(self, slot: int) -> int:
        return mmap.PAGESIZE + slot * SLOT_BYTES + HEAD_BYTES

    def _array(self, place: int, kind: "np.dtype[Any]", shape: tuple[int, ...]) -> "np.ndarray[Any, Any]":
        return np.frombuffer(self._memory, kind, int(np.prod(shape)), place).reshape(shape)


class LiveWriter:
    """Fills the live frames of a station's views while they are wanted; told of every judged view by the service."""

    def __init__(
        self,
        frames: LiveFrames,
        views: Sequence[tuple[str, str]],
        serving: Callable[[], Bundle],
        rates: Mapping[str, float],
    ) -> None:
        """`views` are (camera, region) in the order of the slots; `serving` returns the bundle that judges now.

        `rates` are by camera the frames a second that are judged at least. Of slow cameras, and of each view once, a
        picture is kept though nobody looks: the next may be long in coming.
        """
        self._frames, self._slots = frames, {view: slot for slot, view in enumerate(views)}
        self._next: dict[int, float] = {}  # by slot: monotonic seconds from which another picture is due
        self._serving, self._rates = serving, rates

    def judged(self, views: Sequence[JudgedView], alarms: int = 0, now: float | None = None) -> None:
        """Write what is due of these views, at `now` (monotonic seconds); the number of `alarms` is not shown."""
        now = time.monotonic() if now is None else now
        wanted = self._frames.wanted(now)
        for view in views:
            slot = self._slots.get((view.camera, view.region))
            decision = view.evaluation.decision
            if slot is None or decision is None or now < self._next.get(slot, now):
                continue
            if not wanted and slot in self._next and self._rates[view.camera] >= SLOW_RATE:
                continue
            label = shown_label(decision, view.evaluation.rule)
            cam = np.ascontiguousarray(view.evaluation.cams[label], np.float32)
            if self._frames.write(slot, shrunk(view.image), cam, self._about(view, decision, label)):
                self._next[slot] = now + EVERY_SECONDS

    def _about(self, view: JudgedView, decision: Decision, label: str) -> dict[str, Any]:
        bundle = self._serving()
        return {
            "camera": view.camera,
            "region": view.region,
            "label": label,
            "named": decision.label,
            "flagged": decision.fault,
            "size": view.image.shape[:2],
            "probability": round(decision.chances[label], 6),
            "threshold": view.evaluation.rule.thresholds.get(label, 1.0),
            "captured": iso(instant(view.captured).wall),
            "captured_monotonic": view.captured,
            "limit": late_seconds(self._rates[view.camera]) + EVERY_SECONDS,
            "model": bundle.identity(),
            "input": bundle.manifest.input.to_json(),
            "full_heat": bundle.manifest.head.full_heat,
        }


def views_of(cameras: Sequence[CameraSettings]) -> list[tuple[str, str]]:
    """Return (camera, region) of every view that the model is shown, in the order of the settings; "" is the whole."""
    return [(c.name, region) for c in cameras for region in [r.name for r in c.named_regions()] or [""]]


def shown_label(decision: Decision, rule: Rule) -> str:
    """Return the fault whose map and bar a live picture shows: the flagged one, else the one nearest its threshold.

    A bundle may know no fault; then it is the label that the model gives.
    """
    if decision.flagged:
        return decision.flagged[0]
    named = decision.named or rule.fault_labels
    return max(named, key=lambda label: decision.chances[label] - rule.thresholds[label], default=decision.label)


def shrunk(image: Frame) -> Frame:
    """Return uint8 (H, W, 3), at most 640 pixels long; a large one is thinned out first, which is the cheapest."""
    longest = max(image.shape[:2])
    if longest <= MAX_SIDE:
        return image
    thinned = image[:: longest // MAX_SIDE, :: longest // MAX_SIDE]
    scale = MAX_SIDE / max(thinned.shape[:2])
    if scale >= 1:
        return thinned
    size = (max(1, int(thinned.shape[1] * scale)), max(1, int(thinned.shape[0] * scale)))
    small: Frame = cv2.resize(thinned, size, interpolation=cv2.INTER_LINEAR)
    return small
