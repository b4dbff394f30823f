"""A run folder with drawn images and hand-made dataset and curation documents, for tests of the later stages."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from augment.record_types import DatasetRecord
from augment.records import ADAPTER, CAPTIONS, CURATION, DATASET, PROMPTS, SYNTHETIC, RunFolder
from augment.settings import CompareSettings, DataSettings, Settings, TrainSettings
from augment.stages import train
from augment.training.arms import parse_arm
from augment.training.finetune import Task
from edge_runtime.bundle.preprocess import Frames, PreprocessSpec
from tests.support.made_documents import made

LABELS = ("breaker_burnt", "breaker_ok", "tank_ok")
COUNTS = {"train": (4, 12, 12), "val": (4, 6, 6), "test": (5, 8, 8)}
GENERATED = (8, 2, 2)
BOX = (8, 8, 23, 23)  # of the square: x, y, width, height
LEVELS = ((40, 40, 200), (40, 180, 60), (200, 90, 40))  # BGR of each class: easy to tell apart


def draw(label: int, seed: int, side: int = 40) -> np.ndarray:
    """A noisy square in the colour of its class."""
    generator = np.random.default_rng([label, seed])
    image = np.full((side, side, 3), 110, np.uint8)
    cv2.rectangle(image, (8, 8), (30, 30), LEVELS[label], -1)
    return cv2.add(image, generator.integers(0, 40, image.shape, dtype=np.uint8))


def tiny_settings(source: Path, **train: object) -> Settings:
    section = TrainSettings(
        width=8, size=32, steps=6, evaluate_every=2, batch_size=8, seeds=2, learning_rate=3e-3, patience=10
    )
    return Settings(
        device="cpu",
        data=DataSettings(source=str(source), faults=("breaker_burnt",)),
        train=replace(section, **train),
        compare=CompareSettings(resamples=200),
    )


def tiny_run(folder: Path, boxed: bool = False) -> tuple[Settings, RunFolder]:
    """Images on disk, the documents of the stages before training, and settings for them.

    With `boxed` every real fault has its box.
    """
    source, run = folder / "images", RunFolder(folder / "run")
    parent = run.write(made(DATASET, None, _real(source, boxed), _dataset_summary())).digest
    for stage, role in (
        (CAPTIONS, "captioner"),
        (PROMPTS, "writer"),
        (ADAPTER, "painter"),
        (SYNTHETIC, "painter"),
    ):
        models = {role: {"name": f"mini/{role}", "sha256": "0" * 64}}
        parent = run.write(made(stage, parent, settings={"seed": 0}, models=models)).digest
    run.write(made(CURATION, parent, _generated(run.path), {"rejected": {"blank": 1}}))
    return tiny_settings(source), run


def _dataset_summary() -> dict[str, object]:
    classes = {label: {side: counts[k] for side, counts in COUNTS.items()} for k, label in enumerate(LABELS)}
    return {
        "images": sum(map(sum, COUNTS.values())),
        "groups": 34,
        "classes": classes,
        "perceptual_pairs": 2,
        "straddling_pairs": 0,
        "exact_copies": 1,
        "hints": [],
        "quarantined": [{"path": "tank_ok/<b>half</b>.jpg", "reason": "is a damaged JPEG & cut off"}],
        "dropped": [],
        "ignored": [],
    }


def _real(source: Path, boxed: bool) -> list[dict[str, object]]:
    records = []
    for split, counts in COUNTS.items():
        for label, count in enumerate(counts):
            for number in range(count):
                path = f"{LABELS[label]}/{split}-{number:02d}.png"
                _write(source / path, draw(label, len(records)))
                records.append(
                    {
                        "id": f"real-{len(records):03d}",
                        "path": path,
                        "label": LABELS[label],
                        "split": split,
                        "group": f"{split}-{label}-{number // 2}",
                        "width": 40,
                        "height": 40,
                        **({"boxes": [BOX]} if boxed and label == 0 else {}),
                    }
                )
    return records


def _generated(run: Path) -> list[dict[str, object]]:
    records: list[dict[str, object]] = [
        {
            "id": "blanked",
            "label": LABELS[0],
            "method": "text2img",
            "path": None,
            "kept": False,
            "reasons": ["blank"],
            "scores": {},
        }
    ]
    for label, count in enumerate(GENERATED):
        for number in range(count):
            path = f"synthetic/images/{LABELS[label]}/{label}{number}.png"
            _write(run / path, draw(label, 900 + number, side=32))
            records.append(
                {
                    "id": f"{label}{number}",
                    "label": LABELS[label],
                    "method": "text2img",
                    "path": path,
                    "kept": True,
                    "reasons": [],
                    "scores": {},
                }
            )
    return records


def _write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


def short(settings: Settings, **changed: object) -> Settings:
    """Two arms, one seed, two evaluations."""
    section = {"arms": ("real", "combined"), "seeds": 1, "steps": 4, "evaluate_every": 2, **changed}
    return replace(settings, train=replace(settings.train, **section))


def tiny_task(folder: Path, arm: str = "real", **changed: object) -> tuple[Task, Frames]:
    """A training of `arm` that has not begun, with some settings of training changed, and its images."""
    settings, run = tiny_run(folder)
    settings = short(settings, arms=(arm,), **changed)
    arms = [parse_arm(arm, settings.generate.methods)]
    material = train.gather(run.require(DATASET), run.require(CURATION), arms)
    build, initial = train.initial_network(settings, len(material.labels))
    spec = PreprocessSpec(settings.train.size, settings.train.size)
    roots = [folder / "images" if isinstance(image, DatasetRecord) else run.path for image in material.images]
    paths = [root / image.path for root, image in zip(roots, material.images, strict=True)]
    frames = np.stack([spec.apply(cv2.imread(str(path))) for path in paths])
    return train.plan(settings, material, arms[0], 0, initial, build), frames


def training_files(folder: RunFolder) -> dict[str, bytes]:
    """Everything that training left but its documents, whose date differs."""
    paths = (folder.path / "training").rglob("*")
    return {
        path.name if path.parent.name == "training" else str(path.relative_to(folder.path)): path.read_bytes()
        for path in paths
        if path.is_file() and not path.name.startswith("v0")
    }


class Killed(BaseException):
    """Stands for kill -9: nothing in the code under test may catch it."""


class DiesAtStep:
    """Mixed into a trainer: stops dead before one of its steps."""

    dies_at = 0

    def step(self, step):
        if step == self.dies_at:
            raise Killed
        return super().step(step)
