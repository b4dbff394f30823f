"""Waiting on conditions of cameras, with a deadline."""

import time
from collections.abc import Callable

import pytest

from edge_runtime.cameras.camera import Sighting
from edge_runtime.cameras.camera_group import CameraGroup
from edge_runtime.causes import Cause


class Watch:
    """Keeps asking the cameras until a condition holds, and remembers the newest of each."""

    def __init__(self, cameras: CameraGroup) -> None:
        self.cameras = cameras
        self.newest: dict[str, Sighting] = {}

    def until(self, condition: Callable[["Watch"], bool], seconds: float = 30.0) -> float:
        """Seconds that it took; fails with the states when `seconds` are over."""
        started = time.monotonic()
        while not condition(self):
            if time.monotonic() - started > seconds:
                pytest.fail(f"not within {seconds} s: {self.causes()}")
            self.newest |= {sighting.camera: sighting for sighting in self.cameras.newest(0.05)}
        return time.monotonic() - started

    def causes(self) -> dict[str, Cause | None]:
        return {name: state.cause for name, state in self.cameras.states().items()}

    def all_online(self) -> bool:
        return set(self.causes().values()) == {None}
