"""One camera as the station sees it: its settings, its process on a leash, its frames and its condition."""

import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from ..bundle.errors import InputError
from ..bundle.preprocess import Frame
from ..causes import Cause
from ..station import settings
from .address import Source, parse_source
from .capture_process import CaptureOrders, note_failure
from .change_gate import ChangeGate, GateLimits
from .picture_health import HealthLimits, PictureHealth
from .regions import Region
from .shared_frame import Field, SharedFrame, Shot
from .thumbnail import thumbnail_of

START_SECONDS = 30.0  # for a process to start on a busy device
CRASH_SECONDS = 1.0  # after a process died by itself; doubles, up to a minute
CRASHES = tuple(-number for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL))
LOOK_RATE = 5.0  # frames per second
MODULE = "edge_runtime.cameras.capture_process"


@dataclass(frozen=True)
class CameraConfig:
    """Settings of one camera. Without `regions` the model sees the whole picture."""

    name: str
    source: Source
    regions: tuple[Region, ...] = ()
    look_rate: float = LOOK_RATE  # frames per second that are decoded and checked
    open_seconds: float = 8.0  # without a sign of life while the source is opened
    stall_seconds: float = 5.0  # without a frame
    loop: bool = False  # begin a file or folder again at its end
    health: HealthLimits = field(default_factory=HealthLimits)
    gate: GateLimits = field(default_factory=GateLimits)

    def __post_init__(self) -> None:
        if not 0 < self.gate.floor_rate <= self.gate.active_rate <= self.look_rate:
            rates = f"{self.gate.floor_rate:g}, {self.gate.active_rate:g} and {self.look_rate:g}"
            raise InputError(f"camera {self.name}: floor, active and look rate are {rates}; they must not fall")


def from_settings(camera: settings.Camera) -> CameraConfig:
    """From a [[camera]] of `station.toml`; reads its secrets. InputError names the camera, never a secret."""
    try:
        source = parse_source(camera.address())
    except InputError as error:
        raise InputError(f"camera {camera.name}: {error}") from error
    regions = (Region(f"region-{number}", *sides) for number, sides in enumerate(camera.regions, 1))
    return CameraConfig(
        name=camera.name,
        source=source,
        regions=tuple(regions),
        look_rate=max(camera.top_rate, LOOK_RATE),
        open_seconds=camera.open_timeout,
        stall_seconds=camera.read_timeout,
        health=HealthLimits(frozen_seconds=camera.frozen_seconds, infrared=camera.infrared),
        gate=GateLimits(floor_rate=camera.floor_rate, active_rate=camera.top_rate),
    )


@dataclass(frozen=True)
class Sighting:
    """A frame worth judging: uint8 (H, W, 3) BGR, `captured` in monotonic seconds, `wall` by the clock, as a label."""

    camera: str
    frame: Frame
    captured: float
    wall: float
    sequence: int
    regions: tuple[Region, ...] = ()
    test: bool = False

    def views(self) -> list[tuple[str, Frame]]:
        """What the model is shown: each region's name and part of the frame, or the whole under the name ""."""
        return [(region.name, region.crop(self.frame)) for region in self.regions] or [("", self.frame)]


@dataclass(frozen=True)
class CameraState:
    """How a camera does: `cause` None while it is watched, `since` in monotonic seconds, and counts since the start.

    `received` frames came, `looked` at were checked, `passed` went to the model, `withheld` were unfit, `skipped` came
    while the station was busy and were replaced by newer ones. `age` of the newest frame in seconds.
    """

    camera: str
    cause: Cause | None
    since: float
    age: float | None
    received: int
    looked: int
    passed: int
    withheld: int
    skipped: int
    restarts: int


