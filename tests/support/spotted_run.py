"""A run folder of towers with a small bright spot or none, for spatial heads; spots are boxed, one label is wrong."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from augment.records import ADAPTER, CAPTIONS, CURATION, DATASET, PROMPTS, SYNTHETIC, RunFolder
from augment.settings import CompareSettings, DataSettings, Settings
from tests.support.drawn_run import tiny_settings
from tests.support.made_documents import made

SIDE, SPOT = 64, 8  # pixels
LABELS = ("tower_hotspot", "tower_ok")
COUNTS = {"train": (24, 24), "val": (12, 12), "test": (12, 16)}


def picture(seed: int, spot: tuple[int, int] | None) -> np.ndarray:
    generator = np.random.default_rng(seed)
    image = np.full((SIDE, SIDE, 3), 90, np.uint8)
    cv2.line(image, (int(generator.integers(64)), 0), (int(generator.integers(64)), 63), (140, 140, 140), 3)
    if spot:
        cv2.rectangle(image, spot, (spot[0] + SPOT - 1, spot[1] + SPOT - 1), (60, 120, 255), -1)
    return cv2.add(image, generator.integers(0, 20, image.shape, dtype=np.uint8))


def spotted_run(folder: Path) -> tuple[Settings, RunFolder]:
    """Pictures on disk, the documents of the stages before training, and settings of a spatial and a classic arm."""
    source, run = folder / "images", RunFolder(folder / "run")
    records: list[dict[str, object]] = []
    for split, counts in COUNTS.items():
        for label, count in zip(LABELS, counts, strict=True):
            for _ in range(count):
                _add(records, source, split, label, f"p{len(records):03d}", label == LABELS[0])
    _add(records, source, "val", LABELS[1], "wrong", True, at=(6, 46), boxed=False)
    summary = {"images": len(records), "groups": len(records), "classes": {}, "hints": [], "exact_copies": 0}
    summary |= {"perceptual_pairs": 0, "straddling_pairs": 0, "quarantined": [], "dropped": [], "ignored": []}
    summary["classes"] = {label: {side: counts[k] for side, counts in COUNTS.items()} for k, label in enumerate(LABELS)}
    parent = run.write(made(DATASET, None, records, summary)).digest
    for stage, role in ((CAPTIONS, "captioner"), (PROMPTS, "writer"), (ADAPTER, "painter"), (SYNTHETIC, "painter")):
        models = {role: {"name": f"mini/{role}", "sha256": "0" * 64}}
        parent = run.write(made(stage, parent, settings={"seed": 0}, models=models)).digest
    run.write(made(CURATION, parent, [], {"rejected": {}}))
    return _settings(source), run


def _settings(source: Path) -> Settings:
    section = {"head": "auto", "layers": "classifier", "arms": ("real", "real+classic"), "seeds": 1}
    backbone = {"backbone": "efficientnet_lite0", "width": 64, "weights": "imagenet", "size": SIDE}
    settings = tiny_settings(source, **section, **backbone)
    return replace(
        settings,
        data=DataSettings(source=str(source), faults=LABELS[:1]),
        compare=CompareSettings(candidate="real+classic", resamples=200),
        export=replace(settings.export, arm="real"),
    )


def _add(
    records: list[dict[str, object]],
    source: Path,
    split: str,
    label: str,
    name: str,
    spotted: bool,
    at: tuple[int, int] | None = None,
    boxed: bool = True,
) -> None:
    seed = len(records)
    left, top = at or np.random.default_rng([1, seed]).integers(2, SIDE - SPOT - 2, 2).tolist()
    path = source / label / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture(seed, (left, top) if spotted else None))
    records.append(
        {
            "id": name,
            "path": f"{label}/{name}.png",
            "label": label,
            "split": split,
            "group": name,
            "width": SIDE,
            "height": SIDE,
            **({"boxes": [[left, top, SPOT, SPOT]]} if spotted and boxed else {}),
        }
    )
