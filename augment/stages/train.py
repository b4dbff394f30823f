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

from augment import record_types as types
from augment.arrays import Labels, Numbers
from augment.data.image_store import ImageStore
from augment.data.split import TRAIN, VAL
from augment.models.model_folders import pick_device
from augment.records import CURATION, DATASET, TRAINING, Document, RunFolder, StageInputs, digest_of, item_seed
from augment.settings import Settings, as_json
from augment.training.arms import REAL, SYNTHETIC, Arm, TrainingImage, parse_arm
from augment.training.finetune import Examples, Task, fit
from augment.training.frame_cache import cached_frames
from augment.training.harm_gate import HarmGate, train_gated
from augment.training.mixing import stand_ins
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.preprocess import Frames, PreprocessSpec
from edge_runtime.media.image_files import read_image
from export.network import build_network, load_initial_weights

TrainingDocument = Document[types.TrainingRecord, types.TrainingSummary]
Build = Callable[[int], nn.Module]  # seed number -> the network with its initial weights


@dataclass(frozen=True)
class Material:
    """The images of all trainings, one row of the frame cache each, real ones first."""

    labels: tuple[str, ...]
    images: Sequence[TrainingImage]
    digests: Mapping[str, str]  # real, synthetic -> digest of the document that decides what there is of it

    def examples(self, split: str, takes: Callable[[TrainingImage], bool]) -> Examples:
        """Return the images of a split that `takes` accepts; generated images are always for training."""
        rows = [row for row, image in enumerate(self.images) if _split(image) == split and takes(image)]
        targets = [self.labels.index(self.images[row].label) for row in rows]
        ids = [self.images[row].id for row in rows]
        return Examples(np.array(rows, dtype=np.int64), np.array(targets, dtype=np.int64), ids)


def _split(image: TrainingImage) -> str:
    return image.split if isinstance(image, types.DatasetRecord) else TRAIN


def _is_real(image: TrainingImage) -> bool:
    return isinstance(image, types.DatasetRecord)


def run(settings: Settings, folder: RunFolder, gate: HarmGate | None = None) -> TrainingDocument:
    """Train every arm with every seed; a record says what one learned from, how far it went and how well it did.

    `gate` decides for arms with a gate; by default the one that reads the validation predictions.
    """
    dataset, curation = folder.require(DATASET), folder.require(CURATION)
    arms = [parse_arm(name, settings.generate.methods) for name in settings.train.arms]
    material = gather(dataset, curation, arms)
    labels = material.labels
    build, initial = initial_network(settings, len(labels))
    others = {
        "seed": settings.seed,
        "dataset": dataset.digest,
        "faults": list(settings.data.faults),
        "baseline": settings.compare.baseline,  # what gates compare with
    }
    inputs = StageInputs.of(curation.digest, settings.train, others, {"initial_weights": initial})
    if done := folder.finished(TRAINING, inputs):
        return done
    _check(settings, material)
    train_one = _trainer(settings, folder, material, build, initial)
    place = folder.subfolder(TRAINING.document)

    def trained(arm: Arm, seed: int) -> types.TrainingRecord:
        task = plan(settings, material, arm, seed, initial, build)
        return _record(task, train_one(task, place / arm.name / f"seed-{seed}"), arm, material)

    # Seeds outside: a stopped run has whole comparisons, not whole arms.
    records = [trained(arm, seed) for seed in range(settings.train.seeds) for arm in arms if not arm.gated]
    gate, seeds = gate or HarmGate(settings, place), range(settings.train.seeds)
    for arm in arms:
        if arm.gated:
            records += train_gated(arm, labels, lambda arm: [trained(arm, seed) for seed in seeds], gate)
    records.sort(key=lambda record: (settings.train.arms.index(record.arm), record.seed))
    faults, spec = _fault_labels(settings, labels), _input(settings)
    summary = types.TrainingSummary(labels=list(labels), fault_labels=faults, input=spec.to_json())
    return folder.write(Document(TRAINING, inputs, records, summary))


def _trainer(
    settings: Settings, folder: RunFolder, material: Material, build: Build, initial: Mapping[str, str]
) -> Callable[[Task, Path], types.TrainingResult]:
    """Return what trains one task into a folder: the whole network, or a classifier on its frozen features."""
    device, frames = pick_device(settings.device), _frames(settings, folder, material)
    if settings.train.layers == "all":
        return lambda task, place: fit(task, frames, place, device)
    from augment.models.image_embedding import cache_folder
    from augment.training.linear_probe import FeatureCache, fit_classifier
    from export.features import feature_extractor

    section = settings.train
    place, spec = cache_folder(settings, folder), _input(settings)
    key = {"network": initial, "backbone": section.backbone, "width": section.width, "input": spec.to_json()}
    ids = [image.id for image in material.images]
    file = place / f"features-{digest_of([key])[:16]}.onnx"
    extract = feature_extractor(build(0).to(device).eval(), device, (spec.height, spec.width), file)
    cache = FeatureCache(place, frames, ids, extract, key)
    return lambda task, place: fit_classifier(task, cache, place)


def summary_line(document: TrainingDocument) -> str:
    """Say in one line what the stage did."""
    best = max(document.records, key=lambda record: record.validation["macro_f1"])
    weights = document.model("initial_weights")["source"]
    return (
        f"{len(document.records)} trainings from {'scratch' if weights == 'none' else weights}; "
        f"best on validation: {best.id}, macro F1 {best.validation['macro_f1']:.3f}"
    )


