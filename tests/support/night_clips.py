"""Night clips made from one picture: slow light, sensor noise, and the faults that a camera can have."""

import math
from collections.abc import Iterator

import cv2
import numpy as np

from tests.support import DATA

THERMAL = DATA / "substation_thermal"
NOISE = 4.0  # grey levels, standard deviation


def scene(seed: int = 0, size: tuple[int, int] = (288, 384)) -> np.ndarray:
    """A drawn picture with structure and colour, uint8 (H, W, 3) BGR."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(20, 200, (9, 12, 3)).astype(np.float32)
    picture = cv2.resize(coarse, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
    for _ in range(40):
        x, y = rng.integers(0, size[1]), rng.integers(0, size[0])
        colour = tuple(int(value) for value in rng.integers(0, 255, 3))
        cv2.rectangle(
            picture, (int(x), int(y)), (int(x + rng.integers(5, 40)), int(y + rng.integers(5, 60))), colour, -1
        )
    return picture.clip(0, 255).astype(np.uint8)


def thermal(number: int) -> np.ndarray:
    """Return one of the real pictures."""
    return cv2.imread(str(sorted(THERMAL.rglob("*.jpg"))[number]))


def sensed(picture: np.ndarray, light: float, noise: float = NOISE) -> np.ndarray:
    """Return what a sensor makes of `picture` at `light` (1: as it is)."""
    grain = cv2.randn(np.empty(picture.shape, np.float32), (0, 0, 0), (noise, noise, noise))
    return np.clip(picture * np.float32(light) + grain, 0, 255).astype(np.uint8)


def light_at(seconds: float, hours: float) -> float:
    """Return the light of dusk, night and dawn within `hours`, with slow clouds: from 1 down to 0.25 and back."""
    phase = seconds / 3600 / hours
    clouds = 0.06 * math.sin(seconds / 90) + 0.04 * math.sin(seconds / 17)
    return 0.25 + 0.75 * (math.cos(2 * math.pi * phase) + 1) / 2 + clouds * 0.5


def normal_night(picture: np.ndarray, hours: float, step: float, seed: int = 0) -> Iterator[tuple[float, np.ndarray]]:
    """Yield (seconds, frame) of a night in which nothing happens to the camera; somebody walks through now and then."""
    cv2.setRNGSeed(seed)
    height, width = picture.shape[:2]
    for number in range(int(hours * 3600 / step)):
        seconds = number * step
        frame = sensed(picture, light_at(seconds, hours))
        if seconds % 600 < 30:  # a person crosses
            x = int(width * (seconds % 600) / 30)
            cv2.rectangle(frame, (x, height // 3), (x + width // 12, height - 20), (60, 80, 90), -1)
        yield seconds, frame
