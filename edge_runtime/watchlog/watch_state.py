"""Derives from a camera's condition and its last verdict whether it is watched. Pure; time is passed in."""

from collections.abc import Collection, Mapping

from ..causes import Cause

LATE_TURNS, LATE_SECONDS = 2.0, 3.0  # a verdict is late after so many turns of the floor rate, and so many seconds


def late_seconds(floor_rate: float) -> float:
    """Return the seconds without a verdict after which a camera of this `floor_rate` (frames a second) is blind."""
    return LATE_TURNS / floor_rate + LATE_SECONDS


class WatchState:
    """Knows which cameras get verdicts: one whose frames come but get none in time is as blind as one that is off."""

    def __init__(self, floor_rates: Mapping[str, float]) -> None:
        """`floor_rates` by camera, in frames a second."""
        self._late = {camera: late_seconds(rate) for camera, rate in floor_rates.items()}
        self._judged: dict[str, float] = {}  # monotonic seconds of the newest frame that got a verdict
        self._unfit: dict[str, Cause] = {}  # why frames since then got none
        self._maintained: dict[str, float] = {}  # monotonic seconds since when a camera is under maintenance
        self._released: dict[str, float] = {}  # monotonic seconds of the end of a camera's last maintenance

    def judged(self, camera: str, captured: float) -> None:
        """Note that a frame of `captured` (monotonic seconds) got a verdict in all its parts."""
        self._judged[camera] = captured
        self._unfit.pop(camera, None)

    def unfit(self, camera: str, cause: Cause) -> None:
        """Note that a frame which the camera's checks let pass got no verdict, because of `cause`."""
        self._unfit[camera] = cause

    def maintain(self, cameras: Collection[str], now: float) -> None:
        """Note that these cameras are under maintenance `now`, and no others."""
        self._released |= dict.fromkeys(self._maintained.keys() - cameras, now)
        self._maintained = {camera: self._maintained.get(camera, now) for camera in cameras}

    def blind(self, camera: str, cause: Cause | None, since: float, now: float) -> tuple[Cause | None, float]:
        """Return why the camera is not watched `now`, None where it is, and since when in monotonic seconds.

        `cause` and `since` are the camera's own condition. Under maintenance the cause is that, whatever the camera
        does, and what began meanwhile counts from the end of the maintenance.
        """
        if camera in self._maintained:
            return Cause.MAINTENANCE, self._maintained[camera]
        if cause is None:
            since = max(self._judged.get(camera, 0.0), since)
            if now - since > self._late[camera]:
                cause = self._unfit.get(camera, Cause.OVERLOADED)
        return cause, max(since, self._released.get(camera, since))
