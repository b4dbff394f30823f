"""Stage 7, train: the same classifier on real, on generated, and on both kinds of images, several seeds each.

Only what a training learns from differs between the arms (and, for a classic one, the head): initial weights, number of
steps, batch size, schedule, views and the images that judge are the same. Test images are not opened here.
"""

import contextlib
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from augment import record_types as types
from augment.arrays import Labels, Numbers
from augment.data.fault_groups import can_tell_faults, resolve
from augment.data.image_store import ImageStore
from augment.data.split import TRAIN, VAL, judged_sides, learned_sides
from augment.distributed.group import ALONE, Group
from augment.distributed.processes import ProcessLost, check_processes, run_in_processes
from augment.engines.interface import Engine
from augment.engines.local import IN_THIS_PROCESS
from augment.methods import CLASSIC
from augment.models.image_embedding import cache_folder
from augment.models.model_folders import pick_device
from augment.models.registry import Models
from augment.progress import say
from augment.records import (
    CURATION,
    DATASET,
    SYNTHETIC,
    TRAINING,
    Document,
    RunFolder,
    StageInputs,
    digest_of,
    item_seed,
)
from augment.settings import Settings, as_json
from augment.spatial.end_to_end import fit_spatial
from augment.spatial.head_training import fit_head
from augment.spatial.held_out_copies import Copies, HeldOutCopies
from augment.spatial.lessons import Lessons, lessons_of
from augment.spatial.tap_cache import TapCache
from augment.training.arms import REAL, Arm, TrainingImage, parse_arms
from augment.training.arms import SYNTHETIC as GENERATED
from augment.training.cross_fit import Folds, folds_of
from augment.training.finetune import Examples, Task, finished, fit
from augment.training.frame_cache import cached_frames
from augment.training.harm_gate import HarmGate, train_gated
from augment.training.input_size import input_of
from augment.training.linear_probe import FeatureCache, fit_classifier
from augment.training.mixing import stand_ins
from edge_runtime.bundle.errors import InputError, RarefaultError
from edge_runtime.bundle.heads import BOXES, PICTURES, Pooling, SpatialHead
from edge_runtime.bundle.preprocess import Frames, PreprocessSpec
from edge_runtime.media.image_files import read_image
from export.features import ExtractTaps, feature_extractor, tap_extractor
from export.network import build_network, load_initial_weights
from export.spatial_network import HeadShape

# What a training may fail by although the others do not; anything else is a bug and ends the run.
FAILURES = (RarefaultError, torch.OutOfMemoryError, MemoryError)
TrainingDocument = Document[types.TrainingRecord, types.TrainingSummary]
Build = Callable[[int], nn.Module]  # seed number -> the network with its initial weights


@dataclass(frozen=True)
class Material:
    """The images of all trainings, one row of the frame cache each, real ones first."""

    labels: tuple[str, ...]
    images: Sequence[TrainingImage]
    digests: Mapping[str, str]  # real, synthetic -> digest of the document that decides what there is of it
    made: Mapping[str, types.GeneratedRecord] = field(default_factory=dict)  # by id: how a generated image came about

    @property
    def real(self) -> list[types.DatasetRecord]:
        """The real images for training and validation."""
        return [image for image in self.images if isinstance(image, types.DatasetRecord)]

    def examples(self, splits: Sequence[str], takes: Callable[[TrainingImage], bool]) -> Examples:
        """Return the images of the splits that `takes` accepts; generated images are always for training."""
        rows = [row for row, image in enumerate(self.images) if _split(image) in splits and takes(image)]
        targets = [self.labels.index(self.images[row].label) for row in rows]
        ids = [self.images[row].id for row in rows]
        return Examples(np.array(rows, dtype=np.int64), np.array(targets, dtype=np.int64), ids)


Sources = tuple[Material, Build, dict[str, str]]  # images, initial networks, and what their weights are


def _split(image: TrainingImage) -> str:
    return image.split if isinstance(image, types.DatasetRecord) else TRAIN


def _is_real(image: TrainingImage) -> bool:
    return isinstance(image, types.DatasetRecord)


