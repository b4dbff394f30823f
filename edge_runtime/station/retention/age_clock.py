"""A clock that only counts time which has surely passed, so that no file looks older than it is. Pure.

Within one boot the monotonic clock tells, whatever becomes of the wall clock. A reboot ends that; then the time between
the last reading at which the kernel said that its wall clock is disciplined and the first such reading afterwards is
what the wall clock says. Where nothing disciplines it, the time of a box that was off is not counted: its files are
kept for longer, never for less than they should.
"""

from dataclasses import dataclass, replace

from ...clock import Instant


@dataclass(frozen=True)
class AgeClock:
    """`seconds` that have surely passed since the first reading, as of a reading at `monotonic` seconds of `boot`.

    `anchor` is the last reading with a disciplined wall clock: the `seconds` then, that clock, and the boot.
    """

    seconds: float
    monotonic: float
    boot: str
    anchor_seconds: float = 0.0
    anchor_wall: float = 0.0
    anchor_boot: str = ""

    def read(self, now: Instant, boot: str, synced: bool) -> "AgeClock":
        """Return the clock as of `now`; `synced` says whether the wall clock is disciplined and did not just jump."""
        passed = now.monotonic - self.monotonic if boot == self.boot else now.monotonic  # this boot has lasted so long
        seconds = self.seconds + max(0.0, passed)
        read = replace(self, seconds=seconds, monotonic=now.monotonic, boot=boot)
        if not synced:
            return read
        if self.anchor_boot not in ("", boot):
            seconds = max(seconds, self.anchor_seconds + now.wall - self.anchor_wall)
        return replace(read, seconds=seconds, anchor_seconds=seconds, anchor_wall=now.wall, anchor_boot=boot)
