"""Real thermal pictures with their boxes, where ../shared/data has them; they are not of this repository."""

import cv2
import numpy as np
import pytest

from tests.support import ROOT

DATA = ROOT.parent / "shared" / "data"
PICTURES, BOXES = DATA / "substation_thermal", DATA / "substation_thermal_boxes"
needs_thermal = pytest.mark.skipif(not PICTURES.exists(), reason="the thermal pictures are not in ../shared/data")


def hotspots(count: int, label: str = "substation_hotspot") -> list[tuple[np.ndarray, list[tuple[float, ...]]]]:
    """`count` pictures of a label, spread over all, with their boxes: x, y, width, height in pixels."""
    paths = sorted((PICTURES / label).glob("*.jpg"))
    found = []
    for path in paths[:: max(1, len(paths) // count)][:count]:
        frame = cv2.imread(str(path))
        (file,) = BOXES.rglob(f"{path.stem}.txt")
        rows = np.loadtxt(file, ndmin=2)[:, 1:] * np.tile(frame.shape[1::-1], 2)
        found.append((frame, [(x - w / 2, y - h / 2, w, h) for x, y, w, h in rows.tolist()]))
    return found
