"""What the model alone says of the photographs, without codec and votes; and whether it is the spot that tells."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from augment.models.false_colour import palette_of
from benchmarks.watch.film import View
from edge_runtime.bundle.preprocess import Frame
from edge_runtime.inference.evaluator import Cam, Evaluator

RIM = 4  # pixels around a box that are painted out with it


@dataclass(frozen=True)
class Opinion:
    """Of one view. The last three only where its fault has a box.

    `flagged`: fault labels at or above their thresholds. `painted_out`: the same once the box's contents are replaced
    by what surrounds them. `on_spot`: whether the hottest cell of its label's heat map touches a box. `by_chance`: the
    share of all cells that do.
    """

    flagged: tuple[str, ...]
    painted_out: tuple[str, ...] | None = None
    on_spot: bool | None = None
    by_chance: float | None = None


def ask_model(views: Sequence[View], evaluator: Evaluator) -> dict[str, Opinion]:
    """Opinions by camera."""
    return {view.camera: _opinion(view, evaluator) for view in views}


def _opinion(view: View, evaluator: Evaluator) -> Opinion:
    evaluation = evaluator.evaluate(view.frame)
    flagged = evaluation.decision.flagged if evaluation.decision else ()
    if not view.boxes:
        return Opinion(flagged)
    without = evaluator.evaluate(paint_out(view.frame, view.boxes)).decision
    touching = _touching(view, evaluation.cams[view.label])
    hottest = np.unravel_index(int(np.argmax(evaluation.cams[view.label])), touching.shape)
    return Opinion(flagged, without.flagged if without else (), bool(touching[hottest]), float(touching.mean()))


def paint_out(frame: Frame, boxes: Sequence[Sequence[float]]) -> Frame:
    """`frame` without what is in `boxes`, in the colours of its own palette. Equipment in a box goes with the spot."""
    mask = np.zeros(frame.shape[:2], np.uint8)
    for x, y, width, height in boxes:
        mask[max(0, int(y) - RIM) : int(y + height) + RIM, max(0, int(x) - RIM) : int(x + width) + RIM] = 255
    palette = palette_of(frame)
    if not palette.is_false_colour:
        painted: Frame = cv2.inpaint(frame, mask, RIM, cv2.INPAINT_TELEA)
        return painted
    levels = cv2.inpaint(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), mask, RIM, cv2.INPAINT_TELEA)
    return np.where(mask[..., None] > 0, palette.colours[levels], frame)


def _touching(view: View, cam: Cam) -> np.ndarray:
    """Bool (h, w): the cells of `cam` whose part of the picture a box overlaps."""
    touching = np.zeros(cam.shape, bool)
    down, across = (cells / pixels for cells, pixels in zip(cam.shape, view.frame.shape[:2], strict=True))
    for x, y, width, height in view.boxes:
        rows = slice(int(y * down), int(np.ceil((y + height) * down)))
        columns = slice(int(x * across), int(np.ceil((x + width) * across)))
        touching[rows, columns] = True
    return touching
