"""One camera as the station sees it: its capture process, its frames and its condition."""

import contextlib
import signal
import subprocess
from dataclasses import dataclass, replace
from typing import IO, cast

from ..bundle.preprocess import Frame
from ..bundle.radiometric import RadiometricRule
from ..causes import Cause
from ..child_process import end_child, module_command, start_child
from ..delays import restart_delay
from .address import CameraAddress, Kind
from .capture_process import CaptureOrders, note_failure
from .change_gate import ChangeGate, GateLimits
from .frame_marker import has_mark
from .picture_health import HealthLimits, PictureHealth
from .regions import Region, Unmasked
from .settings import CameraSettings
from .shared_frame import Field, SharedFrame
from .thumbnail import thumbnail_of

START_SECONDS = 30.0  # for a process to start on a busy device
CRASHES = tuple(-number for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL))
MODULE = "edge_runtime.cameras.capture_process"


@dataclass(frozen=True)
class CapturedFrame:
    """A frame for the model: `image` uint8 (H, W, 3) BGR, `captured` in monotonic seconds.

    `test` marks a picture that no camera took, but a test alarm put in.
    """

    camera: str
    image: Frame
    captured: float
    regions: tuple[Region, ...] = ()
    test: bool = False

    def views(self) -> list[tuple[str, Frame]]:
        """Return what the model is shown: each region's name and part, or the whole image under the name ""."""
        return [(region.name, region.crop(self.image)) for region in self.regions] or [("", self.image)]


@dataclass(frozen=True)
class CameraState:
    """How a camera does: `cause` None while it is watched, `since` in monotonic seconds, and counts since the start.

    `skipped` frames came while the station was busy and were replaced by newer ones; the capture process was started
    again `restarts` times. `marked_frame` is the token of the last marked frame that arrived whole, 0 before the first.
    """

    camera: str
    cause: Cause | None
    since: float
    skipped: int = 0
    restarts: int = 0
    marked_frame: int = 0


