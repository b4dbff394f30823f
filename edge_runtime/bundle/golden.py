"""Golden frames: pictures with the scores they must give, so that a device proves itself before it is believed."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .decision import Rule
from .errors import InputError
from .files import replace_file
from .heads import Array, Head, Outputs
from .preprocess import Frame, Frames, PreprocessSpec, decode_png, encode_png
from .store import Bundle
from .view_sketch import apart, sketch

GOLDEN = "golden.json"
# Root mean square levels by which the views of two devices may differ. Without any vector instructions OpenCV gave the
# same pixels bit for bit; of the mistakes in benchmarks/preprocessing_mistakes.py the smallest moved them by 13.
MOST_APART = 1.5
LEAST_SEEN = 3  # golden frames with faults, and without: of fewer a model may miss all by chance

Run = Callable[[Frames], Array]
"""Views uint8 (N, H, W, 3) BGR -> the head's scores (N, M) of each view."""


@dataclass(frozen=True)
class FileAnswers:
    """The `scores` (N, M) that one ONNX file gave where it was packed, and how far those of a device may lie from them.

    `within` bounds the median frame's root mean square difference. A file whose own noise is as large as a mistake, as
    INT8's is, is compared with itself: its noise is the same everywhere.
    """

    scores: npt.NDArray[np.float64]
    within: float

    def apart(self, scores: Array) -> float:
        """Return the median over all frames of the root mean square difference of `scores` (N, M)."""
        return typical_difference(scores, self.scores)

    def to_json(self) -> dict[str, Any]:
        """Return the object under the file's name in golden.json's `answers`."""
        return {"scores": self.scores.tolist(), "within": self.within}


def typical_difference(scores: Array, others: Array) -> float:
    """Return the median over frames of the root mean square difference of two sets of scores (N, M).

    The median: engines differ by much on a few frames, where a rounding tips over, and mistakes by something on all.
    """
    return float(np.median(np.sqrt(((scores - others) ** 2).mean(axis=1))))


@dataclass(frozen=True)
class GoldenSet:
    """`views` uint8 (N, T, H, W, 3) BGR at the model's size, T tiles of each frame; the `scores` (N, M) of the frames.

    `tolerance` per precision bounds the absolute difference of any score. `labels` are what the bundle's rule reports,
    `truths` what a person said, "" of a made frame and where the bundle does not tell. `answers` hold those of single
    files by their variant, `int8` or `int8.trt`.
    """

    views: Frames
    scores: npt.NDArray[np.float64]
    tolerance: Mapping[str, float]
    head: Head
    labels: tuple[str, ...] = ()
    truths: tuple[str, ...] = ()
    answers: Mapping[str, FileAnswers] = field(default_factory=dict)

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
    spec: PreprocessSpec,
    truths: Sequence[str] = (),
    answers: Mapping[str, FileAnswers] | None = None,
) -> None:
    """Write `golden/NN.png` and `golden.json` into `folder`: frames of any size and the `scores` (N, M) they give.

    The frames are preprocessed when they are loaded; a sketch of what `spec` makes of each tells whether a device does
    it alike. `truths` are the labels that persons gave the first of the frames, `answers` those of single files.
    """
    (folder / "golden").mkdir(exist_ok=True)
    entries: list[dict[str, Any]] = []
    for place, (frame, row) in enumerate(zip(frames, scores, strict=True)):
        name = f"golden/{place:02d}.png"
        replace_file(folder / name, encode_png(frame))
        about = {"file": name, "scores": [float(x) for x in row], "label": rule.decide(row).label}
        truth = {"truth": truths[place]} if place < len(truths) else {}
        entries.append({**about, **truth, "sketch": sketch(spec.views(frame))})
    document = {
        "frames": entries,
        "tolerance": dict(tolerance),
        "answers": {variant: own.to_json() for variant, own in (answers or {}).items()},
    }
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    replace_file(folder / GOLDEN, (text + "\n").encode())