@dataclass(frozen=True)
class Design:
    """The input and the head of the trained networks; classic arms see the whole of every picture with a class head."""

    spec: PreprocessSpec
    head: SpatialHead | None  # None: the class head
    shape: HeadShape

    @property
    def classic(self) -> "Design":
        """The same with the class head."""
        return replace(self, spec=replace(self.spec, tiles=(1, 1)), head=None)

    def card(self) -> dict[str, object]:
        """Return what the card of a checkpoint says of input and head."""
        said: dict[str, object] = {"input": self.spec.to_json()}
        if self.head:
            said["head"] = {**self.head.to_json(), "shape": self.shape.to_json()}
        return said


def design(settings: Settings, material: Material) -> Design:
    """Decide on input and head by the settings and the real training images."""
    section, data = settings.train, settings.data
    tells = can_tell_faults(material.labels, data.faults)
    spatial = section.head == "spatial" or (section.head == "auto" and tells)
    spec = input_of(section, [image for image in material.real if image.split == TRAIN], spatial)
    spec = replace(spec, radiometric=data.radiometric_rule)
    if not spatial:
        return Design(spec, None, HeadShape())
    found = resolve(material.labels, data.faults, data.groups, data.kinds)
    boxed = any(
        image.boxes and image.label in data.faults and image.split in learned_sides(settings.train.cross_fit)
        for image in material.real
    )
    pooling = Pooling.parse(section.pooling)
    shape = HeadShape(centre=section.centre if boxed else 0.0)
    return Design(spec, SpatialHead(found.groups, found.kinds, pooling, BOXES if boxed else PICTURES), shape)


def run(
    settings: Settings,
    folder: RunFolder,
    gate: HarmGate | None = None,
    engine: Engine = IN_THIS_PROCESS,
    processes: int = 1,
) -> TrainingDocument:
    """Train every arm with every seed; a record says what one learned from, how far it went and how well it did.

    `gate` decides for arms with a gate; by default the one that reads the validation predictions. So many `processes`
    share each training of a whole network; or the `engine` has several trainings done at a time.
    """
    curation, sources = folder.require(CURATION), _sources(settings, folder)
    material, _, initial = sources
    others = {
        "seed": settings.seed,
        "dataset": material.digests[REAL],
        "faults": list(settings.data.faults),
        "baseline": settings.compare.baseline,  # what gates compare with
        **{key: named for key in ("groups", "kinds") if (named := as_json(settings.data)[key])},
    }
    inputs = StageInputs.of(curation.digest, settings.train, others, {"initial_weights": initial})
    if done := folder.finished(TRAINING, inputs):
        return done
    trained = _Trained.of(settings, folder, sources, engine, processes)
    settings, whole = trained.trainers.settings, trained.trainers.design
    arms = parse_arms(settings.train.arms, settings.generate.methods)
    _check(arms, whole.head is not None)
    if processes > 1:
        _check_sharing(settings, processes, trained.trainers.device, engine)
    arms, notes = _with_images(settings, material, arms)
    records = _train_arms(settings, arms, trained, gate or HarmGate(settings, trained.place), notes)
    summary = types.TrainingSummary(
        labels=list(material.labels),
        fault_labels=_fault_labels(settings, material.labels),
        input=whole.spec.to_json(),
        head=whole.head.to_json() if whole.head else None,
        notes=notes or None,
    )
    return folder.write(Document(TRAINING, inputs, records, summary))


def _sources(settings: Settings, folder: RunFolder) -> Sources:
    """Return what trainings are made from, by the settings and documents of a run alone: any process may call this."""
    arms = parse_arms(settings.train.arms, settings.generate.methods)
    material = gather(folder.require(DATASET), folder.require(CURATION), arms, folder.require(SYNTHETIC))
    return material, *initial_network(settings, len(material.labels))


