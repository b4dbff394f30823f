"""Health checks: whether a camera shows what it should, by its own history and before the model. Pure.

A suspicious frame is withheld at once; a cause is reported once the suspicion has lasted. Slow changes of light and
weather move the history; what happens within seconds does not. Time is passed in, in monotonic seconds.
"""

import heapq
import math
from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np

from ..causes import Cause
from ..inference.blank_check import BLACK_MEAN, BLACK_STD, FLAT_STD
from .thumbnail import Plane, Thumbnail, temporal_noise

LAPLACIAN_NOISE = 20.0  # variance that the 3 x 3 Laplacian (-4 and four ones) makes of noise of variance 1
DARK_OFFSET = 4.0  # grey levels; keeps the relative detail of a dark picture finite
STILL_MARGIN = 1.5  # over the longest repetition that is usual for the camera
MAX_STILL_SECONDS = 60.0  # a longer repetition was a frozen camera
MAX_SCENES = 4  # remembered appearances of what a camera watches: lamps on and off, colour and infrared
SNOW_NOISE = 3.0  # grey levels of the thumbnail; below, snow is not looked for
CLOSE_SECONDS = 10.0  # frames further apart than this say nothing about noise


@dataclass(frozen=True)
class HealthLimits:
    """The limits beyond which a picture is not worth judging. Grey levels are on the 0..255 scale."""

    hold_seconds: float = 4.0  # a suspicion lasts before it is reported
    clear_seconds: float = 2.0  # good frames come before a reported cause is lifted
    frozen_seconds: float = 10.0  # of bit-identical frames, above the key frame interval; 0 turns the check off
    white_level: float = 245.0  # a pixel at or above counts as washed out
    white_share: float = 0.6  # of the picture washed out
    detail_share: float = 0.2  # of the camera's usual relative detail is left when it is covered or out of focus
    noise_level: float = 10.0  # grey levels of noise in the thumbnail; sensors at night have up to 3
    noise_std: float = 25.0  # grey levels between two frames, when also
    noise_correlation: float = 0.5  # neighbours change less alike than this, and
    noise_share: float = 0.6  # of the picture changes
    scene_correlation: float = 0.3  # with any remembered scene; below, the camera looks elsewhere
    accept_seconds: float = 600.0  # after which a new scene is accepted, so that a lamp cannot blind all night
    colour_share: float = 0.25  # of the usual colour is left after a switch to infrared
    grey_chroma: float = 3.0  # grey levels; below, a picture has no colour
    stills: bool = False  # pictures come one by one, as uploads do: between two of them view, light and size may change
    infrared: bool = True  # whether infrared pictures are judged once they have settled
    settle_seconds: float = 8.0  # after a switch to or from infrared, or a new size
    history_seconds: float = 300.0  # time constant of the history
    radiometric: bool = False  # grey levels are scaled temperatures: cold is dark and hot is white, and no fault


@dataclass(frozen=True)
class Condition:
    """The reported `cause`, `since` when in monotonic seconds, and whether this frame is `fit` for the model."""

    cause: Cause | None
    since: float
    fit: bool


