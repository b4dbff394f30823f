"""Stage 7, train: the same classifier on real, on generated, and on both kinds of images, several seeds each.

Only what a training learns from differs between the arms: initial weights, number of steps, batch size, schedule, views
and the validation images that choose the best step are the same. Test images are not opened here.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from augment.arrays import Labels
from augment.data.image_store import ImageStore
from augment.models.model_folders import pick_device
from augment.records import Document, Record, RunFolder, digest_of, item_seed
from augment.settings import Settings, as_json
from augment.training.arms import REAL, SYNTHETIC, Arm, parse_arm
from augment.training.finetune import Examples, Task, fit
from augment.training.frame_cache import cached_frames
from augment.training.harm_gate import HarmGate, train_gated
from augment.training.mixing import stand_ins
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.preprocess import Frames, PreprocessSpec
from edge_runtime.media.image_files import read_image
from export.checkpoint import WEIGHTS_FILE
from export.network import build_network, load_initial_weights

STAGE = "training"


@dataclass(frozen=True)
class Material:
    """The images of all trainings, one row of the frame cache each, real ones first."""

    labels: tuple[str, ...]
    records: Sequence[Record]
    splits: Sequence[str]  # of each row: train or val; generated images are always train
    kinds: Sequence[str]  # of each row: real, or the method that generated it
    digests: Mapping[str, str]  # real, synthetic -> digest of the document that decides what there is of it

    def examples(self, split: str, takes: Callable[[str, Record], bool]) -> Examples:
        """The images of a split whose kind and record `takes` accepts."""
        facts = zip(self.splits, self.kinds, self.records, strict=True)
        rows = [row for row, (side, kind, record) in enumerate(facts) if side == split and takes(kind, record)]
        targets = [self.labels.index(self.records[row]["label"]) for row in rows]
        ids = [self.records[row]["id"] for row in rows]
        return Examples(np.array(rows, dtype=np.int64), np.array(targets, dtype=np.int64), ids)


def run(settings: Settings, folder: RunFolder) -> Document:
    """Train every arm with every seed; a record says what one learned from, how far it went and how well it did."""
    dataset, curation = folder.require("dataset"), folder.require("curation")
    arms = [parse_arm(name, settings.generate.methods) for name in settings.train.arms]
    material = gather(dataset, curation, arms)
    build, initial = initial_network(settings, len(material.labels))
    inputs = {
        "parent": curation.digest,
        "settings": {
            "seed": settings.seed,
            "dataset": dataset.digest,
            "faults": list(settings.data.faults),
            "baseline": settings.compare.baseline,  # what gates compare with
            **as_json(settings.train),
        },
        "models": {"initial_weights": initial},
    }
    if done := folder.finished(STAGE, **inputs):
        return done
    _check(settings, material)
    frames = _frames(settings, folder, material)
    train_one = _trainer(settings, folder, material, frames, build, initial)

    def trained(arm: Arm, seed: int) -> Record:
        task = plan(settings, material, arm, seed, initial, build)
        return _record(task, train_one(task, folder.stage(STAGE) / arm.name / f"seed-{seed}"), arm, material)

    # Seeds outside: a stopped run has whole comparisons, not whole arms.
    records = [trained(arm, seed) for seed in range(settings.train.seeds) for arm in arms if not arm.gated]
    gate, seeds = HarmGate(settings, folder.stage(STAGE)), range(settings.train.seeds)
    for arm in arms:
        if arm.gated:
            records += train_gated(arm, material.labels, lambda arm: [trained(arm, seed) for seed in seeds], gate)
    order = {arm: place for place, arm in enumerate(settings.train.arms)}
    records.sort(key=lambda record: (order[record["arm"]], record["seed"]))
    summary = {
        "labels": list(material.labels),
        "fault_labels": _fault_labels(settings, material.labels),
        "input": _input(settings).to_json(),
    }
    return folder.write(Document(STAGE, records=records, summary=summary, **inputs))


def _trainer(
    settings: Settings,
    folder: RunFolder,
    material: Material,
    frames: Frames,
    build: Callable[[int], nn.Module],
    initial: Mapping[str, str],
) -> Callable[[Task, Path], dict[str, Any]]:
    """How one task is trained into a folder: the whole network, or a classifier on its frozen features."""
    device = pick_device(settings.device)
    if settings.train.layers == "all":
        return lambda task, place: fit(task, frames, place, device)
    from augment.models.image_embedding import cache_folder
    from augment.training.linear_probe import FeatureCache, fit_classifier
    from export.features import feature_extractor

    section = settings.train
    key = {
        "network": initial,
        "backbone": section.backbone,
        "width": section.width,
        "input": _input(settings).to_json(),
    }
    ids = [record["id"] for record in material.records]
    place, spec = cache_folder(settings, folder), _input(settings)
    file = place / f"features-{digest_of([key])[:16]}.onnx"
    extract = feature_extractor(build(0).to(device).eval(), device, (spec.height, spec.width), file)
    cache = FeatureCache(place, frames, ids, extract, key)
    return lambda task, place: fit_classifier(task, cache, place)


def told(document: Document) -> str:
    """The stage in one line."""
    best = max(document.records, key=lambda record: record["validation"]["macro_f1"])
    weights = document.models["initial_weights"]["source"]
    return (
        f"{len(document.records)} trainings from {'scratch' if weights == 'none' else weights}; "
        f"best on validation: {best['id']}, macro F1 {best['validation']['macro_f1']:.3f}"
    )


def gather(dataset: Document, curation: Document, arms: Sequence[Arm]) -> Material:
    """Real training and validation images, and the generated images that an arm may take."""
    real = [record for record in dataset.records if record["split"] in ("train", "val")]
    kept = [
        record
        for record in curation.records
        if record["path"] and any(arm.takes(record["method"], record) for arm in arms)
    ]
    labels = tuple(sorted({record["label"] for record in dataset.records}))
    return Material(
        labels=labels,
        records=[*real, *kept],
        splits=[record["split"] for record in real] + ["train"] * len(kept),
        kinds=[REAL] * len(real) + [record["method"] for record in kept],
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
    arm: Arm,
    seed: int,
    initial: Mapping[str, str],
    build: Callable[[int], nn.Module],
) -> Task:
    """The training of `arm` with `seed`. Its key leaves out the other arms and seeds: adding one retrains nothing."""
    section = {name: value for name, value in as_json(settings.train).items() if name not in ("arms", "seeds")}
    # A generated image can't change what the real arm learns, so a new curation doesn't retrain it.
    sources = {kind: material.digests[kind] for kind in {REAL, *arm.kinds}}
    training = material.examples("train", arm.takes)
    generated = np.array([material.kinds[row] != REAL for row in training.rows.tolist()])
    shares = settings.train.synthetic_shares if generated.any() and not generated.all() else (0.0,)
    instead = stand_ins(training.targets, generated)
    drawn = ~instead if settings.train.replace else np.full(len(generated), True)

    def weights(drawn: npt.NDArray[np.bool_], share: float) -> npt.NDArray[np.float64]:
        found = np.zeros(len(drawn))
        found[drawn] = weights_of(training.targets[drawn], generated[drawn], arm, share)
        return found

    card = {
        "backbone": settings.train.backbone,
        "width": settings.train.width,
        "labels": list(material.labels),
        "fault_labels": _fault_labels(settings, material.labels),
        "input": _input(settings).to_json(),
        "weights": dict(initial),
        "training": {"arm": arm.name, "seed": seed},
    }
    return Task(
        name=f"{arm.name}/seed-{seed}",
        key=digest_of([section, sources, card, settings.seed, sorted(arm.dropped)]),
        section=settings.train,
        run_seed=settings.seed,
        seed=seed,
        labels=material.labels,
        training=training,
        generated=generated,
        stand_ins=instead,
        weightings={share: weights(drawn, share) for share in shares},
        last_weights=weights(~instead, 0.0),
        strong_views=arm.balanced,
        validation=material.examples("val", _is_real),
        build=lambda: build(seed),
        card=card,
    )


def weights_of(targets: Labels, generated: npt.NDArray[np.bool_], arm: Arm, share: float) -> npt.NDArray[np.float64]:
    """(N,) weight of each training example; all 1 unless the arm balances, or `share` is above 0.

    Balanced: every class weighs the same. `share` is what generated images together weigh in a class that has both
    kinds (DataDream, Kim et al. 2024, arXiv:2407.10910, takes 0.2).
    """
    weights = np.ones(len(targets))
    for label in np.unique(targets):
        own = targets == label
        if arm.balanced:
            weights[own] = len(targets) / own.sum()
        kinds = (own & ~generated, 1 - share), (own & generated, share)
        if share and all(rows.any() for rows, _ in kinds):
            whole = weights[own].sum()
            for rows, part in kinds:
                weights[rows] = whole * part / rows.sum()
    return weights


def _is_real(kind: str, _record: Record) -> bool:
    return kind == REAL


def _check(settings: Settings, material: Material) -> None:
    for arm in settings.train.arms:
        plain = parse_arm(arm, settings.generate.methods).ungated
        if plain not in settings.train.arms:
            raise InputError(f"train.arms names {arm}, whose gate watches {plain}; name that arm too")
    if not len(material.examples("val", _is_real).rows):
        raise InputError("no validation image: raise data.validation_share, or add images, and run `rarefault dataset`")
    for arm in settings.train.arms:
        if not len(material.examples("train", parse_arm(arm, settings.generate.methods).takes).rows):
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


def _record(task: Task, card: Mapping[str, Any], arm: Arm, material: Material) -> Record:
    counts = Counter(
        (REAL if material.kinds[row] == REAL else SYNTHETIC, material.records[row]["label"])
        for row in set(task.training.rows.tolist())
    )
    done = card["training"]
    return {
        "id": task.name,
        "arm": arm.name,
        "seed": task.seed,
        "dropped": sorted(arm.dropped),
        "path": f"{STAGE}/{task.name}",
        "sha256": card["files"][WEIGHTS_FILE]["sha256"],
        "steps": done["steps"],
        "best_step": done["best_step"],
        "validation": done["validation"],
        "images": {kind: {label: counts[kind, label] for label in task.labels} for kind in (REAL, SYNTHETIC)},
    }
