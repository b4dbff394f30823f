"""Golden frames: pictures with the scores they must give, so that a device proves itself before it is believed."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .decision import Rule
from .errors import InputError
from .files import replace_file
from .heads import Array, Head, Outputs
from .preprocess import Frame, Frames, decode_png, encode_png
from .store import Bundle

GOLDEN = "golden.json"

Run = Callable[[Frames], Array]
"""Views uint8 (N, H, W, 3) BGR -> the head's scores (N, M) of each view."""


@dataclass(frozen=True)
class GoldenSet:
    """`views` uint8 (N, T, H, W, 3) BGR at the model's size, T tiles of each frame; the `scores` (N, M) of the frames.

    `tolerance` per precision bounds the absolute difference of any score.
    """

    views: Frames
    scores: npt.NDArray[np.float64]
    tolerance: Mapping[str, float]
    head: Head

    @property
    def flat(self) -> Frames:
        """All views, uint8 (N * T, H, W, 3)."""
        return self.views.reshape(-1, *self.views.shape[2:])


def write_golden(
    folder: Path,
    frames: Sequence[Frame],
    scores: Array,
    rule: Rule,
    tolerance: Mapping[str, float],
) -> None:
    """Write `golden/NN.png` and `golden.json` into `folder`: frames of any size and the `scores` (N, M) they give.

    The frames are preprocessed when they are loaded.
    """
    (folder / "golden").mkdir(exist_ok=True)
    entries = []
    for place, (frame, row) in enumerate(zip(frames, scores, strict=True)):
        name = f"golden/{place:02d}.png"
        replace_file(folder / name, encode_png(frame))
        entries.append({"file": name, "scores": [float(x) for x in row], "label": rule.decide(row).label})
    text = json.dumps({"frames": entries, "tolerance": dict(tolerance)}, indent=1, ensure_ascii=False, allow_nan=False)
    replace_file(folder / GOLDEN, (text + "\n").encode())


def load_golden(bundle: Bundle, first: int | None = None) -> GoldenSet:
    """Return the golden frames of a verified bundle, preprocessed, all or the `first` few.

    Raises InputError where they contradict the manifest.
    """
    if GOLDEN not in bundle.manifest.files:
        raise InputError(f"{bundle.folder} has no {GOLDEN}: it cannot prove itself on this device; pack it again")
    try:
        document = json.loads((bundle.folder / GOLDEN).read_bytes())
        entries = document["frames"]
        names = [str(entry["file"]) for entry in entries]
        scores = np.array([entry["scores"] for entry in entries], dtype=np.float64)
        labels = tuple(str(entry["label"]) for entry in entries)
        tolerance = {str(precision): float(bound) for precision, bound in document["tolerance"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{bundle.folder / GOLDEN} is malformed ({error!r}); pack the bundle again") from error
    _check_labels(bundle, scores, labels)
    views = [bundle.manifest.input.views(_read(bundle, name)) for name in names[:first]]
    return GoldenSet(np.stack(views), scores[:first], tolerance, bundle.manifest.head)


def golden_pictures(bundle: Bundle, first: int | None = None) -> list[Frame]:
    """Return the golden frames as they lie in the bundle, before preprocessing, in the order of `load_golden`."""
    document = json.loads((bundle.folder / GOLDEN).read_bytes())
    return [_read(bundle, entry["file"]) for entry in document["frames"][:first]]


def worst_difference(run: Run, golden: GoldenSet) -> float:
    """Return the largest |score - expected| over all golden frames; infinite where a score is missing or not finite."""
    seen = run(golden.flat)
    frames, tiles = golden.views.shape[:2]
    if seen.shape != (frames * tiles, golden.scores.shape[1]) or not np.isfinite(seen).all():
        return float("inf")
    joined = golden.head.join_tiles(seen.reshape(frames, tiles, -1))
    return float(np.abs(joined - golden.scores).max())


def check_golden(run: Run, golden: GoldenSet, precision: str) -> float:
    """Return the worst difference; InputError where it is above the tolerance of `precision`."""
    if precision not in golden.tolerance:
        raise InputError(f"{GOLDEN} gives no tolerance for {precision}; pack the bundle again")
    worst = worst_difference(run, golden)
    if worst > golden.tolerance[precision]:
        raise InputError(
            f"the {precision} model's scores differ by {worst:.3g} on the golden frames, "
            f"the bundle allows {golden.tolerance[precision]:.3g}; use another engine or precision"
        )
    return worst


def check_maps(outputs: Outputs, golden: GoldenSet, precision: str) -> None:
    """InputError unless maps and scores of the golden frames belong together, within what `precision` may differ by."""
    golden.head.check(outputs, 2 * golden.tolerance.get(precision, 0.0))  # a score and what its map says may both err


def check_outputs(outputs: Outputs, golden: GoldenSet, precision: str) -> float:
    """Return the worst difference of the scores in `outputs` of the golden frames; InputError for them or the maps."""
    worst = check_golden(lambda _: golden.head.scores(outputs), golden, precision)
    check_maps(outputs, golden, precision)
    return worst


def _read(bundle: Bundle, name: str) -> Frame:
    if name not in bundle.manifest.files:  # an unlisted file is an unverified one
        raise InputError(f"{bundle.folder / GOLDEN} names {name!r}, which the manifest does not list; pack it again")
    return decode_png((bundle.folder / name).read_bytes())


def _check_labels(bundle: Bundle, scores: npt.NDArray[np.float64], labels: tuple[str, ...]) -> None:
    """Raise InputError unless the manifest's rule reports what it reported when the bundle was packed."""
    rule = bundle.manifest.decision
    if not labels or scores.ndim != 2:
        raise InputError(f"{bundle.folder / GOLDEN} holds no usable frames; pack the bundle again")
    for place, (row, label) in enumerate(zip(scores, labels, strict=True)):
        if (seen := rule.decide(row).label) != label:
            raise InputError(
                f"the decision rule reports {seen} for golden frame {place}, the bundle says {label}; pack it again"
            )
