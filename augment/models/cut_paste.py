"""Real faults set into real pictures of healthy equipment: the alternative to every generator, at no cost.

A patch goes where the host looks like the patch's own surroundings, on a clamp rather than on the sky. False-colour
(thermal) pictures are composed in their one temperature channel: blending their colours would give some that no camera
makes. `transplant` sets in the whole patch, `heat_up` only what a spot is hotter than the same spot cooled.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from augment.models.false_colour import Box, Grey, palette_of, parted, temperatures
from augment.models.heal import cooled
from edge_runtime.bundle.preprocess import Frame

MARGIN = 0.35  # of the box's sides: surroundings that go with the patch, and over which it fades
LEAST_MARGIN = 4  # pixels
SCALES = (0.8, 1.25)
PLACES = 12  # the best matching places, of which one is drawn
WARM_PERCENTILE = 75  # of the surroundings' temperatures: the equipment's own, not the sky's
SPREAD = 0.15  # of a spot's shorter side: how far its heat spreads into the host
BOXED_HEAT = 0.3  # of the largest heat: what is hotter than this is in the box
HEAT_REACH = 20.0  # grey levels by which what is colder than the equipment may be lifted to it


@dataclass(frozen=True)
class Fitted:
    """A fault's patch, scaled and perhaps mirrored, and the place that was found for it in a host."""

    host: Frame
    donor: Frame
    patch: Frame  # the donor's box with its surroundings
    inner: tuple[int, int, int, int]  # the box within the patch: left, top, right, bottom
    left: int  # of the patch in the host, in pixels
    top: int
    calm: Frame | None = None  # the patch without its heat, where that was looked for

    @property
    def box(self) -> list[int]:
        """The box in the host: x, y, width, height in pixels."""
        left, top, right, bottom = self.inner
        return [self.left + left, self.top + top, right - left, bottom - top]

    @property
    def area(self) -> tuple[slice, slice]:
        """The rows and columns of the host that the patch covers."""
        height, width = self.patch.shape[:2]
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


def fit(host: Frame, donor: Frame, box: Box, seed: int) -> Fitted | None:
    """Find a place in `host` for what `box` holds in `donor`; both uint8 (H, W, 3) BGR. None where there is none."""
    rng = np.random.default_rng(seed)
    cut = _Cut.drawn(donor, box, rng)
    patch, inner = cut.patch(donor), cut.inner
    if patch.shape[0] >= host.shape[0] or patch.shape[1] >= host.shape[1]:
        return None
    ring = 1 - _fade(patch.shape[:2], inner)
    likeness = cv2.matchTemplate(temperatures(host), temperatures(patch), cv2.TM_CCORR_NORMED, mask=ring)
    return Fitted(host, donor, patch, inner, *_place(np.asarray(likeness), patch, rng))


def fit_heat(host: Frame, donor: Frame, boxes: Sequence[Box], box: Box, seed: int) -> Fitted | None:
    """Find a place on warm equipment of `host` that looks like the donor's where its `box` is cooled.

    `boxes` are all of the donor's. None where a picture is not in false colours, or the patch too large.
    """
    rng = np.random.default_rng(seed)
    palette = palette_of(host, donor)
    cut = _Cut.drawn(donor, box, rng)
    patch, calm = cut.patch(donor), cut.patch(cooled(donor, boxes, palette))
    if patch.shape[0] >= host.shape[0] or patch.shape[1] >= host.shape[1] or not palette.is_false_colour:
        return None
    levels, excess = temperatures(host), _excess(patch, calm)
    likeness = 1 + cv2.matchTemplate(levels, temperatures(calm), cv2.TM_CCOEFF_NORMED)
    row, column = np.unravel_index(int(excess.argmax()), excess.shape)
    under = cv2.blur(levels, (3, 3))[row:, column:][: likeness.shape[0], : likeness.shape[1]]  # below the spot's peak
    warm = (under > parted(levels)[1]) & (under < 255 - excess.max() / 2)  # and cool enough to grow hotter
    place = _place(np.asarray(np.where(warm, likeness, 0), np.float32), patch, rng)
    return Fitted(host, donor, patch, cut.inner, *place, calm)


def in_place(frame: Frame, box: Box) -> Fitted:
    """Return what `box` holds of `frame` as fitted into the very place where it is."""
    cut = _Cut.around(frame, box)
    return Fitted(frame, frame, cut.patch(frame), cut.inner, cut.area[1].start, cut.area[0].start)