@dataclass(frozen=True)
class _Trained:
    """Trains an arm with a seed into its folder below `place`."""

    trainers: "_Trainers"
    place: Path
    initial: Mapping[str, str]
    build: Build
    engine: Engine
    processes: int

    @classmethod
    def of(
        cls,
        settings: Settings,
        folder: RunFolder,
        sources: Sources,
        engine: Engine = IN_THIS_PROCESS,
        processes: int = 1,
    ) -> "_Trained":
        """Return what trains the arms of a run; so many `processes` share each training."""
        material, build, initial = sources
        trainers = _Trainers(_with_folds_that_fit(settings, material), folder, material, build, initial)
        return cls(trainers, folder.subfolder(TRAINING.document), initial, build, engine, processes)

    def __call__(self, arm: Arm, seed: int, group: Group = ALONE) -> types.TrainingRecord:
        """Return the record of the training, which the processes of a `group` share."""
        trainers, place, task = self.trainers, self._place(arm, seed), self._task(arm, seed)
        if self.processes > 1 and finished(place, task.key) is None:
            trainers.prepare(task, arm)
            shared = _Shared(self._elsewhere, arm, seed)
            run_in_processes(shared, self.processes, trainers.device, f"train {task.name}")
        result = trainers.train(task, arm, place, group)
        return _record(task, result, arm, trainers.material)

    def ahead(self, arms: Sequence[Arm], seeds: Sequence[int]) -> None:
        """Let the engine's workers do the trainings that are not done yet, several at a time.

        What has failed there is tried again, and told, where its result is asked for.
        """
        if self.engine is IN_THIS_PROCESS:
            return
        tasks = {(arm, seed): self._task(arm, seed) for seed in seeds for arm in arms}
        left = [item for item, task in tasks.items() if finished(self._place(*item), task.key) is None]
        for arm, seed in left:
            self.trainers.prepare(tasks[arm, seed], arm)
        # A journal of this call alone: whether a training is done, its folder tells.
        journal = self.trainers.folder.journal(TRAINING, types.AheadRecord, uuid.uuid4().hex)
        self.engine.map(_Ahead(self._elsewhere), [[item] for item in left], journal, _name)

    @property
    def _elsewhere(self) -> "_Elsewhere":
        return _Elsewhere(self.trainers.settings, self.trainers.folder.path)

    def _place(self, arm: Arm, seed: int) -> Path:
        return self.place / arm.name / f"seed-{seed}"

    def _task(self, arm: Arm, seed: int) -> Task:
        trainers = self.trainers
        return plan(trainers.settings, trainers.material, arm, seed, self.initial, self.build)


@dataclass(frozen=True)
class _Elsewhere:
    """A run, as another process gets it."""

    settings: Settings
    run: Path

    def trained(self) -> _Trained:
        """Return what trains its arms there."""
        folder = RunFolder(self.run)
        return _Trained.of(self.settings, folder, _sources(self.settings, folder))


@dataclass(frozen=True)
class _Shared:
    """One training, as a process of a group gets it from the process that waits."""

    run: _Elsewhere
    arm: Arm
    seed: int

    def __call__(self, group: Group) -> None:
        """Take part in the training."""
        self.run.trained()(self.arm, self.seed, group)


@dataclass(frozen=True)
class _Ahead:
    """The work of an engine's worker: a training is an item, and its result stays in its folder."""

    run: _Elsewhere
    what: str = "trainings"

    def start(self) -> Callable[[Sequence[tuple[Arm, int]]], list[types.AheadRecord]]:
        """Read the documents of the run, and return what does the trainings of a batch."""
        trained = self.run.trained()

        def do(batch: Sequence[tuple[Arm, int]]) -> list[types.AheadRecord]:
            for arm, seed in batch:
                with contextlib.suppress(*FAILURES):
                    trained(arm, seed)
            return [types.AheadRecord(id=_name(item)) for item in batch]

        return do


def _name(item: tuple[Arm, int]) -> str:
    """Return what a training is called: arm/seed-n."""
    return f"{item[0].name}/seed-{item[1]}"


def _train_arms(
    settings: Settings, arms: Sequence[Arm], trained: _Trained, gate: HarmGate, notes: dict[str, str]
) -> list[types.TrainingRecord]:
    """Train every arm with every seed. One that fails is left out whole, and `notes` say why."""
    found: dict[str, list[types.TrainingRecord]] = {arm.name: [] for arm in arms}
    labels, failures = trained.trainers.material.labels, []

    def attempt(arm: Arm, seeds: Sequence[int]) -> None:
        if arm.name not in found:
            return

        def of_seeds(arm: Arm) -> list[types.TrainingRecord]:
            trained.ahead([arm] if arm.gated else [], seeds)
            return [trained(arm, seed) for seed in seeds]

        try:
            found[arm.name] += train_gated(arm, labels, of_seeds, gate) if arm.gated else of_seeds(arm)
        except ProcessLost:
            raise  # nothing is wrong with the arm
        except FAILURES as error:
            failures.append(error)
            del found[arm.name]
            notes[arm.name] = f"is left out, since its training failed: {str(error) or type(error).__name__}"
            say(f"arm {arm.name} {notes[arm.name]}")

    seeds = range(settings.train.seeds)
    trained.ahead([arm for arm in arms if not arm.gated], seeds)
    for seed in seeds:  # outside: a stopped run has whole comparisons, not whole arms
        for arm in arms:
            if not arm.gated:
                attempt(arm, [seed])
    for arm in arms:
        if arm.gated:  # fails where one of the arms that its gate compares was left out
            attempt(arm, seeds)
    if not any(found.values()):
        raise failures[-1]
    records = [record for own in found.values() for record in own]
    return sorted(records, key=lambda record: (settings.train.arms.index(record.arm), record.seed))


