"""Chooses the frames with which a bundle proves itself, and how far each precision may be from the network's scores."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.golden import FileAnswers, typical_difference
from edge_runtime.bundle.heads import Array
from edge_runtime.bundle.preprocess import Frame, PreprocessSpec

REAL_FRAMES = 16
LARGER = 2  # times the canvas's longer side: golden frames at most
# Another CPU, another version of an engine: the sums come in another order. Whole numbers do not mind it.
SAFETY = {"fp32": 4.0, "fp16": 4.0, "int8": 1.5}
# Least tolerance, as a share of the largest |score| (at least 1). Half precision measured 0.004 on ResNet50.
FLOOR = {"fp32": 1e-3, "fp16": 1e-2, "int8": 1e-2}
# The same for a file's own answers on another engine. Measured: OpenVINO differs from ONNX Runtime up to 1.5 times as
# much as ONNX Runtime with its optimisations from itself without; the smallest of twenty mistakes at least 2.2 times.
OWN_SAFETY, OWN_FLOOR = 1.8, 2e-3


class LabelledFrame(NamedTuple):
    """A held-out picture: stable `id`, true `label`, `frame` uint8 (H, W, 3) BGR of any size."""

    id: str
    label: str
    frame: Frame


def choose_golden(
    frames: Sequence[LabelledFrame], spec: PreprocessSpec, told: Mapping[str, str] | None = None
) -> tuple[list[Frame], list[str]]:
    """Return real frames of every label in turn (at least one each, about sixteen in all), then the made ones.

    The labels that persons gave the real ones come with them. They are larger than the input where they came larger, so
    that a device that resizes otherwise is found out. `told` is what the model reports of each id: of every label those
    come first of which it reports what it mostly does, right or wrong, so that they show how the model is and not a
    chance mistake. The choice depends on ids and labels only, not on the order of `frames`.
    """
    by_label: dict[str, list[LabelledFrame]] = defaultdict(list)
    for item in sorted(frames, key=lambda item: item.id):
        by_label[item.label].append(item)
    if not by_label:
        raise InputError("a bundle needs golden frames, got none; give validation or test frames")
    if told is not None:
        by_label = {label: _usual_first(items, told) for label, items in by_label.items()}
    turns = sorted((place, label) for label, items in by_label.items() for place in range(len(items)))
    chosen = [by_label[label][place] for place, label in turns[: max(REAL_FRAMES, len(by_label))]]
    real = [_at_most(item.frame, LARGER * max(spec.height, spec.width)) for item in chosen]
    return [*real, *made_frames(spec)], [item.label for item in chosen]


def _usual_first(items: Sequence[LabelledFrame], told: Mapping[str, str]) -> list[LabelledFrame]:
    """Return the items of one label, those first of which the model reports what it reports of most of them."""
    counts = Counter(told[item.id] for item in items)
    usual = max(sorted(counts), key=lambda label: (counts[label], label == items[0].label))
    return sorted(items, key=lambda item: told[item.id] != usual)


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


def own_answers(seen: Array, plain: Array) -> FileAnswers:
    """Return the answers by which a file is known again on another engine: `seen` (N, M), and how far others may be.

    `plain` (N, M) are its answers where every node runs as it stands in the file: what rounding alone makes of them.
    """
    scale = max(1.0, float(np.abs(seen).max()))
    within = max(OWN_SAFETY * typical_difference(seen, plain), OWN_FLOOR * scale)
    return FileAnswers(np.asarray(seen, dtype=np.float64), within)