class Camera:
    """Starts the capture process, kills it when it hangs, replaces it, and checks its frames. Call `tend` often."""

    def __init__(
        self,
        settings: CameraSettings,
        address: CameraAddress,
        frame_event: int,
        now: float,
        shared: SharedFrame | None = None,
        radiometric: RadiometricRule | None = None,
    ) -> None:
        self._settings, self._address = settings, address
        self._radiometric = radiometric if address.kind is Kind.FOLDER else None  # streams bring 8 bits
        self._regions = settings.named_regions()
        self._unmasked = Unmasked(settings.masks) if settings.masks else None
        self._frame_event = frame_event
        self._shared = shared or SharedFrame()
        self._shared[Field.OUTAGE] = now
        self._child: subprocess.Popen[bytes] | None = None
        self._start_at = now
        self._crashes = self._restarts = self._marked_frame = 0
        rates = GateLimits(floor_rate=settings.floor_rate, top_rate=settings.top_rate)
        if address.kind is Kind.FOLDER:  # every picture is for the model: whoever uploads has chosen it
            rates = GateLimits(floor_rate=settings.check_rate, top_rate=settings.check_rate)
        self._health, self._gate = PictureHealth(self._limits()), ChangeGate(rates)
        self._condition: tuple[Cause | None, float] = (Cause.STARTING, now)
        self._untold_outage: tuple[Cause, float] | None = None

    def _limits(self) -> HealthLimits:
        limits = HealthLimits(
            frozen_seconds=self._settings.frozen_seconds,
            infrared=self._settings.infrared,
            radiometric=self._radiometric is not None,
        )
        if self._address.kind is Kind.FOLDER:
            limits = replace(limits, stills=True, hold_seconds=0.0, clear_seconds=0.0)
        return limits

    def set_radiometric(self, rule: RadiometricRule | None) -> None:
        """Read the radiometric pictures of a folder by another `rule` from now on.

        That needs another capture process, which shows the newest pictures of the folder once more.
        """
        if self._address.kind is Kind.FOLDER and rule != self._radiometric:
            self._radiometric, self._health = rule, PictureHealth(self._limits())
            self.stop()  # `tend` starts the next one

    def tend(self, now: float) -> None:
        """Start, kill or replace the process as it needs, and receive a marked frame."""
        if self._child is None:
            if now >= self._start_at and not self._shared[Field.FINISHED]:
                self._start(now)
        elif self._child.poll() is not None:
            self._replace_dead(now)
        elif now > self._shared[Field.DEADLINE]:
            # It announced to move by now. The next process starts at once and knows how long the outage lasts.
            self._reap(Cause.STALLED if self._shared[Field.STREAMING] else Cause.TIMEOUT, now)
            self._start_at = now
        if not self._shared[Field.STREAMING] and self._shared.cause is not None:
            outage = (self._shared.cause, self._shared[Field.OUTAGE])
            if outage != self._condition:
                self._condition = self._untold_outage = outage
        if (marked := self._shared.take_marked()) is not None and has_mark(marked[1], marked[0]):
            self._marked_frame = marked[0]

    def _start(self, now: float) -> None:
        self._shared[Field.DEADLINE] = now + START_SECONDS
        orders = CaptureOrders(
            address=self._address,
            open_timeout=self._settings.open_timeout,
            read_timeout=self._settings.read_timeout,
            upload_timeout=self._settings.upload_timeout,
            check_seconds=1 / self._settings.check_rate,
            shared_memory=self._shared.handle,
            frame_event=self._frame_event,
            radiometric=self._radiometric,
            masks=self._settings.masks,
        )
        inherited = (self._shared.handle, self._frame_event)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL}
        self._child = start_child(module_command(MODULE), **pipes, pass_fds=inherited)
        stdin = cast(IO[bytes], self._child.stdin)  # opened with PIPE
        with contextlib.suppress(BrokenPipeError):  # died at once; the next `tend` notes it
            stdin.write(orders.to_line())
            stdin.flush()

    def _replace_dead(self, now: float) -> None:
        """Clear away a process that died by itself: a decoder's crash, a hand from outside, or the end of a file."""
        crashed = self._child is not None and self._child.returncode in CRASHES
        if self._shared[Field.FINISHED]:
            self.stop()
            return
        if self._shared[Field.STREAMING]:
            self._crashes = 0
        self._reap(Cause.CODEC if crashed else Cause.STALLED, now)
        self._crashes += 1
        self._start_at = now + restart_delay(self._crashes)

    def _reap(self, cause: Cause, now: float) -> None:
        """End the process, and only then write into the shared memory in its place: one of the two writes at a time."""
        self.stop()
        note_failure(self._shared, cause, now)
        self._restarts += 1

    def stop(self) -> None:
        """End the process, if there is one."""
        if self._child is not None:
            end_child(self._child)
            self._child = None

    def close(self) -> None:
        """End the process and give the memory back."""
        self.stop()
        self._shared.close()

    def request_marked_frame(self, token: int) -> None:
        """Ask the capture process for a marked copy of its next frame; `CameraState.marked_frame` tells its arrival.

        Such a copy is no frame of the camera: neither the health checks nor the gate nor the model see it.
        """
        self._shared[Field.MARK_WANTED] = token

    def take(self) -> CapturedFrame | None:
        """Return the newest frame, if it has not been taken, is fit for the model and is due."""
        newest = self._shared.take_newest(self._wanted)
        return newest and CapturedFrame(self._settings.name, *newest, self._regions)

    def _wanted(self, image: Frame, captured: float) -> bool:
        """Show a frame to health checks and gate; return whether it is for the model. Nothing is kept of its memory."""
        thumbnail = thumbnail_of(image, self._unmasked)
        condition = self._health.check(thumbnail, captured)
        watched_since = captured if self._condition[0] is not None else self._condition[1]
        self._condition = (condition.cause, condition.since if condition.cause else watched_since)
        self._gate.show(thumbnail, captured)
        return condition.fit and self._gate.admit(captured)

    def state(self) -> CameraState:
        """Return how the camera does, as of the last `tend` and `take`.

        An outage that has ended since the last call is told once all the same: a process that hung may be replaced
        between two looks, and the seconds that nobody saw belong in the ledger.
        """
        cause, since = self._untold_outage or self._condition
        self._untold_outage = None
        skipped = self._shared.skipped
        return CameraState(self._settings.name, cause, since, skipped, self._restarts, self._marked_frame)