class _Trainers:
    """Trains tasks, each as its arm asks for; what the trainings share is computed when the first one needs it."""

    def __init__(
        self, settings: Settings, folder: RunFolder, material: Material, build: Build, initial: Mapping[str, str]
    ) -> None:
        self.models = Models(settings)
        arms = parse_arms(settings.train.arms, settings.generate.methods)
        self.watched = {arm.ungated for arm in arms if arm.gated}  # whose traces a gate reads
        self.settings, self.folder, self.material, self.build = settings, folder, material, build
        self.device = pick_device(settings.device)
        self.design = design(settings, material)
        self.key = {"network": initial, "backbone": settings.train.backbone, "width": settings.train.width}
        self.cache = cache_folder(settings, folder)

    def train(self, task: Task, arm: Arm, place: Path, group: Group = ALONE) -> types.TrainingResult:
        """Train one task into a folder: the whole network, or what ends it on frozen features."""
        spatial, whole = self._is_spatial(arm), self.settings.train.layers == "all"
        copies = self._copies(arm) if spatial else {}
        if spatial and whole:
            return fit_spatial(task, self.lessons, self.taps, place, self.device, copies, group)
        if spatial:
            return fit_head(task, self.lessons, self.taps, place, copies)
        if whole:
            return fit(task, self.whole_frames, place, self.device, group)
        return fit_classifier(task, self.features, place)

    def prepare(self, task: Task, arm: Arm) -> None:
        """Write what a training in other processes will read, so that none of them has to write it."""
        whole = self.settings.train.layers == "all"
        if self._is_spatial(arm):
            self._copies(arm)
            if not whole or self.settings.train.weights != "none":
                self.taps.fill(np.concatenate([task.training.rows, task.validation.rows]))
        elif not whole:
            self.features.of(task.training.rows, task.strong_transforms)
            self.features.of(task.validation.rows, False)
        else:
            self.whole_frames  # noqa: B018  # made where it is absent

    def _is_spatial(self, arm: Arm) -> bool:
        return self.design.head is not None and not arm.classic

    def _copies(self, arm: Arm) -> Copies:
        """Return the changed copies of held-out pictures that the training of `arm` judges."""
        return self.copies.of(arm.named(self.settings.generate.methods) if arm.ungated in self.watched else ())

    @cached_property
    def frames(self) -> Frames:
        """The pictures on the canvas of the design's input."""
        return _frames(self.settings, self.folder, self.material, self.design.spec, "")

    @cached_property
    def whole_frames(self) -> Frames:
        """The pictures as the class head sees them: whole, at the size of the input."""
        spec = self.design.classic.spec
        if spec == self.design.spec:
            return self.frames
        return _frames(self.settings, self.folder, self.material, spec, "untiled")

    @cached_property
    def lessons(self) -> Lessons:
        """What the pictures teach a spatial head."""
        assert self.design.head is not None  # asked for by arms that train one
        return lessons_of(
            self.material.images,
            self.material.made,
            self.material.labels,
            self.design.head,
            self.design.shape,
            self.design.spec,
            self.settings.train.generated_weight,
            lambda made: read_image(self.folder.path / (made.path or "")).frame.shape[:2],
        )

    @cached_property
    def features(self) -> FeatureCache:
        """The features of the class head."""
        spec = self.design.classic.spec
        key = {**self.key, "input": spec.to_json()}
        extract = feature_extractor(*self._frozen(spec), self.cache / f"features-{digest_of([key])[:16]}.onnx")
        return FeatureCache(self.cache, self.whole_frames, self._ids, extract, key)

    @cached_property
    def taps(self) -> TapCache:
        """The features of a spatial head."""
        spec = self.design.spec
        return TapCache(self.cache, self.frames, self._ids, spec, lambda images: self.extract(images), self.key)

    @cached_property
    def extract(self) -> ExtractTaps:
        """What computes the features of a spatial head; a network that is trained from nothing needs none."""
        spec = self.design.spec
        key = {**self.key, "input": [spec.height, spec.width]}
        return tap_extractor(*self._frozen(spec), self.cache / f"taps-{digest_of([key])[:16]}.onnx")

    @cached_property
    def copies(self) -> HeldOutCopies:
        """What makes the changed copies of held-out pictures that the gate reads."""
        place = self.folder.subfolder(TRAINING.document) / "copies"
        return HeldOutCopies(self.settings, self.material.real, self.taps, place, lambda: self.models.painter)

    @property
    def _ids(self) -> list[str]:
        return [image.id for image in self.material.images]

    def _frozen(self, spec: PreprocessSpec) -> tuple[nn.Module, str, tuple[int, int]]:
        """Return the backbone, where it runs, and the size of its input."""
        return self.build(0).to(self.device).eval(), self.device, (spec.height, spec.width)


