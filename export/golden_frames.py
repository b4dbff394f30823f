"""Chooses the frames with which a bundle proves itself, and how far each precision may be from the network's scores."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.heads import Array
from edge_runtime.bundle.preprocess import Frame, PreprocessSpec

REAL_FRAMES = 16
LARGER = 2  # times the canvas's longer side: golden frames at most
# Another CPU, another version of an engine: the sums come in another order. Whole numbers do not mind it.
SAFETY = {"fp32": 4.0, "fp16": 4.0, "int8": 1.5}
# Least tolerance, as a share of the largest |score| (at least 1). Half precision measured 0.004 on ResNet50.
FLOOR = {"fp32": 1e-3, "fp16": 1e-2, "int8": 1e-2}


class LabelledFrame(NamedTuple):
    """A held-out picture: stable `id`, true `label`, `frame` uint8 (H, W, 3) BGR of any size."""

    id: str
    label: str
    frame: Frame


def choose_golden(frames: Sequence[LabelledFrame], spec: PreprocessSpec) -> list[Frame]:
    """Return real frames of every label in turn (at least one each, about sixteen in all), then the made ones.

    They are larger than the input where they came larger, so that a device that resizes otherwise is found out. The
    choice depends on the ids only, not on the order of `frames`.
    """
    by_label: dict[str, list[LabelledFrame]] = defaultdict(list)
    for item in sorted(frames, key=lambda item: item.id):
        by_label[item.label].append(item)
    if not by_label:
        raise InputError("a bundle needs golden frames, got none; give validation or test frames")
    turns = sorted((place, label) for label, items in by_label.items() for place in range(len(items)))
    chosen = [by_label[label][place].frame for place, label in turns[: max(REAL_FRAMES, len(by_label))]]
    return [*(_at_most(frame, LARGER * max(spec.height, spec.width)) for frame in chosen), *made_frames(spec)]


def _at_most(frame: Frame, side: int) -> Frame:
    """Return the frame, scaled down where a side is longer than `side` pixels, so that bundles stay small."""
    by = side / max(frame.shape[:2])
    return frame if by >= 1 else cv2.resize(frame, None, fx=by, fy=by, interpolation=cv2.INTER_AREA)


def made_frames(spec: PreprocessSpec) -> list[Frame]:
    """Return five frames, twice the canvas's height and three times its width.

    They are near-black, grey, over-exposed, a saturated one that shows swapped colour channels, and a finely textured
    one that shows another resizing.
    """
    height, width = 2 * spec.canvas[0], 3 * spec.canvas[1]
    ramp = np.linspace(0, 1, width)[None, :, None] * np.ones((height, 1, 3))
    saturated = np.stack([255 * ramp[..., 0], np.full(ramp.shape[:2], 32.0), 255 * (1 - ramp[..., 0]) ** 2], axis=2)
    texture = np.random.default_rng(0).integers(0, 256, (height // 2, width // 3, 3)).repeat(2, axis=0)
    texture = np.concatenate([texture, texture[:, ::-1] // 2, texture // 3], axis=1)
    levels = (8 * ramp, 0 * ramp + 128, 240 + 15 * ramp, saturated, texture)
    return [level.round().astype(np.uint8) for level in levels]


def tolerance(precision: str, expected: Array, seen: Array) -> float:
    """Return the allowed |difference| of any score: what this precision measured, times a safety factor, with a floor.

    `expected` (N, M) are the network's scores of the golden frames, `seen` those of the exported file.
    """
    measured = float(np.abs(expected - seen).max())
    scale = max(1.0, float(np.abs(expected).max()))
    return max(SAFETY[precision] * measured, FLOOR[precision] * scale)
