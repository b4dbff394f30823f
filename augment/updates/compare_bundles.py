"""Two bundles on one locked test set: recall per class with intervals, and the pictures whose verdict changed.

Both answer as a station would: by their own rules, on the edge's own engine. Both see the same pictures, so differences
are paired, and whole groups of pictures are resampled.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from augment.arrays import Labels, Numbers
from augment.data.image_store import ImageStore
from augment.data.split import TEST
from augment.evaluation import metrics
from augment.record_types import DatasetRecord, Interval
from augment.records import DATASET, RunFolder, item_seed
from augment.settings import Settings, load_settings
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.store import Bundle
from edge_runtime.inference.engines import load_engine
from edge_runtime.inference.evaluator import Evaluation, Evaluator

BATCH = 16  # pictures in one call of the engine
WORSE_EXIT = 20
SHOWN = 40  # pictures that the text lists
OVERALL = {"accuracy": "accuracy", "macro_recall": "mean recall", "fault_or_not": "fault or not"}


@dataclass(frozen=True)
class Compared:
    """One figure of both bundles, and new minus old; each in 0..1, None where the test set cannot tell."""

    old: Interval | None
    new: Interval | None
    difference: Interval | None

    def to_text(self) -> str:
        """Return `81.0 % -> 79.0 %  (-2.0, -4.1 to +0.2)`, in percent and points."""
        if self.old is None or self.new is None or self.difference is None:
            return "unknown"
        values = [f"{100 * part.value:5.1f} %" for part in (self.old, self.new)]
        low, high = (f"{100 * end:+.1f}" for end in (self.difference.low, self.difference.high))
        return f"{' -> '.join(values)}  ({100 * self.difference.value:+.1f}, {low} to {high})"


@dataclass(frozen=True)
class Changed:
    """A picture whose verdict changed; `label` is the truth, `old` and `new` are what the bundles said."""

    path: str
    label: str
    old: str
    new: str


@dataclass(frozen=True)
class BundleComparison:
    """What came of it. `worse` says in sentences what the new bundle has lost, beyond chance; empty: nothing."""

    images: int
    recall: dict[str, Compared]
    overall: dict[str, Compared]
    changed: list[Changed]
    worse: list[str]
    notes: list[str]

    @property
    def exit_code(self) -> int:
        """0, or WORSE_EXIT."""
        return WORSE_EXIT if self.worse else 0

    def to_text(self, whole: bool = False) -> str:
        """Return tables for a terminal; `whole` lists every picture that changed."""
        width = max(map(len, (*self.recall, *OVERALL.values())))
        lines = [f"{self.images} test pictures; old -> new (difference in points, interval)"]
        lines += [f"  {OVERALL[name]:{width}}  {found.to_text()}" for name, found in self.overall.items()]
        lines += ["recall per class:", *(f"  {name:{width}}  {each.to_text()}" for name, each in self.recall.items())]
        lines.append(f"{len(self.changed)} pictures whose verdict changed:")
        shown = self.changed if whole else self.changed[:SHOWN]
        lines += [f"  {item.path}: is {item.label}, was told {item.old}, is told {item.new}" for item in shown]
        lines += [f"  and {len(self.changed) - SHOWN} more; see --all"] if len(shown) < len(self.changed) else []
        lines += self.notes
        lines += [f"WORSE: {sentence}" for sentence in self.worse] or ["not worse, as far as these pictures can tell"]
        return "\n".join(lines)


def compare_bundles(old: Bundle, new: Bundle, run: Path, precision: str = "fp32") -> BundleComparison:
    """Show both bundles the test pictures of `run`; InputError where it has none, or one cannot be read."""
    settings, records = load_settings(run / "pipeline.toml"), RunFolder(run).require(DATASET).records
    images = sorted((record for record in records if record.split == TEST), key=lambda record: record.id)
    if not images:
        raise InputError(f"{run} has no test pictures; give a run whose data set has them")
    told = [_told(settings, images, bundle, precision) for bundle in (old, new)]
    labels = tuple(sorted({record.label for record in images}))
    faults = {*old.manifest.fault_labels, *new.manifest.fault_labels}
    measured = _Measured(settings, images, labels, faults)
    recall, overall = measured.compare(told[0], told[1])
    return BundleComparison(
        len(images), recall, overall, _changed(images, *told), _worse(old, new, recall, overall), _notes(old, new, run)
    )


@dataclass(frozen=True)
class _Told:
    """What a bundle said of a picture: a label and whether it is flagged, or why it could not judge."""

    label: str
    fault: bool

    @property
    def words(self) -> str:
        return f"{self.label}{' (flagged)' if self.fault else ''}"


def _told(settings: Settings, images: Sequence[DatasetRecord], bundle: Bundle, precision: str) -> list[_Told]:
    evaluator, store = Evaluator(bundle, load_engine(bundle, "cpu", precision)), ImageStore(settings)
    rule = bundle.manifest.rule(precision)

    def evaluations() -> Iterator[Evaluation]:
        for start in range(0, len(images), BATCH):
            yield from evaluator.evaluate_all([(store.frame(image), rule) for image in images[start : start + BATCH]])

    return [
        _Told(found.decision.label, found.decision.fault)
        if found.decision
        else _Told(f"nothing: {found.reason}", False)
        for found in evaluations()
    ]


@dataclass(frozen=True)
class _Measured:
    settings: Settings
    images: Sequence[DatasetRecord]
    labels: tuple[str, ...]
    faults: set[str]

    def compare(self, old: list[_Told], new: list[_Told]) -> tuple[dict[str, Compared], dict[str, Compared]]:
        """Return recall by label, and the figures of OVERALL."""
        truth, groups = self._classes([image.label for image in self.images]), [image.group for image in self.images]
        seed = item_seed(self.settings.seed, "diff", "resamples")
        draws = metrics.draw(truth, groups, 1, self.settings.compare.resamples, np.random.default_rng(seed)).with_all
        classes = len(self.labels) + 1  # the last one: a label that no test picture has, or no verdict
        of = [
            metrics.resample(truth, self._classes([one.label for one in told])[None], groups, classes, draws)
            for told in (old, new)
        ]
        weights = draws.of_images(groups)
        flagged = [metrics.weighted_share(self._flagged_rightly(told), weights) for told in (old, new)]
        pairs = {name: (of[0].metrics[name], of[1].metrics[name]) for name in ("accuracy", "macro_recall")}
        overall = {**pairs, "fault_or_not": (flagged[0], flagged[1])}
        confidence = self.settings.compare.confidence
        # One false alarm among all classes is to be as rare as in one test (Bonferroni).
        careful = 1 - (1 - confidence) / len(self.labels)
        recall = {
            label: _compared(of[0].recall[:, index], of[1].recall[:, index], careful)
            for index, label in enumerate(self.labels)
        }
        return recall, {name: _compared(*pair, confidence) for name, pair in overall.items()}

    def _classes(self, labels: Sequence[str]) -> Labels:
        known = {label: index for index, label in enumerate(self.labels)}
        return np.array([known.get(label, len(self.labels)) for label in labels], np.int64)

    def _flagged_rightly(self, told: Sequence[_Told]) -> Numbers:
        pairs = zip(self.images, told, strict=True)
        return np.array([float((image.label in self.faults) == one.fault) for image, one in pairs])


def _compared(old: Numbers, new: Numbers, confidence: float) -> Compared:
    intervals = (metrics.whole_and_resampled(values, confidence) for values in (old, new, new - old))
    return Compared(*intervals)


def _changed(images: Sequence[DatasetRecord], old: list[_Told], new: list[_Told]) -> list[Changed]:
    told = zip(images, old, new, strict=True)
    return [Changed(image.path, image.label, was.words, now.words) for image, was, now in told if was != now]


def _worse(old: Bundle, new: Bundle, recall: dict[str, Compared], overall: dict[str, Compared]) -> list[str]:
    """Say what was lost: labels, or a figure whose whole interval lies below zero."""
    gone = [label for label in old.manifest.labels if label not in new.manifest.labels]
    lost = [f"the new bundle does not know {', '.join(gone)}"] if gone else []
    lost += [f"{OVERALL[name]} fell: {found.to_text().strip()}" for name, found in overall.items() if _fell(found)]
    return lost + [
        f"recall of {label} fell: {found.to_text().strip()}" for label, found in recall.items() if _fell(found)
    ]


def _fell(found: Compared) -> bool:
    return found.difference is not None and found.difference.high < 0


def _notes(old: Bundle, new: Bundle, run: Path) -> list[str]:
    """Say where a bundle was made from another data set, some of whose pictures it may have learned from."""
    own = RunFolder(run).require(DATASET).digest
    made = [("old", old), ("new", new)]
    others = [name for name, bundle in made if bundle.manifest.lineage.get("documents", {}).get("dataset") != own]
    return [
        f"note: the {name} bundle was made from another data set than that of {run}; test pictures may be among those "
        "that it learned from"
        for name in others
    ]
