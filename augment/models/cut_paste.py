"""Real fault patches set into real pictures of healthy equipment: the alternative to every generator, at no cost.

A patch goes where the host looks like the patch's own surroundings, on a clamp rather than on the sky. False-colour
(thermal) pictures are composed in their one temperature channel and coloured again with the camera's own palette:
blending their colours would give some that no camera makes.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.preprocess import Frame

MARGIN = 0.35  # of the box's sides: surroundings that go with the patch, and over which it fades
LEAST_MARGIN = 4  # pixels
SCALES = (0.8, 1.25)
PLACES = 12  # the best matching places, of which one is drawn
WARM_PERCENTILE = 75  # of the surroundings' temperatures: the equipment's own, not the sky's
HEAT_REACH = 20.0  # grey levels by which what is colder than the equipment may be lifted to it
FALSE_COLOUR_ERROR = 6.0  # grey levels: a picture that its palette gives back better than this has one channel

Box = tuple[float, float, float, float]  # x, y, width, height in pixels from the top left
Grey = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Palette:
    """The colour of each brightness: (256, 3) BGR; `error` is the mean distance to the picture it came from."""

    colours: npt.NDArray[np.uint8]
    error: float

    @property
    def is_false_colour(self) -> bool:
        """Whether the picture shows one channel in colours."""
        return self.error < FALSE_COLOUR_ERROR


def palette_of(*frames: Frame) -> Palette:
    """Return the mean colour of every brightness in `frames` together, gaps filled between neighbours."""
    pixels = np.concatenate([frame.reshape(-1, 1, 3) for frame in frames])
    grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY).ravel()
    counts = np.bincount(grey, minlength=256)
    known = np.flatnonzero(counts)
    planes = pixels.reshape(-1, 3).astype(np.float64)
    colours = np.empty((256, 3))
    for channel in range(3):
        sums = np.bincount(grey, weights=planes[:, channel], minlength=256)
        colours[:, channel] = np.interp(np.arange(256), known, sums[known] / counts[known])
    error = float(np.abs(colours[grey] - planes).mean())
    return Palette(colours.round().astype(np.uint8), error)


@dataclass(frozen=True)
class Fitted:
    """A fault's patch, scaled and perhaps mirrored, and the place that was found for it in a host."""

    host: Frame
    donor: Frame
    patch: Frame  # the donor's box with its surroundings
    inner: tuple[int, int, int, int]  # the box within the patch: left, top, right, bottom
    left: int  # of the patch in the host, in pixels
    top: int

    @property
    def box(self) -> list[int]:
        """The box in the host: x, y, width, height in pixels."""
        left, top, right, bottom = self.inner
        return [self.left + left, self.top + top, right - left, bottom - top]


def fit(host: Frame, donor: Frame, box: Box, seed: int) -> Fitted | None:
    """Find a place in `host` for what `box` holds in `donor`; both uint8 (H, W, 3) BGR. None where there is none."""
    rng = np.random.default_rng(seed)
    patch, inner = _cut(donor, box, rng)
    if patch.shape[0] >= host.shape[0] or patch.shape[1] >= host.shape[1]:
        return None
    return Fitted(host, donor, patch, inner, *_place(host, patch, _fade(patch.shape[:2], inner), rng))


def transplant(fitted: Fitted) -> Frame:
    """Return the host with the patch in its place."""
    host, patch, left, top = fitted.host, fitted.patch, fitted.left, fitted.top
    fade = _fade(patch.shape[:2], fitted.inner)
    palette = palette_of(host, fitted.donor)  # the host alone may not show the colour of the fault's heat
    if palette.is_false_colour:
        return _composed(host, patch, fade, left, top, palette)
    mask = np.where(fade > 0.5, 255, 0).astype(np.uint8)
    centre = (left + patch.shape[1] // 2, top + patch.shape[0] // 2)
    cloned: Frame = cv2.seamlessClone(patch, host, mask, centre, cv2.NORMAL_CLONE)
    return cloned


def _cut(donor: Frame, box: Box, rng: np.random.Generator) -> tuple[Frame, tuple[int, int, int, int]]:
    """Cut out the box with its surroundings, scaled and perhaps mirrored; also the box's left, top, right, bottom."""
    x, y, width, height = box
    reach = [max(LEAST_MARGIN, MARGIN * side) for side in (width, height)]
    left, top = max(0, int(x - reach[0])), max(0, int(y - reach[1]))
    right = min(donor.shape[1], int(np.ceil(x + width + reach[0])))
    bottom = min(donor.shape[0], int(np.ceil(y + height + reach[1])))
    scale = float(np.exp(rng.uniform(*np.log(SCALES))))
    patch = cv2.resize(donor[top:bottom, left:right], None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    inner = [
        round((place - origin) * scale) for place, origin in ((x, left), (y, top), (x + width, left), (y + height, top))
    ]
    if rng.random() < 0.5:
        patch = np.ascontiguousarray(patch[:, ::-1])
        inner[0], inner[2] = patch.shape[1] - inner[2], patch.shape[1] - inner[0]
    return patch, (inner[0], inner[1], inner[2], inner[3])


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


def _place(host: Frame, patch: Frame, fade: Grey, rng: np.random.Generator) -> tuple[int, int]:
    """Return left and top of one of the places where the host looks most like the patch's surroundings."""
    ring = 1 - fade
    likeness = cv2.matchTemplate(_grey(host), _grey(patch), cv2.TM_CCORR_NORMED, mask=ring)
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


def _grey(frame: Frame) -> Grey:
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), np.float32)


def _composed(host: Frame, patch: Frame, fade: Grey, left: int, top: int, palette: Palette) -> Frame:
    """Return the host, hotter by what the patch is hotter than its own surroundings, in the camera's palette.

    Only heat is carried over: the patch's sky and shadows would stand on the host as a square.
    """
    height, width = fade.shape
    rows, columns = slice(top, top + height), slice(left, left + width)
    under, spot = _grey(host)[rows, columns], _grey(patch)
    ring = fade < 0.5
    usual, here = (float(np.percentile(levels[ring], WARM_PERCENTILE)) for levels in (spot, under))
    excess = np.maximum(spot - usual, 0) * fade
    heated = np.where(excess > 0, np.maximum(under, np.minimum(here, under + HEAT_REACH) + excess), under)
    made = host.copy()
    levels = np.clip(heated.round(), 0, 255).astype(np.uint8)
    made[rows, columns] = np.where((heated > under)[..., None], palette.colours[levels], host[rows, columns])
    return made
