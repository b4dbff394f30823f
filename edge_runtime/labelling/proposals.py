"""Boxes and labels that the current model proposes: a person confirms or redraws them. Arithmetic on maps."""

from typing import cast

import cv2
import numpy as np

from ..bundle.heads import Array, Head, SpatialHead
from ..bundle.manifest import Manifest
from ..bundle.preprocess import Frame, PreprocessSpec
from ..inference.evaluator import Evaluation
from ..media.heatmap import over_frame
from .items import Box, Look, Proposal

HALF = 0.5  # of the peak; the part of the map around the peak that lies above is the fault
LEAST_SIDE = 4  # pixels of the picture; a smaller box cannot be taken hold of


def judged_look(frame: Frame, boxes: tuple[Box, ...], evaluation: Evaluation, manifest: Manifest) -> Look:
    """Return a picture with the boxes of its source, what the model of `manifest` proposes of it, and its maps."""
    proposal = propose(evaluation, manifest.head, manifest.input, (frame.shape[0], frame.shape[1]))
    return Look(frame, boxes, proposal, evaluation.cams, manifest.input, manifest.head.full_heat)


def propose(evaluation: Evaluation, head: Head, spec: PreprocessSpec, size: tuple[int, int]) -> Proposal | None:
    """Return what the model proposes of a picture of `size` (height, width) pixels; None where it has no verdict."""
    decision = evaluation.decision
    if decision is None:
        return None
    faults = head.kind_of if isinstance(head, SpatialHead) else {decision.label} if decision.fault else ()
    found = {label: box_of(evaluation.cams[label], spec, size) for label in faults if label in evaluation.cams}
    return Proposal(decision.label, decision.probability, {label: box for label, box in found.items() if box})


def box_of(fault_map: Array, spec: PreprocessSpec, size: tuple[int, int]) -> Box | None:
    """Return the box around the part of the map that is connected with its peak and at least half as high.

    `fault_map` (h, w) covers the canvas of `spec`, the box is in pixels of the picture of `size` (height, width). None
    where the map has no evidence (nothing above zero) inside the picture.
    """
    height, width = size
    heat = over_frame(np.maximum(fault_map, 0).astype(np.float32), spec, size, (width, height))
    peak = float(heat.max())
    if not peak > 0:
        return None
    _, numbered = cv2.connectedComponents((heat >= HALF * peak).astype(np.uint8), connectivity=4)
    number = numbered[np.unravel_index(int(heat.argmax()), heat.shape)]
    rows, columns = np.nonzero(numbered == number)
    left, right = _at_least(int(columns.min()), int(columns.max()) + 1, width)
    top, bottom = _at_least(int(rows.min()), int(rows.max()) + 1, height)
    return cast(Box, tuple(float(edge) for edge in (left, top, right - left, bottom - top)))


def _at_least(low: int, high: int, side: int) -> tuple[int, int]:
    """Return the span from `low` to `high`, widened to the least side within `side` pixels."""
    lack = max(0, min(LEAST_SIDE, side) - (high - low))
    low = max(0, low - lack // 2)
    high = min(side, max(high, low + min(LEAST_SIDE, side)))
    return min(low, high - min(LEAST_SIDE, side)) if lack else low, high