def load_golden(bundle: Bundle, first: int | None = None) -> GoldenSet:
    """Return the golden frames of a verified bundle, preprocessed, all or the `first` few.

    Raises InputError where they contradict the manifest, or where this device preprocesses them otherwise than the one
    that packed them. Bundles that were packed before there were sketches are read without.
    """
    if GOLDEN not in bundle.manifest.files:
        raise InputError(f"{bundle.folder} has no {GOLDEN}: it cannot prove itself on this device; pack it again")
    try:
        document = json.loads((bundle.folder / GOLDEN).read_bytes())
        entries = document["frames"]
        names = [str(entry["file"]) for entry in entries]
        scores = np.array([entry["scores"] for entry in entries], dtype=np.float64)
        labels = tuple(str(entry["label"]) for entry in entries)
        truths = tuple(str(entry.get("truth", "")) for entry in entries)
        sketches = [[int(number) for number in entry.get("sketch", ())] for entry in entries]
        tolerance = {str(precision): float(bound) for precision, bound in document["tolerance"].items()}
        answers = {
            str(variant): FileAnswers(np.array(own["scores"], dtype=np.float64)[:first], float(own["within"]))
            for variant, own in document.get("answers", {}).items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{bundle.folder / GOLDEN} is malformed ({error!r}); pack the bundle again") from error
    _check_labels(bundle, scores, labels)
    views = [bundle.manifest.input.views(_read(bundle, name)) for name in names[:first]]
    _check_views(views, sketches)
    about = (tolerance, bundle.manifest.head, labels[:first], truths[:first], answers)
    return GoldenSet(np.stack(views), scores[:first], *about)


def _check_views(views: Sequence[Frames], sketches: Sequence[Sequence[int]]) -> None:
    """Raise InputError unless this device makes the views that the packing one made, where that left sketches."""
    for place, (view, expected) in enumerate(zip(views, sketches, strict=False)):
        if expected and not (levels := apart(view, expected)) <= MOST_APART:
            raise InputError(
                f"this device preprocesses golden frame {place} otherwise than the one that packed it: its pixels are "
                f"{levels:.3g} levels apart, at most {MOST_APART} are allowed; install the versions of OpenCV and "
                "rarefault that packed it, or pack the bundle again"
            )


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


def check_outputs(outputs: Outputs, golden: GoldenSet, precision: str, variant: str = "") -> float:
    """Return the worst difference of the scores in `outputs` of the golden frames; InputError for them or the maps.

    `variant` names the file that gave them: where the bundle holds its own answers, they must be these.
    """
    scores = golden.head.scores(outputs)
    worst = check_golden(lambda _: scores, golden, precision)
    check_own(outputs, golden, variant)
    check_maps(outputs, golden, precision)
    return worst


def check_own(outputs: Outputs, golden: GoldenSet, variant: str) -> None:
    """InputError where the file of `variant` answers the golden frames otherwise than where it was packed."""
    if variant not in golden.answers:
        return
    scores = golden.head.scores(outputs)
    own, joined = golden.answers[variant], golden.head.join_tiles(scores.reshape(*golden.views.shape[:2], -1))
    if not (seen := own.apart(joined)) <= own.within:
        raise InputError(
            f"the {variant} file answers otherwise here than where it was packed: its scores differ by {seen:.3g} on "
            f"the typical golden frame, {own.within:.3g} is allowed; use another engine or precision"
        )


def check_truths(golden: GoldenSet, faults: Sequence[str]) -> None:
    """Raise InputError where the labels that persons gave the golden frames say that the model's labels are wrong.

    `faults` are the fault labels. Refused are models that call every golden frame faulty or every one healthy though
    persons saw both, LEAST_SEEN times each, and labels that are told in each other's place. A model that misses some
    faults passes.
    """
    told: dict[str, Counter[str]] = defaultdict(Counter)
    for label, truth in zip(golden.labels, golden.truths, strict=True):
        if truth:
            told[truth][label] += 1
    seen = Counter(truth in faults for truth in golden.truths if truth)
    if min(seen[True], seen[False]) >= LEAST_SEEN:
        alarms = {label in faults for counts in told.values() for label in counts}
        if len(alarms) == 1:
            what = "faulty" if alarms.pop() else "healthy"
            raise InputError(f"the model calls every golden frame {what}, persons saw both; train and pack it again")
    usual = {truth: max(counts, key=lambda label: (counts[label], label == truth)) for truth, counts in told.items()}
    for truth in usual:
        ring = [truth]
        while (following := usual.get(ring[-1])) is not None and following not in ring:
            ring.append(following)
        if following == truth and len(ring) > 1:
            raise InputError(
                f"the model tells these labels in each other's place: {', '.join(ring)}; their order was mixed up, so "
                "pack it again from the checkpoint"
            )


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