def summary_line(document: TrainingDocument) -> str:
    """Say in one line what the stage did."""
    best = max(document.records, key=lambda record: record.validation["macro_f1"])
    weights = document.model("initial_weights")["source"]
    return (
        f"{len(document.records)} trainings from {'scratch' if weights == 'none' else weights}; "
        f"best on validation: {best.id}, macro F1 {best.validation['macro_f1']:.3f}"
    )


def gather(
    dataset: Document[types.DatasetRecord, Any],
    curation: Document[types.CurationRecord, Any],
    arms: Sequence[Arm],
    synthetic: Document[types.GeneratedRecord, Any] | None = None,
) -> Material:
    """Gather the real training and validation images, and the generated images that an arm may take."""
    real = [image for image in dataset.records if image.split in (TRAIN, VAL)]
    wanted = [image for image in curation.records if image.path and any(arm.takes(image) for arm in arms)]
    return Material(
        labels=tuple(sorted({record.label for record in dataset.records})),
        images=[*real, *wanted],
        digests={REAL: dataset.digest, GENERATED: curation.digest},
        made={record.id: record for record in synthetic.records} if synthetic else {},
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
    training = material.examples(learned_sides(settings.train.cross_fit), arm.takes)
    generated = np.array([not _is_real(material.images[row]) for row in training.rows.tolist()])
    shares = settings.train.synthetic_shares if generated.any() and not generated.all() else (0.0,)
    instead = stand_ins(training.targets, generated)
    drawn = ~instead if settings.train.replace else np.full(len(generated), True)

    def weights(drawn: npt.NDArray[np.bool_], share: float) -> Numbers:
        found = np.zeros(len(drawn))
        found[drawn] = weights_of(training.targets[drawn], generated[drawn], arm, share)
        return found

    held_out = _judged(settings, material)
    card = _card(settings, material, arm, seed, initial)
    return Task(
        name=_name((arm, seed)),
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
        validation=held_out,
        build=lambda: build(seed),
        card=card,
        folds=_folds(settings, material, training) if settings.train.cross_fit else None,
    )


def _judged(settings: Settings, material: Material) -> Examples:
    """Return the real images that judge a training: without any for validation, which the dataset stage tells, those
    that it learns from."""
    held_out = material.examples(judged_sides(settings.train.cross_fit), _is_real)
    return held_out if len(held_out.rows) else material.examples((TRAIN,), _is_real)


def _folds(settings: Settings, material: Material, training: Examples) -> Folds:
    examples = [material.images[row] for row in training.rows.tolist()]
    seed = item_seed(settings.seed, TRAINING.document, "folds")
    return folds_of(examples, material.real, material.made, settings.train.cross_fit, seed)


def _card(settings: Settings, material: Material, arm: Arm, seed: int, initial: Mapping[str, str]) -> dict[str, object]:
    """Return what the checkpoint's card says before the training."""
    whole = design(settings, material)
    return {
        "backbone": settings.train.backbone,
        "width": settings.train.width,
        "labels": list(material.labels),
        "fault_labels": _fault_labels(settings, material.labels),
        **(whole.classic if arm.classic else whole).card(),
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


def _check_sharing(settings: Settings, processes: int, device: str, engine: Engine) -> None:
    """Raise a RarefaultError where so many processes cannot share the trainings that the settings ask for."""
    section, asked = settings.train, f"--processes is {processes}, but"
    if engine is not IN_THIS_PROCESS:
        raise InputError(
            f"{asked} --engine has several trainings done at a time; share one, or do several: leave one of the two out"
        )
    if section.layers != "all":
        raise InputError(
            f"{asked} train.layers is {section.layers}, which is one small problem for each training and is not "
            "shared; leave --processes out, or set train.layers to all"
        )
    if section.synthetic_norm:
        raise InputError(
            f"{asked} train.synthetic_norm keeps batch norms of its own for generated images, of which a process may "
            "have none in its share of a batch; leave --processes out, or set train.synthetic_norm to false"
        )
    if section.batch_size < processes:
        raise InputError(
            f"{asked} train.batch_size is {section.batch_size}: each needs an image of every batch; ask for fewer"
        )
    check_processes(processes, device)


def _check(arms: Sequence[Arm], spatial: bool) -> None:
    for arm in arms:
        if arm.balanced and not arm.classic and spatial:
            raise InputError(
                f"train.arms names {arm.name}, but a spatial head weighs rare classes by itself; leave balanced out, "
                f"or add {CLASSIC} for the class head"
            )


def _with_folds_that_fit(settings: Settings, material: Material) -> Settings:
    """Return settings without more cross-fitting than the real images have groups for; without any where a class would
    be missing from what a fold learns."""
    asked, groups = settings.train.cross_fit, {image.group for image in material.real}
    if len(groups) >= asked:
        return settings
    of_class = Counter(label for label, _ in {(image.label, image.group) for image in material.real})
    folds = len(groups) if min(of_class.values()) > 1 else 0
    say(
        f"train.cross_fit is {asked}, but the training and validation images are {len(groups)} groups: {folds} is taken"
    )
    return replace(settings, train=replace(settings.train, cross_fit=folds))


def _with_images(settings: Settings, material: Material, arms: Sequence[Arm]) -> tuple[list[Arm], dict[str, str]]:
    """Return the arms that have an image to learn from; of the others, and of those with less than their name, why.

    A generator that does not know the equipment may leave none of its images; the other arms still give a classifier.
    """
    left, notes = [], {}
    for arm in arms:
        rows = material.examples(learned_sides(settings.train.cross_fit), arm.takes).rows.tolist()
        if not rows:
            notes[arm.name] = "has no image to learn from, so it is left out"
        elif GENERATED in arm.kinds and all(_is_real(material.images[row]) for row in rows):
            notes[arm.name] = "has no generated image that was kept, so it learns from real images alone"
        if rows:
            left.append(arm)
    for name, note in notes.items():
        say(f"arm {name} {note}")
    if not left:
        raise InputError(
            f"none of train.arms ({', '.join(settings.train.arms)}) has an image to learn from; name an arm with real "
            "images, such as real"
        )
    return left, notes


def _frames(settings: Settings, folder: RunFolder, material: Material, spec: PreprocessSpec, below: str) -> Frames:
    store = ImageStore(settings)

    def opened(image: TrainingImage) -> Frames:
        if isinstance(image, types.DatasetRecord):
            return store.frame(image)
        return read_image(folder.path / (image.path or "")).frame

    place = folder.subfolder(TRAINING.document) / below
    place.mkdir(exist_ok=True)
    return cached_frames(place, material.images, spec, opened, dict(material.digests), "training images")


def _fault_labels(settings: Settings, labels: Sequence[str]) -> list[str]:
    return [label for label in labels if label in settings.data.faults]


def _record(task: Task, result: types.TrainingResult, arm: Arm, material: Material) -> types.TrainingRecord:
    images = [material.images[row] for row in set(task.training.rows.tolist())]
    counts = Counter((REAL if _is_real(image) else GENERATED, image.label) for image in images)
    return types.TrainingRecord(
        id=task.name,
        arm=arm.name,
        seed=task.seed,
        dropped=sorted(arm.dropped),
        path=f"{TRAINING.document}/{task.name}",
        images={kind: {label: counts[kind, label] for label in task.labels} for kind in (REAL, GENERATED)},
        **vars(result),
    )