class PictureHealth:
    """The state of one camera's health. Give it every frame that is checked, in order."""

    def __init__(self, limits: HealthLimits | None = None) -> None:
        self.limits = limits or HealthLimits()
        self._last: tuple[Thumbnail, float] | None = None
        self._same_since = 0.0
        self._stills: list[float] = []  # the longest repetitions that ended by themselves
        self._noises: deque[float] = deque(maxlen=3)  # of the last frames; a flash spoils two
        self._size: tuple[int, int] | None = None
        self._settling: tuple[Cause, float] | None = None  # what, until when
        self._history = _History()
        self._bad_since: float | None = None
        self._suspected: tuple[Cause | None, float] = (None, 0.0)  # of the last frame, and since when
        self._good_since: float | None = None
        self._reported: Cause | None = None
        self._reported_since = 0.0

    def check(self, thumbnail: Thumbnail, now: float) -> Condition:
        """Return the camera's condition with this frame."""
        suspicion, since = self._suspect(thumbnail, now)
        self._last = (thumbnail, now)
        if suspicion is None:
            return self._good(now)
        self._good_since = None
        self._bad_since = since if self._bad_since is None else self._bad_since
        if suspicion is not self._suspected[0]:
            self._suspected = (suspicion, since)
        began = self._bad_since if self._reported is None else self._suspected[1]
        certain = suspicion in (Cause.FROZEN, Cause.RESIZED, Cause.INFRARED)  # their own rule has waited, or need not
        if suspicion is not self._reported and (certain or now - began >= self.limits.hold_seconds):
            self._reported, self._reported_since = suspicion, began
        return Condition(self._reported, self._reported_since, fit=False)

    def _good(self, now: float) -> Condition:
        self._good_since = now if self._good_since is None else self._good_since
        self._suspected = (None, now)
        if self._reported is not None and now - self._good_since < self.limits.clear_seconds:
            return Condition(self._reported, self._reported_since, fit=False)
        if self._reported is not None or self._bad_since is not None:
            self._reported_since = now
        self._reported, self._bad_since = None, None
        return Condition(None, self._reported_since, fit=True)

    def _suspect(self, thumbnail: Thumbnail, now: float) -> tuple[Cause | None, float]:
        """Return the first reason against this frame, or None, and since when it holds."""
        limits = self.limits
        if not limits.stills and (cause := self._resized(thumbnail, now)) is not None:
            return cause, now
        frozen_since = self._unchanged(thumbnail, now)
        noisy = not limits.stills and self._watch_noise(thumbnail, now)
        if (cause := _lightless(thumbnail, self._noise, limits)) is not None:
            return cause, now
        if limits.frozen_seconds and now - frozen_since >= self._frozen_after():
            return Cause.FROZEN, frozen_since
        if noisy:
            return Cause.NOISE, now
        return None if limits.stills else self._against_history(thumbnail, now), now

    def _resized(self, thumbnail: Thumbnail, now: float) -> Cause | None:
        if self._size is not None and thumbnail.size != self._size:
            self._settling = (Cause.RESIZED, now + self.limits.settle_seconds)
            self._history = _History()
            self._last = None
        self._size = thumbnail.size
        return self._settled(Cause.RESIZED, now)

    def _settled(self, cause: Cause, now: float) -> Cause | None:
        if self._settling is None or self._settling[0] is not cause:
            return None
        if now < self._settling[1]:
            return cause
        self._settling = None
        return None

    def _unchanged(self, thumbnail: Thumbnail, now: float) -> float:
        """Return since when every frame has been the same, bit for bit."""
        if self._last is None or not np.array_equal(thumbnail.rows, self._last[0].rows):
            still = self._last[1] - self._same_since if self._last else 0.0
            if self.limits.frozen_seconds / 2 < still < MAX_STILL_SECONDS:
                self._stills = heapq.nlargest(3, [*self._stills, still])
            self._same_since = now
        return self._same_since

    def _frozen_after(self) -> float:
        """Return the seconds of bit-identical frames that mean a frozen camera.

        A strong codec repeats a still scene until its next key frame. Three such waits teach how long that takes.
        """
        usual = self._stills[2] if len(self._stills) == 3 else 0.0
        return max(self.limits.frozen_seconds, STILL_MARGIN * usual)

    def _watch_noise(self, thumbnail: Thumbnail, now: float) -> bool:
        """Update the sensor's noise, and return whether the picture is nothing but noise."""
        if self._last is None or now - self._last[1] > CLOSE_SECONDS or self._same_since != now:
            return False
        before = self._last[0]
        noise = temporal_noise(thumbnail.luma, before.luma)
        self._noises.append(noise)
        return noise > self.limits.noise_level or (noise > SNOW_NOISE and _snow(thumbnail, before, self.limits))

    @property
    def _noise(self) -> float:
        return min(self._noises, default=0.0)

    def _against_history(self, thumbnail: Thumbnail, now: float) -> Cause | None:
        history, limits = self._history, self.limits
        detail = _detail(thumbnail, self._noise)
        shape = _shape(thumbnail.luma)
        if not history.scenes:
            if self._noises:  # else the noise would count as detail
                history.adopt(detail, shape, thumbnail.chroma)
                history.strength = _strength(thumbnail, shape, self._noise)[0]
            return None
        hidden = LAPLACIAN_NOISE**0.5 * self._noise / (float(thumbnail.luma.mean()) + DARK_OFFSET)
        if detail < history.detail * limits.detail_share and history.detail > hidden:  # else noise hides what there was
            return Cause.COVERED
        strength, floor = _strength(thumbnail, shape, self._noise)
        if max(strength, floor) < limits.detail_share * history.strength:
            return Cause.COVERED
        alike = history.likeness(shape, self._noise)
        if (cause := self._colour_switch(thumbnail, alike, now)) is not None:
            if self._settling is None and cause is Cause.INFRARED and limits.infrared:
                history.adopt(detail, shape, thumbnail.chroma)
                history.strength = strength
            return cause
        if alike < limits.scene_correlation and not self._accepted(now):
            return Cause.MOVED
        if alike < limits.scene_correlation:
            history.adopt(detail, shape, thumbnail.chroma)
        weight = self._elapsed(now) / limits.history_seconds
        history.learn(detail, shape, thumbnail.chroma, weight)
        history.strength += (strength - history.strength) * min(weight, 1.0)
        return None

    def _elapsed(self, now: float) -> float:
        return min(now - self._last[1], CLOSE_SECONDS) if self._last else 0.0

    def _accepted(self, now: float) -> bool:
        """Return whether the camera has looked elsewhere for so long that this is its new scene."""
        moved = self._reported is Cause.MOVED
        return moved and now - self._reported_since >= self.limits.accept_seconds

    def _colour_switch(self, thumbnail: Thumbnail, alike: float, now: float) -> Cause | None:
        """Return INFRARED where colour came or went at once while the scene stayed, until the picture has settled."""
        if (cause := self._settled(Cause.INFRARED, now)) is not None:
            self._history.chroma = thumbnail.chroma
            return cause
        usual, limits = self._history.chroma, self.limits
        grey = limits.grey_chroma
        lost = usual > 2 * grey and thumbnail.chroma < max(usual * limits.colour_share, grey)
        won = usual < grey and thumbnail.chroma > 2 * grey and usual < thumbnail.chroma * limits.colour_share
        if alike < limits.scene_correlation or not (lost or won):
            return None
        if limits.infrared or won:
            self._settling = (Cause.INFRARED, now + limits.settle_seconds)
        return Cause.INFRARED