def transplant(fitted: Fitted, amplitude: float = 1.0) -> Frame:
    """Return the host with the patch in its place; `amplitude` 0 composes the host's own pixels instead."""
    host, patch = fitted.host, fitted.patch
    fade = _fade(patch.shape[:2], fitted.inner)
    if palette_of(host, fitted.donor).is_false_colour:
        return _heated(fitted, _lifted(temperatures(host)[fitted.area], temperatures(patch), fade), amplitude)
    patch = cv2.addWeighted(patch, amplitude, np.ascontiguousarray(host[fitted.area]), 1 - amplitude, 0)
    mask = np.where(fade > 0.5, 255, 0).astype(np.uint8)
    left, top, width, height = cv2.boundingRect(mask)  # OpenCV centres this, not the patch
    centre = (fitted.left + left + width // 2, fitted.top + top + height // 2)
    cloned: Frame = cv2.seamlessClone(patch, host, mask, centre, cv2.NORMAL_CLONE)
    return cloned


def heat_up(fitted: Fitted, amplitude: float = 1.0) -> Frame:
    """Return the host of `fit_heat`, its equipment as much hotter in the place as the donor's spot is than when cooled.

    The heat spreads from the spot and is the host's own: sky and gaps between parts stay cold.
    """
    assert fitted.calm is not None
    excess, under = _excess(fitted.patch, fitted.calm), temperatures(fitted.host)[fitted.area]
    spread = cv2.GaussianBlur(excess, (0, 0), max(1.0, min(fitted.box[2:]) * SPREAD))
    bump = spread * (excess.max() / max(float(spread.max()), 1.0))
    cold, _, warm = parted(under)
    equipment = np.clip((under - cold) / max(warm - cold, 1.0), 0, 1)
    return _heated(fitted, np.asarray(bump * equipment, np.float32), amplitude)


def heat_box(made: Frame, host: Frame) -> list[int]:
    """Return the box, x, y, width, height in pixels, around what is clearly hotter in `made` than in `host`."""
    hotter = np.maximum(temperatures(made) - temperatures(host), 0)
    return list(cv2.boundingRect((hotter >= max(1.0, BOXED_HEAT * hotter.max())).astype(np.uint8)))


def _excess(patch: Frame, calm: Frame) -> Grey:
    """Return (h, w) by how many grey levels a patch is hotter than the same patch cooled."""
    return np.asarray(np.maximum(temperatures(patch) - temperatures(calm), 0))


def _heated(fitted: Fitted, excess: Grey, amplitude: float) -> Frame:
    """Return the host, hotter in its place by `amplitude` times `excess` (h, w) in grey levels."""
    before = temperatures(fitted.host)
    after = before.copy()
    after[fitted.area] = np.minimum(before[fitted.area] + amplitude * excess, 255)
    # The host alone may not show the colour of the fault's heat.
    return palette_of(fitted.host, fitted.donor).recoloured(fitted.host, before, after)


def _lifted(under: Grey, spot: Grey, fade: Grey) -> Grey:
    """Return by how much the host is to be hotter: what the patch is hotter than its own surroundings.

    Only heat is carried over: the patch's sky and shadows would stand on the host as a square.
    """
    ring = fade < 0.5
    usual, here = (float(np.percentile(levels[ring], WARM_PERCENTILE)) for levels in (spot, under))
    excess = np.maximum(spot - usual, 0) * fade
    heated = np.maximum(under, np.minimum(here, under + HEAT_REACH) + excess)
    return np.asarray(np.where(excess > 0, heated - under, 0), np.float32)


@dataclass(frozen=True)
class _Cut:
    """How a box with its surroundings is cut out of a picture, scaled and perhaps mirrored."""

    area: tuple[slice, slice]
    box: Box  # in the area
    scale: float
    mirrored: bool

    @classmethod
    def drawn(cls, donor: Frame, box: Box, rng: np.random.Generator) -> "_Cut":
        """Draw scale and mirroring by chance."""
        scale = float(np.exp(rng.uniform(*np.log(SCALES))))
        return cls.around(donor, box, scale, mirrored=bool(rng.random() < 0.5))

    @classmethod
    def around(cls, frame: Frame, box: Box, scale: float = 1.0, mirrored: bool = False) -> "_Cut":
        """Take the box with its margin, as far as the picture reaches."""
        x, y, width, height = box
        reach = [max(LEAST_MARGIN, MARGIN * side) for side in (width, height)]
        left, top = max(0, int(x - reach[0])), max(0, int(y - reach[1]))
        right = min(frame.shape[1], int(np.ceil(x + width + reach[0])))
        bottom = min(frame.shape[0], int(np.ceil(y + height + reach[1])))
        return cls((slice(top, bottom), slice(left, right)), (x - left, y - top, width, height), scale, mirrored)

    def patch(self, frame: Frame) -> Frame:
        """Cut the patch out of `frame`."""
        resized = cv2.resize(frame[self.area], None, fx=self.scale, fy=self.scale, interpolation=cv2.INTER_LINEAR)
        return np.ascontiguousarray(resized[:, ::-1]) if self.mirrored else np.asarray(resized)

    @property
    def inner(self) -> tuple[int, int, int, int]:
        """The box in the patch: left, top, right, bottom."""
        x, y, width, height = self.box
        left, top, right, bottom = (round(at * self.scale) for at in (x, y, x + width, y + height))
        if self.mirrored:
            columns = round((self.area[1].stop - self.area[1].start) * self.scale)
            left, right = columns - right, columns - left
        return left, top, right, bottom


def _fade(shape: tuple[int, int], inner: tuple[int, int, int, int]) -> Grey:
    """Return the (h, w) weight of the patch: 1 inside the box, falling to 0 at the rim."""
    mask = np.zeros(shape, np.float32)
    left, top, right, bottom = inner
    mask[max(0, top) : bottom, max(0, left) : right] = 1
    rim = max(1, min(shape[0] - (bottom - top), shape[1] - (right - left)) // 2)
    soft = cv2.GaussianBlur(cv2.dilate(mask, np.ones((rim, rim))), (0, 0), max(0.8, rim / 2))
    border = np.zeros(shape, np.float32)
    border[1:-1, 1:-1] = 1
    return np.asarray(soft * border)


def _place(likeness: Grey, patch: Frame, rng: np.random.Generator) -> tuple[int, int]:
    """Return left and top of one of the places where `likeness`, of the host to what goes there, is highest."""
    likeness = np.nan_to_num(likeness, nan=0.0, posinf=0.0, neginf=0.0)
    places = []
    for _ in range(PLACES):
        _, best, _, (left, top) = cv2.minMaxLoc(likeness)
        if best <= 0:
            break
        places.append((left, top))
        height, width = patch.shape[:2]
        likeness[
            max(0, top - height // 2) : top + height // 2 + 1, max(0, left - width // 2) : left + width // 2 + 1
        ] = 0
    if not places:
        return int(rng.integers(likeness.shape[1])), int(rng.integers(likeness.shape[0]))
    return places[rng.integers(len(places))]
