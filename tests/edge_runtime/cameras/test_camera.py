"""One camera: what a marked frame leaves as it was, and who writes the shared memory when."""

import os
import time

import cv2
import numpy as np
import pytest

from edge_runtime.cameras.address import parse_address
from edge_runtime.cameras.camera import Camera
from edge_runtime.cameras.capture_process import note_failure
from edge_runtime.cameras.frame_marker import draw_mark
from edge_runtime.cameras.settings import CameraSettings
from edge_runtime.cameras.shared_frame import Field, SharedFrame
from edge_runtime.causes import Cause
from tests.support.fake_mjpeg_camera import free_port
from tests.support.night_clips import scene, sensed
from tests.support.own_processes import capture_processes

STEP = 0.2  # seconds between frames


class Played:
    """A camera whose capture process is the test: it publishes by hand, and no process is ever due to start."""

    def __init__(self) -> None:
        self.shared = SharedFrame()
        settings = CameraSettings("one", "usb:63", floor_rate=0.5, top_rate=5)
        self.camera = Camera(settings, parse_address("usb:63"), -1, now=1e9, shared=self.shared)
        self.writer = SharedFrame(os.dup(self.shared.handle))
        self.writer[Field.STREAMING] = 1

    def show(self, image: np.ndarray, captured: float) -> tuple[object, ...]:
        """What came of a frame: the camera's state, and the image for the model or None."""
        self.writer.publish(image, captured)
        self.camera.tend(captured)
        frame = self.camera.take()
        return self.camera.state().cause, self.camera.state().since, None if frame is None else frame.image.tobytes()

    def mark(self, image: np.ndarray, captured: float, token: int) -> None:
        self.camera.request_marked_frame(token)
        assert self.writer.wanted_mark == token
        assert self.writer.publish_marked(draw_mark(image, token), captured, token)
        self.camera.tend(captured)
        assert self.camera.state().marked_frame == token

    def close(self) -> None:
        self.writer.close()
        self.camera.close()


def a_night() -> list[np.ndarray]:
    """Still, then somebody walks through, then the lens is covered, then the picture freezes, then all is well."""
    still = [sensed(scene(1), 1.0) for _ in range(60)]
    walk = [sensed(scene(1), 1.0) for _ in range(40)]
    for number, image in enumerate(walk):
        cv2.rectangle(image, (20 + 6 * number, 100), (50 + 6 * number, 220), (30, 40, 200), -1)
    covered = [sensed(np.full((288, 384, 3), 60, np.uint8), 1.0) for _ in range(50)]
    return [*still, *walk, *covered, *[still[0]] * 80, *still]


def test_health_and_gate_are_the_same_with_marked_frames_and_without():
    plain, marked = Played(), Played()
    causes = set()
    for number, image in enumerate(a_night()):
        captured = 1000 + number * STEP
        if number % 7 == 3:
            marked.mark(image, captured, token=number)
        with_marks = marked.show(image, captured)
        assert with_marks == plain.show(image, captured)
        causes.add(with_marks[0])
    assert causes == {None, Cause.COVERED, Cause.FROZEN}
    assert marked.camera.state().skipped == plain.camera.state().skipped == 0
    plain.close()
    marked.close()


@pytest.mark.parametrize("spoil", [lambda image: image // 2, lambda image: np.roll(image, 1, 0)])
def test_a_marked_frame_that_does_not_arrive_as_it_was_drawn_does_not_count(spoil):
    played = Played()
    played.camera.request_marked_frame(5)
    played.writer.publish_marked(spoil(draw_mark(scene(1), 5)), 1000, 5)
    played.camera.tend(1000)
    assert played.camera.state().marked_frame == 0
    played.mark(scene(1), 1001, 6)
    played.close()


def test_an_outage_that_ends_between_two_looks_is_told_once():
    played = Played()
    played.show(scene(1), 1000)
    played.camera.state()
    note_failure(played.writer, Cause.STALLED, 1003)
    played.camera.tend(1003)
    played.writer[Field.STREAMING], played.writer.cause = 1, None
    played.writer.publish(sensed(scene(1), 1.0), 1003.5)
    played.camera.tend(1003.5)
    assert played.camera.take() is not None
    assert [played.camera.state().cause for _ in range(2)] == [Cause.STALLED, None]
    played.close()


class Alone(SharedFrame):
    """Notes whether a capture process lives whenever this side writes a failure."""

    written_beside: list[bool]

    def __setitem__(self, field: int, value: float) -> None:
        if field == Field.TRIES:
            self.written_beside.append(bool(capture_processes()))
        super().__setitem__(field, value)


@pytest.mark.parametrize("how", ["hangs", "dies"])
def test_the_station_writes_a_failure_only_after_the_capture_process_has_ended(how):
    shared = Alone()
    shared.written_beside = []
    event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    camera = Camera(
        CameraSettings("one", f"http://127.0.0.1:{free_port()}/x"),
        parse_address(f"http://127.0.0.1:{free_port()}/x"),
        event,
        now=time.monotonic(),
        shared=shared,
    )
    camera.tend(time.monotonic())
    (child,) = capture_processes()
    if how == "dies":
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    camera.tend(time.monotonic() + 1000)  # long after every deadline
    assert camera.state().restarts == 1
    assert shared.written_beside == [False]
    camera.close()
    os.close(event)