class _History:
    """What one camera usually shows: its detail, colour and scenes."""

    def __init__(self) -> None:
        self.detail = 0.0
        self.strength = 0.0
        self.chroma = 0.0
        self.scenes: list[Plane] = []  # the present one first

    def adopt(self, detail: float, shape: Plane, chroma: float) -> None:
        """Take `shape` for the scene from here on; the old ones are remembered."""
        self.detail, self.chroma = detail, chroma
        self.scenes = [shape, *self.scenes][:MAX_SCENES]

    def likeness(self, shape: Plane, noise: float) -> float:
        """Return the largest correlation with a remembered scene, which comes to the front.

        It is 1 where noise hides the scene.
        """
        power = float(np.vdot(shape, shape)) / shape.size
        if power < SCENE_POWER * noise * noise * SHAPE_NOISE:
            return 1.0
        known = _squashed(shape, noise)
        scores = [_correlation(known, _squashed(scene, noise)) for scene in self.scenes]
        best = int(np.argmax(scores))
        self.scenes.insert(0, self.scenes.pop(best))
        return scores[best]

    def learn(self, detail: float, shape: Plane, chroma: float, weight: float) -> None:
        weight = min(max(weight, 0.0), 1.0)
        self.detail += (detail - self.detail) * weight
        self.chroma += (chroma - self.chroma) * weight
        self.scenes[0] = self.scenes[0] + (shape - self.scenes[0]) * np.float32(weight)


