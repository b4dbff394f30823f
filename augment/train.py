"""Stage 6, train: the same classifier on real, on generated, and on both kinds of images, several seeds each.

Only what a training learns from differs between the arms: initial weights, number of steps, batch size, schedule, views
and the validation images that choose the best step are the same. Test images are not opened here.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from augment.fit import Examples, Task, fit
from augment.frames import Frames, cached_frames
from augment.images import ImageStore
from augment.models import pick_device
from augment.records import Document, Record, RunFolder, digest_of, item_seed
from augment.settings import Settings, as_json
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.preprocess import PreprocessSpec
from edge_runtime.images import read_image
from export.checkpoint import WEIGHTS_FILE
from export.network import build_network, load_initial_weights

STAGE = "training"
REAL, SYNTHETIC = "real", "synthetic"
# What each arm learns from. An arm that settings name must stand here.
ARMS: Mapping[str, tuple[str, ...]] = {"real": (REAL,), "synthetic": (SYNTHETIC,), "combined": (REAL, SYNTHETIC)}


@dataclass(frozen=True)
class Material:
    """The images of all trainings, one row of the frame cache each, real ones first."""

    labels: tuple[str, ...]
    records: Sequence[Record]
    splits: Sequence[str]  # of each row: train or val; generated images are always train
    kinds: Sequence[str]  # of each row: real or synthetic
    digests: Mapping[str, str]  # kind -> digest of the document that decides what there is of it

    def examples(self, split: str, kinds: tuple[str, ...]) -> Examples:
        rows = [row for row in range(len(self.records)) if self.splits[row] == split and self.kinds[row] in kinds]
        targets = [self.labels.index(self.records[row]["label"]) for row in rows]
        ids = [self.records[row]["id"] for row in rows]
        return Examples(np.array(rows, dtype=np.int64), np.array(targets, dtype=np.int64), ids)


def run(settings: Settings, folder: RunFolder) -> Document:
    """Train every arm with every seed; a record says what one learned from, how far it went and how well it did."""
    dataset, curation = folder.require("dataset"), folder.require("curation")
    material = gather(dataset, curation)
    build, initial = initial_network(settings, len(material.labels))
    inputs = {
        "parent": curation.digest,
        "settings": {
            "seed": settings.seed,
            "dataset": dataset.digest,
            "faults": list(settings.data.faults),
            **as_json(settings.train),
        },
        "models": {"initial_weights": initial},
    }
    if done := folder.finished(STAGE, **inputs):
        return done
    _check(settings, material)
    frames = _frames(settings, folder, material)
    device = pick_device(settings.device)
    records = []
    for seed in range(settings.train.seeds):  # seeds outside: a stopped run has whole comparisons, not whole arms
        for arm in settings.train.arms:
            task = plan(settings, material, arm, seed, initial, build)
            card = fit(task, frames, folder.stage(STAGE) / arm / f"seed-{seed}", device)
            records.append(_record(task, card, arm, material))
    order = {arm: place for place, arm in enumerate(settings.train.arms)}
    records.sort(key=lambda record: (order[record["arm"]], record["seed"]))
    summary = {
        "labels": list(material.labels),
        "fault_labels": _fault_labels(settings, material.labels),
        "input": _input(settings).to_json(),
    }
    return folder.write(Document(STAGE, records=records, summary=summary, **inputs))


def told(document: Document) -> str:
    """The stage in one line."""
    best = max(document.records, key=lambda record: record["validation"]["macro_f1"])
    weights = document.models["initial_weights"]["source"]
    return (
        f"{len(document.records)} trainings from {'scratch' if weights == 'none' else weights}; "
        f"best on validation: {best['id']}, macro F1 {best['validation']['macro_f1']:.3f}"
    )


def gather(dataset: Document, curation: Document) -> Material:
    """Real training and validation images, and the generated images that curation kept."""
    real = [record for record in dataset.records if record["split"] in ("train", "val")]
    kept = [record for record in curation.records if record["kept"]]
    labels = tuple(sorted({record["label"] for record in dataset.records}))
    return Material(
        labels=labels,
        records=[*real, *kept],
        splits=[record["split"] for record in real] + ["train"] * len(kept),
        kinds=[REAL] * len(real) + [SYNTHETIC] * len(kept),
        digests={REAL: dataset.digest, SYNTHETIC: curation.digest},
    )


def initial_network(settings: Settings, classes: int) -> tuple[Callable[[int], nn.Module], dict[str, str]]:
    """(a builder: seed number -> the network with its initial weights, what these weights are)."""
    section = settings.train

    def build(seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(item_seed(settings.seed, STAGE, f"seed-{seed}/initial"))
            network = build_network(section.backbone, classes, section.width)
            load_initial_weights(network, section.weights)
        return network

    return build, load_initial_weights(build_network(section.backbone, classes, section.width), section.weights)


def plan(
    settings: Settings,
    material: Material,
    arm: str,
    seed: int,
    initial: Mapping[str, str],
    build: Callable[[int], nn.Module],
) -> Task:
    """The training of `arm` with `seed`. Its key leaves out the other arms and seeds: adding one retrains nothing."""
    section = {name: value for name, value in as_json(settings.train).items() if name not in ("arms", "seeds")}
    # A generated image can't change what the real arm learns, so a new curation doesn't retrain it.
    sources = {kind: material.digests[kind] for kind in {REAL, *ARMS[arm]}}
    card = {
        "backbone": settings.train.backbone,
        "width": settings.train.width,
        "labels": list(material.labels),
        "fault_labels": _fault_labels(settings, material.labels),
        "input": _input(settings).to_json(),
        "weights": dict(initial),
        "training": {"arm": arm, "seed": seed},
    }
    return Task(
        name=f"{arm}/seed-{seed}",
        key=digest_of([section, sources, card, settings.seed]),
        section=settings.train,
        run_seed=settings.seed,
        seed=seed,
        labels=material.labels,
        training=material.examples("train", ARMS[arm]),
        validation=material.examples("val", (REAL,)),
        build=lambda: build(seed),
        card=card,
    )


def _check(settings: Settings, material: Material) -> None:
    if not len(material.examples("val", (REAL,)).rows):
        raise InputError("no validation image: raise data.validation_share, or add images, and run `rarefault dataset`")
    for arm in settings.train.arms:
        if arm not in ARMS:
            raise InputError(f"train.arms names {arm!r}, expected arms out of {', '.join(ARMS)}")
        if not len(material.examples("train", ARMS[arm]).rows):
            raise InputError(
                f"arm {arm} has no image to learn from; raise generate.floor or generate.target, or loosen curate.*, "
                "or leave the arm out of train.arms"
            )


def _frames(settings: Settings, folder: RunFolder, material: Material) -> Frames:
    store = ImageStore(settings)

    def opened(record: Record) -> Frames:
        # Only records of generated images say whether curation kept them; their paths start at the run folder.
        return read_image(folder.path / record["path"]).frame if "kept" in record else store.frame(record)

    key = dict(material.digests)
    return cached_frames(folder.stage(STAGE), material.records, _input(settings), opened, key, "training images")


def _input(settings: Settings) -> PreprocessSpec:
    return PreprocessSpec(settings.train.size, settings.train.size)


def _fault_labels(settings: Settings, labels: Sequence[str]) -> list[str]:
    return [label for label in labels if label in settings.data.faults]


def _record(task: Task, card: Mapping[str, Any], arm: str, material: Material) -> Record:
    counts = Counter((material.kinds[row], material.records[row]["label"]) for row in task.training.rows.tolist())
    done = card["training"]
    return {
        "id": task.name,
        "arm": arm,
        "seed": task.seed,
        "path": f"{STAGE}/{task.name}",
        "sha256": card["files"][WEIGHTS_FILE]["sha256"],
        "steps": done["steps"],
        "best_step": done["best_step"],
        "validation": done["validation"],
        "images": {kind: {label: counts[kind, label] for label in task.labels} for kind in (REAL, SYNTHETIC)},
    }
