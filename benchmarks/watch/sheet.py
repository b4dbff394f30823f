"""The heat maps of a watch as files, and side by side with the photographs and boxes for somebody to look at."""

import base64
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np

from benchmarks.watch.count import Count
from benchmarks.watch.film import View
from edge_runtime.bundle.preprocess import Frame

TILE = (384, 288)  # pixels: width and height of one picture
CAPTION = 18  # pixels
ACROSS = 3  # pairs in a row
FONT = cv2.FONT_HERSHEY_SIMPLEX


def write_pictures(folder: Path, views: Sequence[View], count: Count) -> int:
    """Each alarm's heat map as a JPEG, and `contact_sheet.jpg`: photograph with its boxes, and heat map. How many."""
    folder.mkdir(parents=True, exist_ok=True)
    by_camera = {view.camera: view for view in views}
    about = [("found", event) for found in count.found.values() for _, event in found]
    told = [*about, *(("false", event) for event in count.false)]
    pairs = []
    for kind, event in told:
        data = base64.b64decode(event["pictures"]["heatmap"]["data"])
        view = by_camera[event["camera"]]
        (folder / f"{kind}-{view.camera}-{event['label']}.jpg").write_bytes(data)
        heat = _without_caption(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), view.frame)
        right = kind == "found" and event["label"] == view.label
        said = f"{view.camera}: told {event['label']} {event['probability']:.2f}"
        pairs.append(_pair(view, heat, said, right))
    if pairs:
        cv2.imwrite(str(folder / "contact_sheet.jpg"), _sheet(pairs))
    return len(pairs)


def _without_caption(heat: Frame, photograph: Frame) -> Frame:
    """An event's picture has two lines of text below it."""
    return heat[: round(heat.shape[1] * photograph.shape[0] / photograph.shape[1])]


def _pair(view: View, heat: Frame, said: str, right: bool) -> Frame:
    photograph = view.frame.copy()
    for x, y, width, height in view.boxes:
        cv2.rectangle(photograph, (int(x), int(y)), (int(x + width), int(y + height)), (255, 255, 255), 1)
    caption = np.zeros((CAPTION, 2 * TILE[0], 3), np.uint8)
    colour = (120, 255, 120) if right else (120, 120, 255)
    cv2.putText(caption, said, (4, 13), FONT, 0.45, colour, 1, cv2.LINE_AA)
    return np.vstack([np.hstack([cv2.resize(photograph, TILE), cv2.resize(heat, TILE)]), caption])


def _sheet(pairs: Sequence[Frame]) -> Frame:
    blank = np.zeros_like(pairs[0])
    rows: Iterable[Frame] = (
        np.hstack([*pairs[start : start + ACROSS], *[blank] * (start + ACROSS - len(pairs))])
        for start in range(0, len(pairs), ACROSS)
    )
    return np.vstack(list(rows))
