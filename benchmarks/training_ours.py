"""Our side of benchmarks/claim_training.py: pictures of two folders, as a training of the stage `train` sees them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from augment.record_types import DatasetRecord
from augment.settings import DataSettings, Settings, TrainSettings
from augment.stages import train
from augment.training.arms import REAL, parse_arm
from augment.training.finetune import Task, fit
from augment.training.frame_cache import cached_frames
from benchmarks.training_runner import BACKBONE
from edge_runtime.bundle.preprocess import Frames, PreprocessSpec
from edge_runtime.media.image_files import read_image


@dataclass(frozen=True)
class Ours:
    """One training that has not begun."""

    task: Task
    images: Sequence[DatasetRecord]
    size: int
    out: Path

    @classmethod
    def of(cls, given: dict[str, Any]) -> "Ours":
        """Plan the training that `given` describes; see `training_runner`."""
        images = [
            DatasetRecord(
                id=path.stem,
                path=str(path),
                label=path.parent.name,
                split=split,
                group=path.stem,
                width=1,
                height=1,
                sha256="",
                phash="",
                notes=(),
            )
            for split in ("train", "val")
            for path in sorted((Path(given["pictures"]) / split).glob("*/*"))
        ]
        count = sum(image.split == "train" for image in images)
        steps = count * given["epochs"] // given["batch"]
        section = TrainSettings(
            arms=("real",), seeds=1, backbone=BACKBONE, weights="imagenet", size=given["size"], steps=steps,
            evaluate_every=steps // given["epochs"], patience=steps, batch_size=given["batch"],
            learning_rate=given["rate"], warmup=0.0,
        )  # fmt: skip
        settings = Settings(device="cpu", data=DataSettings(), train=section)
        material = train.Material(tuple(sorted({image.label for image in images})), images, {REAL: ""})
        build, initial = train.initial_network(settings, len(material.labels))
        task = train.plan(settings, material, parse_arm("real", settings.generate.methods), 0, initial, build)
        return cls(task, images, given["size"], Path(given["out"]))

    def frames(self) -> Frames:
        """Decode all pictures into a new frame cache."""
        spec = PreprocessSpec(self.size, self.size)
        self.out.mkdir(parents=True, exist_ok=True)
        return cached_frames(
            self.out, self.images, spec, lambda image: read_image(Path(image.path)).frame, "", "frames"
        )

    def fit(self, frames: Frames) -> float:
        """Train, and return the accuracy after the last epoch."""
        fit(self.task, frames, self.out / "training", "cpu")
        last = json.loads((self.out / "training" / "history.json").read_bytes())[-1]
        return float(last["validation"]["accuracy"])