NARROW, WIDE = 5, 25  # pixels of the thumbnail: detail between these two sizes is what a scene is known by
SCENE_POWER = 20.0  # times that of the noise between them; with less, no scene can be told from another
SHAPE_NOISE = 1 / NARROW**2 - 1 / WIDE**2  # share of the noise's variance that is left between them


def _shape(luma: Plane) -> Plane:
    """Return the scene without its brightness: what lies between two blurs."""
    band: Plane = cv2.blur(luma, (NARROW, NARROW)) - cv2.blur(luma, (WIDE, WIDE))
    return band


def _strength(thumbnail: Thumbnail, shape: Plane, noise: float) -> tuple[float, float]:
    """Return the root mean square of `shape` without the noise's share, and the least that noise lets show.

    Both relative to the brightness.
    """
    brightness = float(thumbnail.luma.mean()) + DARK_OFFSET
    power, hidden = float(np.vdot(shape, shape)) / shape.size, noise * noise * SHAPE_NOISE
    return math.sqrt(max(power - hidden, 0.0)) / brightness, math.sqrt(SCENE_POWER / 4 * hidden) / brightness


def _squashed(shape: Plane, noise: float) -> Plane:
    """Return `shape` in -1..1: a lamp or a person in the dark must not outweigh the whole scene, nor noise make one."""
    size = np.abs(shape)
    usual = max(float(np.median(size[::3, ::3])), 2 * noise * SHAPE_NOISE**0.5, 1e-3)
    squashed: Plane = (shape / (size + usual)).astype(np.float32, copy=False)
    return squashed


def _correlation(one: Plane, other: Plane) -> float:
    size = float(np.vdot(one, one)) * float(np.vdot(other, other))
    return float(np.vdot(one, other)) / math.sqrt(size + 1e-6)


def _detail(thumbnail: Thumbnail, noise: float) -> float:
    """Return the root of the Laplacian's variance without the noise's share, relative to the brightness."""
    _, spread = cv2.meanStdDev(cv2.Laplacian(thumbnail.luma, cv2.CV_32F))
    clean: float = max(float(spread[0, 0]) ** 2 - LAPLACIAN_NOISE * noise * noise, 0.0)
    return math.sqrt(clean) / (float(thumbnail.luma.mean()) + DARK_OFFSET)


def _lightless(thumbnail: Thumbnail, noise: float, limits: HealthLimits) -> Cause | None:
    """Return the cause where the picture is black, white or one flat tone, whatever the camera's history."""
    mean, spread = (float(value[0, 0]) for value in cv2.meanStdDev(thumbnail.luma))
    if not limits.radiometric and mean < BLACK_MEAN and spread < BLACK_STD:
        return Cause.BLACK
    if not limits.radiometric and float((thumbnail.luma >= limits.white_level).mean()) > limits.white_share:
        return Cause.OVEREXPOSED
    clean = max(spread * spread - noise * noise, 0.0) ** 0.5
    return Cause.COVERED if clean < FLAT_STD else None


def _snow(now: Thumbnail, before: Thumbnail, limits: HealthLimits) -> bool:
    """Return whether everything changes, and no pixel as its neighbour does."""
    change = now.rows[::4, :, 1].astype(np.float32) - before.rows[::4, :, 1]
    power = float((change * change).mean())
    if power < limits.noise_std**2 or float((np.abs(change) > limits.noise_std / 2).mean()) < limits.noise_share:
        return False
    return float((change[:, 1:] * change[:, :-1]).mean()) / power < limits.noise_correlation
