"""Finds frames that show nothing, measured on what the model would see, before it is run. Pure."""

from dataclasses import asdict, dataclass

import cv2

from ..bundle.preprocess import Frame
from ..bundle.radiometric import RadiometricRule
from ..causes import Cause

# Grey levels, on the 0..255 scale. A dim night view of anything still spreads wider than sensor noise does after the
# averaging of the resize; a lens cap does not.
FLAT_STD = 1.5
BLACK_MEAN = 8.0
BLACK_STD = 4.0
WHITE_MEAN = 240.0


@dataclass(frozen=True)
class Health:
    """Brightness and detail of a frame: `mean` of the luma and `std` of the channel that varies most, in grey levels.

    `sharpness` is the variance of the luma's Laplacian, in grey levels squared.
    """

    mean: float
    std: float
    sharpness: float

    def to_json(self) -> dict[str, float]:
        """Return the three values, rounded to two decimals."""
        return {name: round(value, 2) for name, value in asdict(self).items()}


def measure(frame: Frame) -> Health:
    """Return the health of a uint8 (H, W, 3) BGR frame; best the preprocessed one, whose noise is averaged out."""
    luma = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    edges = cv2.Laplacian(luma, cv2.CV_16S)
    # E(x^2) - E(x)^2: sums of whole numbers, so exact, and ten times as fast as meanStdDev of 16 bits.
    sharpness = cv2.norm(edges, cv2.NORM_L2SQR) / edges.size - cv2.mean(edges)[0] ** 2
    _, spread = cv2.meanStdDev(frame)  # the largest of its channels: false colours may differ at equal luma
    return Health(cv2.mean(luma)[0], float(spread.max()), sharpness)


def blank_cause(health: Health, radiometric: RadiometricRule | None = None) -> Cause | None:
    """Return why the frame shows nothing, or None where it shows something. A blank frame never gets a class.

    What a bundle's `radiometric` rule scales may be dark or bright all over, as cold or hot equipment is.
    """
    if radiometric is None and health.mean < BLACK_MEAN and health.std < BLACK_STD:
        return Cause.BLACK
    if health.std < FLAT_STD:
        return Cause.OVEREXPOSED if radiometric is None and health.mean > WHITE_MEAN else Cause.COVERED
    return None


def blank(health: Health, radiometric: RadiometricRule | None = None) -> str | None:
    """Return a sentence that says why the frame shows nothing, or None where it shows something."""
    cause = blank_cause(health, radiometric)
    if cause is None:
        return None
    if radiometric is not None:
        return (
            f"the picture is one flat tone (spread {health.std:.1f} of 255): if it is radiometric, its values lie "
            f'close together or beyond the bundle\'s rule "{radiometric}"; else something covers the camera'
        )
    if cause is Cause.BLACK:
        return f"the picture is black (mean {health.mean:.1f}, spread {health.std:.1f} of 255); check lens and light"
    return f"the picture is one flat tone (spread {health.std:.1f} of 255); check lens, light and exposure"
