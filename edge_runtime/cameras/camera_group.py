"""All cameras of a station: one process each, the newest frames that are worth judging, and how each camera does.

    with CameraGroup(configs) as cameras:
        while True:
            for sighting in cameras.newest(timeout=0.5):
                ...
            states = cameras.states()

No threads. `newest` also minds the processes, so call it often; a consumer that is late loses frames, never memory.
"""

import os
import select
import time
from collections.abc import Sequence

from ..bundle.errors import InputError
from ..bundle.preprocess import Frame
from .camera import Camera, CameraConfig, CameraState, Sighting

TEND_SECONDS = 0.25  # between two looks after the processes


class CameraGroup:
    """The cameras of `configs`, by name."""

    def __init__(self, configs: Sequence[CameraConfig]) -> None:
        names = [config.name for config in configs]
        if twice := {name for name in names if names.count(name) > 1}:
            raise InputError(f"two cameras are named {min(twice)}; names must differ")
        self.configs = {config.name: config for config in configs}
        self._cameras: dict[str, Camera] = {}
        self._injected: list[Sighting] = []
        self._bell = -1
        self._turn = 0  # whose frame is asked for first

    def start(self) -> None:
        """Start every camera's process; returns at once, whatever their state."""
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        now = time.monotonic()
        self._cameras = {name: Camera(config, self._bell, now) for name, config in self.configs.items()}
        self._tend(now)

    def stop(self) -> None:
        """End all processes."""
        for camera in self._cameras.values():
            camera.close()
        self._cameras = {}
        if self._bell >= 0:
            os.close(self._bell)
            self._bell = -1

    def __enter__(self) -> "CameraGroup":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def newest(self, timeout: float, most: int | None = None) -> list[Sighting]:
        """At most one sighting a camera, the newest that is due; waits up to `timeout` seconds for the first.

        With `most`, no more than so many, the cameras taking turns: what is left lies fresh for the next call.
        """
        deadline = time.monotonic() + timeout
        while True:
            now = time.monotonic()
            self._tend(now)
            found = self._taken(now, most)
            if found or now >= deadline:
                return found
            self._wait(min(deadline - now, TEND_SECONDS))

    def _taken(self, now: float, most: int | None) -> list[Sighting]:
        found, self._injected = self._injected, []
        ring = list(self._cameras.values())
        for place in range(self._turn, self._turn + len(ring)):
            if most is not None and len(found) >= most:
                self._turn = place % len(ring)
                break
            if (seen := ring[place % len(ring)].take(now)) is not None:
                found.append(seen)
        return found

    def inject(self, camera: str, frame: Frame) -> None:
        """Pass a test `frame` uint8 (H, W, 3) BGR off as the camera's next sighting, marked as a test.

        The model sees the whole of it: the camera's regions belong to its own view.
        """
        if camera not in self.configs:
            raise InputError(f"no camera is named {camera}; known are {', '.join(sorted(self.configs))}")
        self._injected.append(Sighting(camera, frame, time.monotonic(), time.time(), 0, test=True))

    def states(self) -> dict[str, CameraState]:
        """How each camera does, as of the last `newest`."""
        now = time.monotonic()
        return {name: camera.state(now) for name, camera in self._cameras.items()}

    def _tend(self, now: float) -> None:
        for camera in self._cameras.values():
            camera.tend(now)

    def _wait(self, seconds: float) -> None:
        if select.select([self._bell], [], [], max(seconds, 0.0))[0]:
            os.eventfd_read(self._bell)
