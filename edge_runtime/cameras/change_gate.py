"""How often a camera's frames go to the model: more while something changes, never less than the floor rate. Pure.

The floor always holds: a slow leak has no motion.
"""

from dataclasses import dataclass

import numpy as np

from .thumbnail import Plane, Thumbnail, temporal_noise


@dataclass(frozen=True)
class GateLimits:
    """Rates in frames per second that go to the model, and what counts as change."""

    floor_rate: float = 0.5
    top_rate: float = 5.0
    change_levels: float = 8.0  # grey levels by which a point of the thumbnail differs from its background, or
    change_noises: float = 6.0  # standard deviations of the sensor's noise, whichever is more
    change_share: float = 0.004  # of the points differ: 58 of them, a person's size at the far fence
    hold_seconds: float = 5.0  # of the raised rate after the last change
    background_seconds: float = 20.0  # in which the background learns; what stays is no change


class ChangeGate:
    """Decides for one camera which frames go to the model. Show it every frame that is checked."""

    def __init__(self, limits: GateLimits | None = None) -> None:
        self.limits = limits or GateLimits()
        self._background: Plane | None = None
        self._last: tuple[Plane, float] | None = None
        self._changed_at: float | None = None
        self._passed_at: float | None = None

    def show(self, thumbnail: Thumbnail, now: float) -> None:
        """Learn from a frame, whether it goes to the model or not."""
        luma = thumbnail.luma
        if self._background is None or self._last is None:
            self._background = luma
        else:
            if self._differs(luma - self._background, temporal_noise(luma, self._last[0])):
                self._changed_at = now
            weight = np.float32(min((now - self._last[1]) / self.limits.background_seconds, 1.0))
            self._background = self._background + (luma - self._background) * weight
        self._last = (luma, now)

    def _differs(self, change: Plane, noise: float) -> bool:
        change = np.abs(change - np.median(change[::3, ::3]))  # the light of the whole picture is no change
        threshold = max(self.limits.change_levels, self.limits.change_noises * noise)
        return bool((change > threshold).mean() > self.limits.change_share)

    def active(self, now: float) -> bool:
        """Whether something has changed of late."""
        return self._changed_at is not None and now - self._changed_at <= self.limits.hold_seconds

    def admit(self, now: float) -> bool:
        """Return whether the present frame goes to the model; where it does, the next wait begins."""
        rate = self.limits.top_rate if self.active(now) else self.limits.floor_rate
        if self._passed_at is not None and now - self._passed_at < 1 / rate - 1e-3:
            return False
        self._passed_at = now
        return True
