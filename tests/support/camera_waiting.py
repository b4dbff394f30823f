"""Waiting on conditions of cameras, with a deadline."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from edge_runtime.cameras.address import parse_address
from edge_runtime.cameras.camera import CapturedFrame
from edge_runtime.cameras.camera_group import CameraGroup
from edge_runtime.cameras.settings import CameraPlan, CameraSettings
from edge_runtime.causes import Cause

BUSY = 6.0  # times as long as an idle machine takes one whose cores are busy with other tests


def plan(name: str, address: str, **settings: Any) -> CameraPlan:
    """A camera of which every frame that is checked is judged too; `address` may hold user and password."""
    found = parse_address(address)
    rates = {"floor_rate": 10, "top_rate": 10}
    return CameraPlan(CameraSettings(name, found.location, **{**rates, **settings}), found)


class Watch:
    """Keeps asking the cameras until a condition holds, and remembers the newest of each."""

    def __init__(self, cameras: CameraGroup) -> None:
        self.cameras = cameras
        self.newest: dict[str, CapturedFrame] = {}

    def until(self, condition: Callable[["Watch"], bool], seconds: float = 90.0) -> float:
        """Seconds that it took; fails with the states when `seconds` are over."""
        started = time.monotonic()
        while not condition(self):
            if time.monotonic() - started > seconds:
                pytest.fail(f"not within {seconds} s: {self.causes()}")
            self.newest |= {frame.camera: frame for frame in self.cameras.newest(0.05)}
        return time.monotonic() - started

    def causes(self) -> dict[str, Cause | None]:
        return {name: state.cause for name, state in self.cameras.states().items()}

    def all_online(self) -> bool:
        return set(self.causes().values()) == {None}
