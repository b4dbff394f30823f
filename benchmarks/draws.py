"""Benchmarks on several draws of real pictures: settings, training, and figures pooled over the draws."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.stats import t as student

from augment.pipeline import run_pipeline
from augment.presets import PRESETS
from augment.records import COMPARISON, RunFolder
from augment.settings import DataSettings, Settings, write_once

ARM, CLASSIC_ARM = "real", "real+classic"


def data_section(data: Path, boxes: str, faults: Sequence[str], groups: Iterable[str]) -> DataSettings:
    """Return what the options of a benchmark say of its pictures; `groups` are NAME=LABEL,LABEL."""
    place = str(Path(boxes).resolve()) if boxes else ""
    return DataSettings(source=str(data.resolve()), boxes=place, faults=tuple(faults), groups=named_groups(groups))


def named_groups(groups: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Read NAME=LABEL,LABEL: conditions of one kind of equipment."""
    return {name: tuple(labels.split(",")) for name, _, labels in (group.partition("=") for group in groups)}


def settings_of(section: DataSettings, out: Path, number: int, size: int) -> Settings:
    """Return the settings of draw `number`: the spatial head on real pictures alone, `size` pixels on the long side."""
    preset = PRESETS["cpu"]
    return replace(
        preset,
        seed=number,
        cache=str((out / "cache").resolve()),
        data=section,
        train=replace(preset.train, arms=(ARM, CLASSIC_ARM), head="spatial", size=size),
        compare=replace(preset.compare, baseline=CLASSIC_ARM, candidate=ARM),
        export=replace(preset.export, arm=ARM),
    )


def of_manifest(settings: Settings, manifest: Path) -> Settings:
    """Return the settings with the pictures, labels and boxes of a manifest in place of their own."""
    return replace(settings, data=replace(settings.data, source=str(manifest.resolve()), layout="manifest", boxes=""))


def train(settings: Settings, manifest: Path, folder: Path, stages: list[str]) -> None:
    """Run `stages` on the pictures of a manifest in `folder`, with all else as `settings` say; go on where it ended."""
    folder.mkdir(exist_ok=True)
    write_once(of_manifest(settings, manifest), folder / "pipeline.toml", "this benchmark")
    run_pipeline(folder / "pipeline.toml", stages)


def spot_figures(run: RunFolder) -> dict[str, float]:
    """Return recall at 90 % specificity, pointing and AUC, each the mean over test pictures of all faults."""
    spots = run.require(COMPARISON).summary.arms[ARM].spots
    assert spots is not None  # the head is spatial
    faults = list(spots.faults.values())
    images = [one.images for one in faults]
    pointed = [(one.pointing.value, one.boxed) for one in faults if one.pointing]
    return {
        "recall": float(np.average([one.recall_common[0].recall.value for one in faults], weights=images)),
        "pointing": float(np.average([value for value, _ in pointed], weights=[boxed for _, boxed in pointed])),
        "auc": float(np.average([one.auc.value for one in faults], weights=images)),
    }


def pooled(
    draws: Sequence[Mapping[str, object]], arms: Sequence[str], pairs: Iterable[tuple[str, str]]
) -> dict[str, object]:
    """Return [mean, low, high] over the draws of every figure of `arms`, and of each of the `pairs` (first - second).

    A draw holds the figures of each arm, by name. Differences are of the figures that both arms have. The interval is
    of the mean (Student's t, 95 %); of a single draw there is none.
    """
    values = {arm: {key: [float(one[arm][key]) for one in draws] for key in draws[0][arm]} for arm in arms}  # type: ignore[index,attr-defined]
    told: dict[str, object] = {arm: {key: _interval(found) for key, found in of.items()} for arm, of in values.items()}
    for first, second in pairs:
        told[f"{first} - {second}"] = {
            key: _interval([a - b for a, b in zip(found, values[second][key], strict=True)])
            for key, found in values[first].items()
            if key in values[second]
        }
    return told


def _interval(found: Sequence[float]) -> list[float]:
    mean = float(np.mean(found))
    if len(found) < 2:
        return [round(mean, 4)]
    half = float(student.ppf(0.975, len(found) - 1) * np.std(found, ddof=1) / np.sqrt(len(found)))
    return [round(mean, 4), round(mean - half, 4), round(mean + half, 4)]
