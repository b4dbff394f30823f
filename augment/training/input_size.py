"""How large the network's input is, which aspect it has and in how many tiles it sees a picture."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from augment.record_types import DatasetRecord
from augment.settings import TrainSettings
from edge_runtime.bundle.preprocess import LETTERBOX, STRETCHED, PreprocessSpec

UNIT = 32  # pixels; the coarsest map of a backbone has one cell for as many
MOST_ENLARGED = 2.0  # a picture has no more detail than its pixels
MOST_TILES = 4  # along the long side, where settings leave the number open


def input_of(section: TrainSettings, images: Sequence[DatasetRecord], spatial: bool) -> PreprocessSpec:
    """Return the input of a network that learns from the real training `images`.

    A square one is `section.size` wide and high. A native one has the images' median aspect, `section.size` as its long
    side, or twice the images' median long side where that is less, and sides in whole UNITs. `spatial`: tiles and
    letterbox, whatever the aspect; a stretched fault is another shape.
    """
    if section.aspect == "square" and not spatial:
        return PreprocessSpec(section.size, section.size, STRETCHED)
    sizes = np.array([(image.height, image.width) for image in images], np.float64)
    aspect = float(np.median(sizes[:, 1] / sizes[:, 0]))
    long_side = float(np.median(sizes.max(axis=1)))
    spec = PreprocessSpec(section.size, section.size, LETTERBOX)
    if section.aspect == "native":
        side = min(section.size, MOST_ENLARGED * long_side)
        short = side * min(aspect, 1 / aspect)
        low, high = (max(UNIT, int(pixels / UNIT + 0.5) * UNIT) for pixels in (short, side))
        spec = PreprocessSpec(*((low, high) if aspect >= 1 else (high, low)), resize=LETTERBOX)
    return _tiled(spec, section.tiles, aspect, long_side) if spatial else spec


def _tiled(spec: PreprocessSpec, wanted: int, aspect: float, long_side: float) -> PreprocessSpec:
    """Return `spec` with as many tiles as pictures of `aspect` and `long_side` fill without being enlarged.

    `wanted` is how many lie along the long side at most; 0 leaves it open, for pictures twice as large as the input.
    """
    if not wanted and long_side < 2 * max(spec.height, spec.width):
        return spec

    def along(tiles: int) -> PreprocessSpec:
        """Return the spec with `tiles` along the long side and as many along the other as that needs."""
        for other in range(1, tiles + 1):
            found = replace(spec, tiles=(other, tiles) if aspect >= 1 else (tiles, other))
            height, width = found.canvas
            if width <= height * aspect if aspect >= 1 else height * aspect <= width:
                break
        return found

    fitting = [along(tiles) for tiles in range(1, (wanted or MOST_TILES) + 1)]
    return [found for found in fitting if max(found.canvas) <= long_side or found.tiles == (1, 1)][-1]
