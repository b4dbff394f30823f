"""Train and pack the bundle of `rarefault station-demo`: `python -m augment.station_demo.recipe WORK`.

It renders an archive of the cameras' kind of pictures, none of them a sight that the demo's cameras show, runs the
stages of `rarefault run` on it, and puts the bundle where the demo looks for it. Some minutes on one processor core;
a second call goes on where the first one stopped.
"""

import csv
import importlib
import io
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from augment.mini.scenes import COUNTERPARTS, FAULT_LABELS, GROUPS, LABELS, render, sample_scene
from augment.presets import PRESETS
from augment.progress import say
from augment.records import STAGES, RunFolder, item_seed
from augment.settings import DataSettings, Settings, write_once
from augment.station_demo.files import BUNDLE
from augment.station_demo.pictures import Camera, clean_picture, fault_box, random_sight
from edge_runtime.bundle.files import replace_file

SEED = 17
# Pictures of each class that is healthy, and of each that is a fault.
SPLITS = {"train": (110, 70), "val": (30, 30), "test": (60, 60)}
COLUMNS = ("path", "label", "split", "x", "y", "w", "h")


def settings(work: Path) -> Settings:
    """Return the preset `mini`, but without generated pictures, at the cameras' shape and half as wide a network."""
    preset, source = PRESETS["mini"], str((work / "images" / "manifest.csv").resolve())
    data = DataSettings(source=source, faults=tuple(FAULT_LABELS), groups=dict(GROUPS)).unrelated()
    train = replace(
        preset.train, arms=("real", "real+heal"), seeds=1, width=8, size=160, aspect="native", steps=500,
        evaluate_every=50, patience=10,
    )  # fmt: skip
    return replace(
        preset,
        seed=SEED,
        data=data,
        caption=replace(preset.caption, per_class=1),
        refine=replace(preset.refine, variants=1, attempts=1, rounds=1),
        generate=replace(preset.generate, methods=("heal",), hosts=dict(COUNTERPARTS)),
        train=train,
        compare=replace(preset.compare, baseline="real", candidate="real+heal"),
        export=replace(preset.export, name="station-demo", precisions=("fp32",), specificity=0.97),
    )


def write_images(folder: Path) -> None:
    """Render every split below `folder` and write folder/manifest.csv with the boxes of faults. What is there stays."""
    rows: list[tuple[object, ...]] = [COLUMNS]
    for split, counts in SPLITS.items():
        for label in LABELS:
            (folder / split / label).mkdir(parents=True, exist_ok=True)
            for index in range(counts[label in FAULT_LABELS]):
                seed = item_seed(SEED, split, f"{label}/{index}")
                sight, name = random_sight(label, seed), f"{split}/{label}/{index:04d}.jpg"
                if not (folder / name).exists():
                    time = f"2026-{seed % 12 + 1:02d}-{seed % 28 + 1:02d} {seed % 24:02d}:{seed % 60:02d}:00"
                    camera = Camera(f"camera-{seed % 9}", seed % 2**31)
                    replace_file(folder / name, camera.frame(clean_picture(sight), time))
                rows.append((name, label, split, *(fault_box(sight) or ("",) * 4)))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    replace_file(folder / "manifest.csv", text.getvalue().encode())


def main(work: Path) -> None:
    """Render, run all stages in `work`, and copy the bundle into this package."""
    from augment.models.registry import Models

    write_once(settings(work), work / "pipeline.toml", "this recipe")
    write_images(work / "images")
    say("pictures rendered")
    chosen, folder = settings(work), RunFolder(work)
    models = Models(chosen, lambda seed, domain, label, side: render(sample_scene(seed, domain, label), side))
    for stage in STAGES:
        module = importlib.import_module(stage.module)
        document = module.run(chosen, folder, *((models,) if stage.needs_models else ()))
        say(f"{stage.command}: {module.summary_line(document)}")
    shutil.rmtree(BUNDLE, ignore_errors=True)
    shutil.copytree(work / "bundle", BUNDLE)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
