"""False-colour (thermal) pictures: one channel of temperatures, shown in the colours of the camera's palette.

What changes such a picture changes its temperatures, and the picture by the difference in colour that follows:
new = original + palette(after) - palette(before). So the noise that camera and JPEG left on each pixel stays where it
was, and where no temperature changes no byte does. Replacing pixels by palette colours would take that noise away, and
a classifier learns to see its absence: hosts recoloured without any heat then score as faults.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.preprocess import Frame

# Of the variance of a picture's colours, what its brightness explains: at least 0.94 in 815 thermal pictures, at most
# 0.86 in all but one of 415 photographs. Dull photographs lie as near to their mean colours as thermal ones do.
FALSE_COLOUR_SHARE = 0.92
LEAST_COLOUR = 8.0  # grey levels that colours lie from grey on average; with less there is nothing to explain

Box = tuple[float, float, float, float]  # x, y, width, height in pixels from the top left
Grey = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Palette:
    """The colour of each brightness, (256, 3) BGR; `explained`: the share of the pictures' colours that it explains."""

    colours: npt.NDArray[np.uint8]
    explained: float

    @property
    def is_false_colour(self) -> bool:
        """Whether the pictures show one channel in colours. Grey ones do not: their brightness may be no heat."""
        return self.explained >= FALSE_COLOUR_SHARE

    def recoloured(self, frame: Frame, before: Grey, after: Grey) -> Frame:
        """Return `frame` (H, W, 3) uint8 with temperatures (H, W) `after` instead of `before`, both in grey levels."""
        changed = before != after
        made = frame.copy()
        made[changed] = np.rint(frame[changed] + self._at(after[changed]) - self._at(before[changed])).clip(0, 255)
        return made

    def _at(self, levels: Grey) -> npt.NDArray[np.float64]:
        """Return the colours (N, 3) of temperatures (N,), between the palette's own where they are no whole numbers."""
        return np.stack([np.interp(levels, np.arange(256), plane) for plane in self.colours.T], axis=1)


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
    hues = planes - grey[:, None]
    unexplained, variance = np.square(planes - colours[grey]).mean(), np.square(hues - hues.mean(axis=0)).mean()
    explained = 1 - unexplained / variance if np.abs(hues).mean() >= LEAST_COLOUR else 0.0
    return Palette(colours.round().astype(np.uint8), float(explained))


def temperatures(frame: Frame) -> Grey:
    """Return the brightness (H, W) of a picture in grey levels, whole numbers: warmer is brighter in every palette."""
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), np.float32)


def parted(levels: Grey) -> tuple[float, float, float]:
    """Return the median temperature of the cold part (sky), Otsu's threshold, and the warm part's (equipment)."""
    split, _ = cv2.threshold(levels.astype(np.uint8).reshape(-1, 1), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    warm = levels > split
    usual = float(np.median(levels))
    return (
        usual if warm.all() else float(np.median(levels[~warm])),
        split,
        float(np.median(levels[warm])) if warm.any() else usual,
    )
