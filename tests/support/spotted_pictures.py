"""Pictures for the labelling page: bluish fields, for poles, with a red spot that the bundle of `spot_bundle` finds."""

from pathlib import Path

import cv2
import numpy as np

WIDTH, HEIGHT = 320, 160  # pixels; a cell of the bundle's map is 40 of them
SPOT = (120, 40, 80, 40)  # x, y, width, height: two cells


def write_picture(path: Path, spot: bool, shade: int) -> None:
    """Write a PNG, with the spot or without; pictures of another shade are other pictures."""
    frame = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
    frame += (
        np.random.default_rng(shade).integers(0, 40, (HEIGHT // 8, WIDTH // 8, 1), np.uint8).repeat(8, 0).repeat(8, 1)
    )
    frame[..., 0] += 60
    if spot:
        x, y, width, height = SPOT
        frame[y : y + height, x : x + width] = (0, 0, 255)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), frame)


def write_yard(root: Path, fine: int = 6, hot: int = 3) -> Path:
    """Write pictures without and with a spot into the folders pole_fine and pole_hot."""
    for shade in range(fine):
        write_picture(root / "pole_fine" / f"fine_{shade * 10:03}.png", spot=False, shade=shade)
    for shade in range(hot):
        write_picture(root / "pole_hot" / f"hot_{shade * 10:03}.png", spot=True, shade=50 + shade)
    return root