class Camera:
    """Starts the process, kills it when it hangs, replaces it, and checks what it sees. Call `tend` often."""

    def __init__(self, config: CameraConfig, bell: int, now: float) -> None:
        self.config = config
        self._bell = bell
        self._board = SharedFrame()
        self._board[Field.OUTAGE] = now
        self._child: subprocess.Popen[bytes] | None = None
        self._start_at = now
        self._crashes = 0
        self._health = PictureHealth(config.health)
        self._gate = ChangeGate(config.gate)
        self._condition: tuple[Cause | None, float] = (Cause.STARTING, now)
        self._sequence = self._looked = self._passed = self._withheld = self._skipped = self._restarts = 0

    def tend(self, now: float) -> None:
        """Start, kill or replace the process as it needs."""
        if self._child is None:
            if now >= self._start_at and not self._board[Field.FINISHED]:
                self._start(now)
        elif self._child.poll() is not None:
            self._bury(now)
        elif now > self._board[Field.DEADLINE]:
            self._kill(now)
        if not self._board[Field.STREAMING] and self._board.cause is not None:
            self._condition = (self._board.cause, self._board[Field.OUTAGE])

    def _start(self, now: float) -> None:
        self._board[Field.DEADLINE] = now + START_SECONDS
        source, config = self.config.source, self.config
        orders = CaptureOrders(
            kind=source.kind.value,
            address=source.address,
            user=source.user,
            password=source.password,
            open_seconds=config.open_seconds,
            look_seconds=1 / config.look_rate,
            stall_seconds=config.stall_seconds,
            loop=config.loop,
            board=self._board.handle,
            bell=self._bell,
        )
        self._child = subprocess.Popen(
            [sys.executable, "-m", MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=(self._board.handle, self._bell),
            cwd=Path(__file__).resolve().parents[2],  # -m looks there first
        )
        assert self._child.stdin is not None  # by construction: stdin=PIPE
        try:
            self._child.stdin.write(orders.to_line())
            self._child.stdin.flush()
        except BrokenPipeError:  # died at once; the next look at it says so
            return

    def _kill(self, now: float) -> None:
        """It promised to move by now and did not. The next one starts at once and knows how long the outage lasts."""
        cause = Cause.STALLED if self._board[Field.STREAMING] else Cause.TIMEOUT
        self.stop()
        note_failure(self._board, cause, now)
        self._restarts += 1
        self._start_at = now

    def _bury(self, now: float) -> None:
        """It died by itself: a decoder's crash, a hand from outside, or the end of a file."""
        crashed = self._child is not None and self._child.returncode in CRASHES
        self.stop()
        if self._board[Field.FINISHED]:
            return
        if self._board[Field.STREAMING]:
            self._crashes = 0
        note_failure(self._board, Cause.CODEC if crashed else Cause.STALLED, now)
        self._restarts += 1
        self._crashes += 1
        self._start_at = now + min(CRASH_SECONDS * 2.0 ** (self._crashes - 1), 60.0)

    def stop(self) -> None:
        """End the process, if there is one."""
        if self._child is None:
            return
        self._child.kill()
        assert self._child.stdin is not None  # by construction: stdin=PIPE
        self._child.stdin.close()
        self._child.wait()
        self._child = None

    def close(self) -> None:
        """End the process and give the memory back."""
        self.stop()
        self._board.close()

    def take(self, now: float) -> Sighting | None:
        """The newest frame, if it has not been taken, is fit and is due."""
        shot = self._board.newest(self._sequence)
        if shot is None:
            return None
        self._skipped += shot.sequence - self._sequence - 1
        self._sequence = shot.sequence
        self._looked += 1
        seen = thumbnail_of(shot.frame)
        condition = self._health.check(seen, shot.captured)
        cause, since, fit = condition.cause, condition.since, condition.fit
        if cause is None and not all(region.fits(seen.size) for region in self.config.regions):
            cause, since, fit = Cause.RESIZED, self._since(Cause.RESIZED, shot.captured), False
        self._condition = (cause, since if cause else self._since(None, shot.captured))
        self._gate.show(seen, shot.captured)
        if not fit:
            self._withheld += 1
            return None
        return self._passed_on(shot) if self._gate.due(shot.captured) else None

    def _since(self, cause: Cause | None, now: float) -> float:
        return self._condition[1] if self._condition[0] is cause else now

    def _passed_on(self, shot: Shot) -> Sighting:
        self._gate.passed(shot.captured)
        self._passed += 1
        config = self.config
        return Sighting(config.name, shot.frame, shot.captured, shot.wall, shot.sequence, config.regions)

    def state(self, now: float) -> CameraState:
        """As of the last `tend` and `take`."""
        cause, since = self._condition
        published = self._board[Field.PUBLISHED_AT]
        return CameraState(
            camera=self.config.name,
            cause=cause,
            since=since,
            age=now - published if published else None,
            received=int(self._board[Field.RECEIVED]),
            looked=self._looked,
            passed=self._passed,
            withheld=self._withheld,
            skipped=self._skipped,
            restarts=self._restarts,
        )