def gather(
    dataset: Document[types.DatasetRecord, Any], curation: Document[types.CurationRecord, Any], arms: Sequence[Arm]
) -> Material:
    """Gather the real training and validation images, and the generated images that an arm may take."""
    real = [image for image in dataset.records if image.split in (TRAIN, VAL)]
    wanted = [image for image in curation.records if image.path and any(arm.takes(image) for arm in arms)]
    return Material(
        labels=tuple(sorted({record.label for record in dataset.records})),
        images=[*real, *wanted],
        digests={REAL: dataset.digest, SYNTHETIC: curation.digest},
    )


def initial_network(settings: Settings, classes: int) -> tuple[Build, dict[str, str]]:
    """Return a builder (seed number -> the network with its initial weights), and what these weights are."""
    section = settings.train

    def build(seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(item_seed(settings.seed, TRAINING.document, f"seed-{seed}/initial"))
            network = build_network(section.backbone, classes, section.width)
            load_initial_weights(network, section.weights)
        return network

    return build, load_initial_weights(build_network(section.backbone, classes, section.width), section.weights)


def plan(settings: Settings, material: Material, arm: Arm, seed: int, initial: Mapping[str, str], build: Build) -> Task:
    """Plan the training of `arm` with `seed`. Its key leaves out other arms and seeds: one more retrains nothing."""
    section = {name: value for name, value in as_json(settings.train).items() if name not in ("arms", "seeds")}
    # A generated image can't change what the real arm learns, so a new curation doesn't retrain it.
    sources = {kind: material.digests[kind] for kind in {REAL, *arm.kinds}}
    training = material.examples(TRAIN, arm.takes)
    generated = np.array([not _is_real(material.images[row]) for row in training.rows.tolist()])
    shares = settings.train.synthetic_shares if generated.any() and not generated.all() else (0.0,)
    instead = stand_ins(training.targets, generated)
    drawn = ~instead if settings.train.replace else np.full(len(generated), True)

    def weights(drawn: npt.NDArray[np.bool_], share: float) -> Numbers:
        found = np.zeros(len(drawn))
        found[drawn] = weights_of(training.targets[drawn], generated[drawn], arm, share)
        return found

    card = _card(settings, material, arm, seed, initial)
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
        strong_transforms=arm.balanced,
        validation=material.examples(VAL, _is_real),
        build=lambda: build(seed),
        card=card,
    )


def _card(settings: Settings, material: Material, arm: Arm, seed: int, initial: Mapping[str, str]) -> dict[str, object]:
    """Return what the checkpoint's card says before the training."""
    return {
        "backbone": settings.train.backbone,
        "width": settings.train.width,
        "labels": list(material.labels),
        "fault_labels": _fault_labels(settings, material.labels),
        "input": _input(settings).to_json(),
        "weights": dict(initial),
        "training": {"arm": arm.name, "seed": seed},
    }


def weights_of(targets: Labels, generated: npt.NDArray[np.bool_], arm: Arm, share: float) -> Numbers:
    """Return the weight (N,) of each training example; all 1 unless the arm balances, or `share` is above 0.

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


def _check(settings: Settings, material: Material) -> None:
    for arm in settings.train.arms:
        plain = parse_arm(arm, settings.generate.methods).ungated
        if plain not in settings.train.arms:
            raise InputError(f"train.arms names {arm}, whose gate watches {plain}; name that arm too")
    if not len(material.examples(VAL, _is_real).rows):
        raise InputError("no validation image: raise data.validation_share, or add images, and run `rarefault dataset`")
    for arm in settings.train.arms:
        if not len(material.examples(TRAIN, parse_arm(arm, settings.generate.methods).takes).rows):
            raise InputError(
                f"arm {arm} has no image to learn from; raise generate.floor or generate.target, or loosen curate.*, "
                "or leave the arm out of train.arms"
            )


def _frames(settings: Settings, folder: RunFolder, material: Material) -> Frames:
    store = ImageStore(settings)

    def opened(image: TrainingImage) -> Frames:
        if isinstance(image, types.DatasetRecord):
            return store.frame(image)
        return read_image(folder.path / (image.path or "")).frame

    place = folder.subfolder(TRAINING.document)
    key = dict(material.digests)
    return cached_frames(place, material.images, _input(settings), opened, key, "training images")


def _input(settings: Settings) -> PreprocessSpec:
    return PreprocessSpec(settings.train.size, settings.train.size)


def _fault_labels(settings: Settings, labels: Sequence[str]) -> list[str]:
    return [label for label in labels if label in settings.data.faults]


def _record(task: Task, result: types.TrainingResult, arm: Arm, material: Material) -> types.TrainingRecord:
    images = [material.images[row] for row in set(task.training.rows.tolist())]
    counts = Counter((REAL if _is_real(image) else SYNTHETIC, image.label) for image in images)
    return types.TrainingRecord(
        id=task.name,
        arm=arm.name,
        seed=task.seed,
        dropped=sorted(arm.dropped),
        path=f"{TRAINING.document}/{task.name}",
        images={kind: {label: counts[kind, label] for label in task.labels} for kind in (REAL, SYNTHETIC)},
        **vars(result),
    )
