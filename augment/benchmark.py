"""`rarefault benchmark`: every arm on the same test images, over several draws of the training images, in one table.

A draw is a whole run of the pipeline with its own training and validation images, generated images and initial weights;
only the test images are common to all. So the intervals hold the luck of the draw, which is most of it where a class
has ten images.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from augment.judging import Truth, summarise
from augment.mini.archive import Share, write_archive
from augment.mini.scenes import FAULT_LABELS, LABELS
from augment.progress import say
from augment.records import Document, Record, RunFolder, digest_of, item_seed
from augment.settings import PRESETS, DataSettings, Settings, load_settings, write_settings
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.files import replace_file

RESULTS = "results.json"
BASELINE, CANDIDATE = "real+balanced", "real+balanced+text2img"
METHODS = (
    "text2img",
    "img2img-0.3",
    "img2img-0.5",
    "img2img-0.7",
    "adapted-text2img",
    "adapted-img2img-0.7",
    "codec",
    "render-catalogue",
    "render-station",
)
ARMS = ("real", "real+text2img", BASELINE, *(f"{BASELINE}+{method}" for method in METHODS))
# Images per class: sound equipment, faults.
TRAIN, VALIDATION, TEST = (20, 4), (10, 4), (50, 200)


def _counts(sound: int, fault: int) -> dict[str, int]:
    return {label: fault if label in FAULT_LABELS else sound for label in LABELS}


def prepare_scenes(out: Path, draw: int) -> Path:
    """Render the archive of one draw and write its pipeline.toml below OUT/draw-N; returns the file's path."""
    folder = out / f"draw-{draw}"
    shares = {
        "train": Share(_counts(*TRAIN), item_seed(draw, "benchmark", "train")),
        "val": Share(_counts(*VALIDATION), item_seed(draw, "benchmark", "val")),
        "test": Share(_counts(*TEST), item_seed(0, "benchmark", "test")),
    }
    settings = _scenes_settings(folder / "station" / "manifest.csv", draw)
    pipeline = folder / "pipeline.toml"
    if pipeline.exists() and load_settings(pipeline) != settings:
        raise InputError(f"{pipeline} is no run of this benchmark; choose another --out, or remove {folder}")
    say(f"rendering the images of draw {draw} into {folder / 'station'}")
    write_archive(folder / "station", shares)
    write_settings(settings, pipeline)
    return pipeline


def _scenes_settings(manifest: Path, draw: int) -> Settings:
    """Few real images, 30 generated ones of every class by each method, a classifier on frozen ImageNet features.

    Look-alike rules are off: scenes of a class share their layout. Sound equipment gets generated images too, or their
    look alone would tell a fault.
    """
    preset = PRESETS["mini"]
    return replace(
        preset,
        seed=draw,
        data=DataSettings(source=str(manifest.resolve()), faults=FAULT_LABELS, duplicate_bits=0, burst_gap=0),
        generate=replace(preset.generate, methods=METHODS, target=60, cap=30, rounds=1),
        curate=replace(preset.curate, duplicate_bits=-1, copy_bits=-1, lookalike_bits=-1),
        train=replace(
            preset.train,
            backbone="efficientnet_lite0",
            width=64,
            weights="imagenet",
            layers="classifier",
            size=96,
            synthetic_share=0.2,
            arms=ARMS,
            seeds=1,
        ),
        compare=replace(preset.compare, baseline=BASELINE, candidate=CANDIDATE),
        export=replace(preset.export, arm=BASELINE),
    )


def pool(out: Path, pipelines: Sequence[Path]) -> dict[str, Any]:
    """Compare the arms over all draws together and write OUT/results.json; returns what it holds.

    Raises InputError where the draws were not measured on the same test images.
    """
    folders = [RunFolder(pipeline.parent) for pipeline in pipelines]
    comparisons = [folder.require("comparison") for folder in folders]
    trainings = [folder.require("training") for folder in folders]
    images = [[(record["id"], record["label"]) for record in document.records] for document in comparisons]
    if any(listed != images[0] for listed in images):
        raise InputError(f"the draws below {out} differ in their test images; remove the folder and run again")
    labels, faults = (tuple(trainings[0].summary[key]) for key in ("labels", "fault_labels"))
    targets = np.array([labels.index(label) for _, label in images[0]])
    truth = Truth(labels, faults, targets, [record["group"] for record in comparisons[0].records])
    records, logits = [], {}
    for draw, (folder, training) in enumerate(zip(folders, trainings, strict=True)):
        for record in training.records:
            name = f"{record['arm']}/draw-{draw}"
            records.append({**record, "id": name, "seed": draw})
            path = folder.path / "comparison" / "logits" / f"{record['id']}.safetensors"
            logits[name] = load_file(path)["logits"]
    whole = Document("training", None, {}, trainings[0].models, records, trainings[0].summary)
    settings = load_settings(pipelines[0])
    results = {
        "draws": len(folders),
        "comparisons": [document.digest for document in comparisons],
        "settings": _common(settings),
        "images": _images(records),
        "adapters": [folder.require("adapter").summary for folder in folders],
        **summarise(replace(settings, seed=0), whole, truth, logits),
    }
    replace_file(out / RESULTS, (json.dumps(results, indent=1, ensure_ascii=False) + "\n").encode())
    return results


def _common(settings: Settings) -> dict[str, Any]:
    """What names the experiment: a digest of the settings but for the draw's own seed and folder."""
    common = replace(settings, seed=0, data=replace(settings.data, source=""))
    return {"digest": digest_of(repr(common)), "train": repr(settings.train), "generate": repr(settings.generate)}


def _images(records: Sequence[Record]) -> dict[str, dict[str, int]]:
    """Training images of each arm, real and synthetic, in its first draw."""
    counts: dict[str, dict[str, int]] = {}
    for record in records:
        counts.setdefault(record["arm"], {kind: sum(found.values()) for kind, found in record["images"].items()})
    return counts
