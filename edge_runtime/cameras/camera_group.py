"""All cameras of a station: one capture process each, the newest frames that are worth judging, and how each does.

    with CameraGroup(plan_cameras(settings.camera)) as cameras:
        while True:
            for frame in cameras.newest(timeout=0.5):
                ...
            states = cameras.states()

No threads. `newest` also minds the processes, so call it often; a consumer that is late loses frames, never memory.
"""

import os
import select
import time
from collections.abc import Sequence
from itertools import count

from ..bundle.errors import InputError
from ..bundle.preprocess import Frame
from ..bundle.radiometric import RadiometricRule
from ..causes import Cause
from .camera import Camera, CameraState, CapturedFrame
from .settings import CameraPlan

TEND_SECONDS = 0.25  # between two looks after the processes


class CameraGroup:
    """The cameras of `plans`, by name. Those with a problem are not started, and stand among the states.

    `radiometric` is the bundle's rule for radiometric pictures, which folders may hold.
    """

    def __init__(self, plans: Sequence[CameraPlan], radiometric: RadiometricRule | None = None) -> None:
        self._radiometric = radiometric
        names = [plan.name for plan in plans]
        if twice := {name for name in names if names.count(name) > 1}:
            raise InputError(f"two cameras are named {min(twice)}; names must differ")
        self.plans = {plan.name: plan for plan in plans}
        self._cameras: dict[str, Camera] = {}
        self._injected: list[CapturedFrame] = []
        self._tokens = count(1)
        self._started = 0.0
        self._frame_event = -1
        self._turn = 0  # whose frame is asked for first

    def __enter__(self) -> "CameraGroup":
        """Start a process for every camera that can run; returns at once, whatever their state."""
        self._frame_event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._started = now = time.monotonic()
        self._cameras = {
            name: Camera(plan.settings, plan.address, self._frame_event, now, radiometric=self._radiometric)
            for name, plan in self.plans.items()
            if plan.address is not None
        }
        self._tend(now)
        return self

    def __exit__(self, *_: object) -> None:
        """End all processes."""
        for camera in self._cameras.values():
            camera.close()
        self._cameras = {}
        os.close(self._frame_event)

    def newest(self, timeout: float, most: int | None = None) -> list[CapturedFrame]:
        """Return at most one frame a camera, the newest that is due; waits up to `timeout` seconds for the first.

        With `most`, no more than so many, the cameras taking turns: what is left lies fresh for the next call.
        """
        deadline = time.monotonic() + timeout
        while True:
            now = time.monotonic()
            self._tend(now)
            found = self._take(most)
            if found or now >= deadline:
                return found
            self._wait(min(deadline - now, TEND_SECONDS))

    def _take(self, most: int | None) -> list[CapturedFrame]:
        found, self._injected = self._injected, []
        cameras = list(self._cameras.values())
        for place in range(self._turn, self._turn + len(cameras)):
            if most is not None and len(found) >= most:
                self._turn = place % len(cameras)
                break
            if (frame := cameras[place % len(cameras)].take()) is not None:
                found.append(frame)
        return found

    def inject(self, name: str, image: Frame) -> None:
        """Give out a test `image` uint8 (H, W, 3) BGR as the camera's next frame, marked as a test.

        It enters behind the camera's checks, so that neither they nor the gate learn from it. The model sees the whole
        of it: the camera's regions belong to its own view. InputError where the camera does not run.
        """
        self._running(name)
        self._injected.append(CapturedFrame(name, image, time.monotonic(), test=True))

    def request_marked_frame(self, name: str) -> int:
        """Ask for a marked copy of the camera's next frame, and return its token.

        The token stands in the camera's state as `marked_frame` once the copy has come whole through reader and shared
        memory; never, where the camera gives no frame. InputError where the camera does not run.
        """
        camera, token = self._running(name), next(self._tokens)
        camera.request_marked_frame(token)
        return token

    def _running(self, name: str) -> Camera:
        if name not in self.plans:
            raise InputError(f"no camera is named {name}; known are {', '.join(sorted(self.plans)) or 'none'}")
        if self.plans[name].address is None:
            raise InputError(f"camera {name} does not run: {self.plans[name].problem}")
        return self._cameras[name]

    def set_radiometric(self, rule: RadiometricRule | None) -> None:
        """Read radiometric pictures by another bundle's `rule` from now on."""
        self._radiometric = rule
        for camera in self._cameras.values():
            camera.set_radiometric(rule)

    def states(self) -> dict[str, CameraState]:
        """Return how each camera of the plans does, as of the last `newest`."""
        return {
            name: camera.state()
            if (camera := self._cameras.get(name)) is not None
            else CameraState(name, Cause.MISCONFIGURED, self._started)
            for name in self.plans
        }

    def _tend(self, now: float) -> None:
        for camera in self._cameras.values():
            camera.tend(now)

    def _wait(self, seconds: float) -> None:
        if select.select([self._frame_event], [], [], max(seconds, 0.0))[0]:
            os.eventfd_read(self._frame_event)
