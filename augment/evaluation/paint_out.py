"""The paint-out test: does a score rest on the fault, or on what stands around it?

Each boxed fault picture is shown again with its boxes painted over from their surroundings, and, as the control, with
equal areas painted elsewhere. A score that rests on the fault falls with the first copy and stays with the second. The
AUC alone rewards a shortcut: a score that only knows the place where faults were photographed keeps all of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from augment import record_types as types
from augment.arrays import Numbers
from augment.evaluation import metrics
from augment.evaluation.metrics import Draws
from edge_runtime.bundle.preprocess import Frame

MARGIN = 0.1  # of a box's shorter side that is painted over on each side as well: boxes are drawn tight
LEAST_MARGIN = 2  # pixels
RADIUS = 5  # pixels from which the paint is taken
TRIES = 200  # random places for one control area before there is taken to be none
# With five pictures of a fault the answer changed from fold to fold, though twenty-two of it had none.
ENOUGH_PICTURES = 10


# Pictures


def paint_out(frame: Frame, boxes: Sequence[types.Box]) -> Frame:
    """Return a copy of the picture uint8 (H, W, 3) with the boxes painted over from what surrounds them.

    Telea 2004, Journal of Graphics Tools 9(1). Outside of the boxes and their margin every pixel stays as it is.
    """
    mask = np.zeros(frame.shape[:2], np.uint8)
    for box in boxes:
        left, top, right, bottom = _with_margin(box)
        mask[max(top, 0) : bottom, max(left, 0) : right] = 255
    painted: Frame = cv2.inpaint(frame, mask, RADIUS, cv2.INPAINT_TELEA)
    return painted


def elsewhere(boxes: Sequence[types.Box], height: int, width: int, seed: int) -> list[types.Box] | None:
    """Return boxes of the same shapes that touch none of `boxes` nor each other, at places that `seed` decides.

    None where a picture of `height` x `width` pixels has no room for one of them: such a picture has no control.
    """
    generator = np.random.default_rng(seed)
    taken = [_with_margin(box) for box in boxes]
    moved: list[types.Box] = []
    for _, _, wide, high in boxes:
        for _ in range(TRIES):
            x, y = (generator.uniform(0, max(room, 0)) for room in (width - wide, height - high))
            place = _with_margin((x, y, wide, high))
            if not any(_touch(place, other) for other in taken):
                break
        else:
            return None
        taken.append(place)
        moved.append((x, y, wide, high))
    return moved


def _with_margin(box: types.Box) -> tuple[int, int, int, int]:
    """Return (left, top, right, bottom) of a box with its margin, in whole pixels."""
    x, y, width, height = box
    margin = max(LEAST_MARGIN, MARGIN * min(width, height))
    left, top = int(np.floor(x - margin)), int(np.floor(y - margin))
    return left, top, int(np.ceil(x + width + margin)), int(np.ceil(y + height + margin))


def _touch(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


# Measures


@dataclass(frozen=True)
class Copies:
    """Scores of P boxed pictures of one fault by S trainings, (S, P) each, of their copies, and of healthy ones (S, Q).

    `control` is NaN where a picture has no control. A picture counts as found above its threshold (S, P).
    """

    as_is: Numbers
    painted: Numbers
    control: Numbers
    healthy: Numbers
    thresholds: Numbers


@dataclass(frozen=True)
class Evidence:
    """The measures of the test in all resamples, (1 + R,) each; the fields are those of `FaultSpots`."""

    boxed_auc: Numbers
    painted_auc: Numbers
    gap: Numbers
    twin: Numbers
    keep: Numbers
    control_keep: Numbers

    def intervals(self, confidence: float) -> dict[str, types.Interval | None]:
        """Return each measure with its interval; None where there is nothing to measure."""
        return {name: metrics.whole_and_resampled(values, confidence) for name, values in vars(self).items()}


def measure(copies: Copies, weights: Numbers, healthy: Numbers, draws: Draws) -> Evidence:
    """Measure how much of a score goes with the fault; `weights` (R, P) and `healthy` (R, Q) are what resamples hold.

    A copy is drawn with its picture, so a picture and its copies are always compared with each other.
    """
    per_training: dict[str, list[Numbers]] = {name: [] for name in Evidence.__dataclass_fields__}
    rows = zip(copies.as_is, copies.painted, copies.control, copies.healthy, copies.thresholds, strict=True)
    for as_is, painted, control, normal, threshold in rows:
        auc = metrics.weighted_auc(as_is, normal, weights, healthy)
        without = metrics.weighted_auc(painted, normal, weights, healthy)
        found = as_is > threshold
        values = {
            "boxed_auc": auc,
            "painted_auc": without,
            "gap": auc - without,
            "twin": metrics.weighted_auc(as_is, painted, weights, weights),
            "keep": metrics.weighted_share(np.where(found, painted > threshold, np.nan), weights),
            "control_keep": metrics.weighted_share(
                np.where(found & ~np.isnan(control), control > threshold, np.nan), weights
            ),
        }
        for name, value in values.items():
            per_training[name].append(value)
    return Evidence(**{name: draws.averaged(np.stack(found, axis=1)) for name, found in per_training.items()})


def untested(label: str) -> str:
    """Say of a fault that the test set lacks that nothing is known of its score."""
    return (
        f"{label.replace('_', ' ')}: not supported: no test picture shows it, so what its score rests on is not known"
    )


def verdict(label: str, evidence: Evidence | None, confidence: float, pictures: int) -> tuple[bool, str]:
    """Return whether the score of a fault is shown to rest on the fault, and the sentence that says so.

    It is where the interval of the gap lies above 0, whatever the AUC, and where it rests on enough test `pictures`.
    """
    name = label.replace("_", " ")
    if evidence is None:
        return False, f"{name}: not supported: no test picture of it has a box, so what its score rests on is not known"
    found = evidence.intervals(confidence)
    gap, auc, painted = found["gap"], found["boxed_auc"], found["painted_auc"]
    if gap is None or auc is None or painted is None:
        return False, f"{name}: not supported: too few test pictures to measure what its score rests on"
    figures = (
        f"AUC {100 * auc.value:.1f} with the fault and {100 * painted.value:.1f} with it painted over, a gap of "
        f"{100 * gap.value:.1f} ({100 * gap.low:.1f} to {100 * gap.high:.1f}) points"
    )
    if pictures < ENOUGH_PICTURES:
        few = f"{pictures} test pictures with boxes are too few to tell, {ENOUGH_PICTURES} are needed"
        return False, f"{name}: not supported: {few} ({figures})"
    if gap.low > 0:
        return True, f"{name}: supported: the score rests on the fault ({figures})"
    return False, f"{name}: not supported: the score does not rest on the fault ({figures})"
