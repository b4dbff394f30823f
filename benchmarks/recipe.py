"""What each training option brings where faults are rare: macro F1 with it alone, on rendered station scenes.

    python -m benchmarks.recipe [--out DIR] [--seeds 2] [--steps 150]

EfficientNet-Lite0 with ImageNet weights, all layers, 64 px, 20 pictures of each healthy class and 6 of each fault. In
the arm `combined`, renders through other cameras stand for generated images. A seed draws pictures and order anew.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from augment.evaluation.metrics import class_recall, metrics
from augment.json_objects import from_json
from augment.mini.scenes import FAULT_LABELS, LABELS, render, sample_scene
from augment.presets import PRESETS
from augment.record_types import CurationRecord, DatasetRecord
from augment.records import item_seed
from augment.settings import DataSettings, Settings, TrainSettings
from augment.stages import train
from augment.training.arms import REAL, SYNTHETIC, TrainingImage, parse_arm
from augment.training.finetune import fit, predict
from edge_runtime.bundle.preprocess import Frames
from export.checkpoint import load_checkpoint

SIDE = 64  # pixels
HEALTHY, FAULT, VALIDATION, GENERATED, TEST = 20, 6, 10, 24, 50  # images per class
STRONG = PRESETS["sd21"].train
RECIPE = {key: getattr(STRONG, key) for key in ("views", "mixup", "cutmix", "balance", "ema", "real_last")}
VARIANTS: dict[str, tuple[dict[str, Any], ...]] = {
    "real": (
        {},
        *({key: RECIPE[key]} for key in ("views", "mixup", "cutmix", "balance", "ema")),
        RECIPE,
    ),
    "combined": ({}, {"replace": 0.5}, {"real_last": 0.1}, {"synthetic_norm": True}),
}


def main() -> None:
    """Train every variant with every seed and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/recipe"))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=150)
    given = parser.parse_args()
    plain = TrainSettings(
        backbone="efficientnet_lite0", weights="imagenet", size=SIDE, seeds=1, learning_rate=STRONG.learning_rate,
        steps=given.steps, evaluate_every=25, patience=given.steps,
    )  # fmt: skip
    drawn = [_pictures(seed) for seed in range(given.seeds)]
    scenes = [(_scene(0, "test", "station", label, index), label) for label in LABELS for index in range(TEST)]
    test = [(render(scene, SIDE), label) for scene, label in scenes]
    for arm, variants in VARIANTS.items():
        for options in variants:
            section, place = replace(plain, arms=(arm,), **options), given.out / arm / _name(options)
            found = [_measure(section, seed, place / str(seed), *drawn[seed], test) for seed in range(given.seeds)]
            columns = " | ".join(_column([row[key] for row in found]) for key in ("macro_f1", "fault_recall"))
            print(f"| {arm} | {_name(options)} | {columns} |", flush=True)


def _name(options: dict[str, Any]) -> str:
    if options is RECIPE:
        return "recipe of sd21"
    return " ".join(f"{key}={value}" for key, value in options.items()) or "plain"


def _column(shares: list[float]) -> str:
    return f"{100 * np.mean(shares):.1f} ({', '.join(f'{100 * share:.1f}' for share in shares)})"


def _scene(seed: int, split: str, domain: str, label: str, index: int) -> Any:
    return sample_scene(item_seed(seed, "recipe", f"{split}/{domain}/{label}/{index}"), domain, label)


def _pictures(seed: int) -> tuple[train.Material, Frames]:
    """Training and validation pictures of one seed, real ones first, and what they are."""
    shares = {
        ("train", "station", REAL): dict.fromkeys(LABELS, HEALTHY) | dict.fromkeys(FAULT_LABELS, FAULT),
        ("val", "station", REAL): dict.fromkeys(LABELS, VALIDATION),
        ("train", "catalogue", "text2img"): dict.fromkeys(LABELS, GENERATED),
    }
    rows = [
        (split, domain, kind, label, index)
        for (split, domain, kind), counts in shares.items()
        for label, count in counts.items()
        for index in range(count)
    ]
    material = train.Material(
        labels=tuple(sorted(LABELS)),
        images=[_image(*row) for row in rows],
        digests={REAL: f"seed {seed}", SYNTHETIC: f"seed {seed}"},
    )
    frames = [render(_scene(seed, split, domain, label, index), SIDE) for split, domain, _, label, index in rows]
    return material, np.stack(frames)


def _image(split: str, domain: str, kind: str, label: str, index: int) -> TrainingImage:
    name = f"{split}/{domain}/{kind}/{label}/{index}"
    if kind == REAL:
        return from_json(DatasetRecord, {"id": name, "label": label, "split": split})
    return from_json(CurationRecord, {"id": name, "label": label, "method": kind, "kept": True})


def _measure(
    section: TrainSettings,
    seed: int,
    folder: Path,
    material: train.Material,
    frames: Frames,
    test: list[tuple[Any, str]],
) -> dict[str, float]:
    """Macro F1 and mean recall of the faults (0..1) on the test pictures."""
    settings = Settings(seed=seed, data=DataSettings(faults=FAULT_LABELS), train=section)
    build, initial = train.initial_network(settings, len(material.labels))
    arm = parse_arm(section.arms[0], settings.generate.methods)
    fit(train.plan(settings, material, arm, 0, initial, build), frames, folder, "cpu")
    network, _ = load_checkpoint(folder)
    truth = np.array([material.labels.index(label) for _, label in test])
    predicted = predict(network, np.stack([frame for frame, _ in test]), "cpu").argmax(axis=1)
    recall = class_recall(truth, predicted, len(material.labels))
    faults = [recall[material.labels.index(label)] for label in FAULT_LABELS]
    return {**metrics(truth, predicted), "fault_recall": float(np.mean(faults))}


if __name__ == "__main__":
    main()
