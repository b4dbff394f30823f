"""What the model alone says of the photographs, without codec and votes; and whether it is the spot that tells."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from augment.evaluation.paint_out import elsewhere, paint_out
from benchmarks.watch.film import View
from edge_runtime.bundle.heads import Array
from edge_runtime.bundle.preprocess import Frame, PreprocessSpec
from edge_runtime.inference.evaluator import Evaluator


@dataclass(frozen=True)
class Opinion:
    """Of one view. All but the first only where its fault has a box.

    `flagged`: fault labels at or above their thresholds. `painted_out`: the same once the boxes are painted over from
    what surrounds them. `control`: the same once an equal area elsewhere is, where there is room for one. `on_spot`:
    whether the hottest cell of its label's map touches a box. `by_chance`: the share of the picture's cells that do.
    """

    flagged: tuple[str, ...]
    painted_out: tuple[str, ...] | None = None
    control: tuple[str, ...] | None = None
    on_spot: bool | None = None
    by_chance: float | None = None


def ask_model(views: Sequence[View], evaluator: Evaluator) -> dict[str, Opinion]:
    """Opinions by camera."""
    return {view.camera: _opinion(view, evaluator, seed) for seed, view in enumerate(views)}


def _opinion(view: View, evaluator: Evaluator, seed: int) -> Opinion:
    evaluation = evaluator.evaluate(view.frame)
    flagged = evaluation.decision.flagged if evaluation.decision else ()
    if not view.boxes or not evaluation.cams:
        return Opinion(flagged)
    cam = evaluation.cams[view.label]
    touching, inside = cells_of(evaluator.bundle.manifest.input, view, cam.shape[:2])
    moved = elsewhere(view.boxes, *view.frame.shape[:2], seed)
    return Opinion(
        flagged,
        painted_out=_flagged(evaluator, paint_out(view.frame, view.boxes)),
        control=_flagged(evaluator, paint_out(view.frame, moved)) if moved else None,
        on_spot=bool(touching[np.unravel_index(int(np.argmax(cam)), cam.shape)]),
        by_chance=float(touching.sum() / inside.sum()),
    )


def _flagged(evaluator: Evaluator, frame: Frame) -> tuple[str, ...]:
    decision = evaluator.evaluate(frame).decision
    return decision.flagged if decision else ()


def cells_of(spec: PreprocessSpec, view: View, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Bool (h, w) twice: the cells of a map of the canvas that a box of `view` overlaps, and those the picture does."""
    place = spec.placement(*view.frame.shape[:2])
    sides = [(x, y, x + width, y + height) for x, y, width, height in view.boxes]
    picture = np.array([[place.left, place.top, place.left + place.width, place.top + place.height]], float)
    return tuple(_overlapped(spec, boxes, shape) for boxes in (place.to_canvas(np.array(sides)), picture))


def _overlapped(spec: PreprocessSpec, boxes: Array, shape: tuple[int, ...]) -> Array:
    overlapped = np.zeros(shape, bool)
    down, across = (cells / pixels for cells, pixels in zip(shape, spec.canvas, strict=True))
    for left, top, right, bottom in boxes:
        rows = slice(max(0, int(top * down)), int(np.ceil(bottom * down)))
        overlapped[rows, max(0, int(left * across)) : int(np.ceil(right * across))] = True
    return overlapped
