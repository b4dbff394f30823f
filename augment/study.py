"""`rarefault benchmark`: every arm over several draws, all measured on the same test images, in one table.

A draw is one or more whole runs of the pipeline. On rendered scenes it has its own training and validation images,
generated images and initial weights, and the test images are common to all draws; so the intervals hold the luck of
the draw, which is most of it where a class has four images. On real images a draw is a group-wise k-fold: every image
is tested once, and its fold's captions, generated images and classifier have seen the training part only.

The study of spots asks whether a classifier sees the fault itself: the spatial head beside the class head, with and
without healed pictures, all under thresholds from the same cross-fitted predictions on four fifths of the images.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from augment.arrays import Labels, Numbers
from augment.data.sources import check_source
from augment.evaluation.arm_comparison import Truth, by_argmax, summarise
from augment.evaluation.metrics import draw, interval, resample
from augment.evaluation.pooling import Compared, join_folds, stack_draws
from augment.json_objects import as_plain, write_json
from augment.mini.archive import Share, write_archive
from augment.mini.scenes import COUNTERPARTS, FAULT_LABELS, LABELS
from augment.presets import PRESETS
from augment.progress import say
from augment.record_types import ComparisonRecord, ComparisonSummary, Interval, PlainJson, TrainedArm, TrainingRecord
from augment.records import ADAPTER, COMPARISON, TRAINING, RunFolder, item_seed
from augment.settings import DataSettings, Settings, as_json, load_settings, write_once
from augment.stages import compare
from augment.stages.compare import temperature
from augment.training.arms import BALANCED, GATE, UNCURATED
from edge_runtime.bundle.errors import InputError

RESULTS = "results.json"
BASELINE = "real+balanced"
SCENES, ELPV, PETS, IMAGES, SPOTS = "scenes", "elpv", "oxford-pets", "images", "spots"
SPECTRUM = ("img2img-0.3", "img2img-0.5", "img2img-0.7", "img2img-0.9")
CONTROLS = ("codec", "render-catalogue", "render-station")  # what curation would rightly throw out: taken uncurated
SCENES_COMBINED = ("text2img", "edit-0.7", "adapted-text2img", "adapted-edit-0.7")
SCENES_METHODS = (*SCENES_COMBINED, *SPECTRUM, *CONTROLS)
# Rendered images per class: healthy equipment, faults.
TRAIN, VALIDATION, TEST = (20, 4), (10, 4), (50, 200)
GENERATED = 24  # images per class and method
GENERATED_PHOTOS = 20
FOLDS = 5
# The two-class task of Deitsch et al. 2019, Solar Energy 185: defective is a defect probability of a half or more.
ELPV_FAULTS = ("mono_67", "mono_100", "poly_67", "poly_100")
PHOTO_SIZE = 224  # pixels: a hotspot of 8 pixels of 384 still has 4
SHARES = (0.2, 0.5, 0.8)  # of generated images, by weight; validation chooses
# How a study of spots deals images into folds: look-alikes together, blocks of consecutive numbers together (as if each
# were one visit), or every image by itself, which leaks and is there to compare with what was published.
SPLITS: dict[str, Callable[[DataSettings], DataSettings]] = {
    "groups": lambda data: data,
    "blocks": lambda data: replace(data, blocks=12),
    "random": DataSettings.unrelated,
}
CLASSIC, REAL, HEALED = "real+classic", "real", "real+heal"


@dataclass(frozen=True)
class Plan:
    """The runs of one benchmark: a pipeline.toml per draw, or per draw and fold."""

    out: Path
    draws: Sequence[Sequence[Path]]

    @property
    def pipelines(self) -> list[Path]:
        """Every pipeline of the study, draw by draw."""
        return [pipeline for draw in self.draws for pipeline in draw]


@dataclass(frozen=True)
class Ask:
    """What is asked of a study beside its name; what a study does not use is left alone.

    `data` is what the settings of every run say of the images. `hosts` are those of `generate.hosts`; with them,
    transplanted faults are compared too. `preset`, for the photographs, takes the arms and all else from a preset. For
    spots, `split` is one of SPLITS and `size` the long side of the input in pixels.
    """

    data: DataSettings = field(default_factory=DataSettings)
    hosts: Mapping[str, str] = field(default_factory=dict)
    preset: str = ""
    split: str = "groups"
    size: int = 384


def prepare(name: str, out: Path, draws: int, ask: Ask) -> Plan:
    """Write the settings of every run below `out`, and render what is rendered. A second call changes nothing."""
    if name == SCENES:
        return Plan(out, [[_prepare_scenes(out, draw)] for draw in range(draws)])
    if name == ELPV:
        data = replace(ask.data, source=ask.data.source or "elpv-dataset", faults=ask.data.faults or ELPV_FAULTS)
        ask = replace(ask, data=data)
    if not ask.data.source:
        raise InputError(f"benchmark {name} needs --data, the folder or manifest of its images")
    folds = 1 if name == PETS else FOLDS  # the pets come with a test list of their own

    def settings_of(draw: int) -> Settings:
        if name == SPOTS:
            return _spots(out, ask, draw)
        return _by_preset(out, ask, draw) if ask.preset else _photos(out, ask, draw)

    plans = [[_prepare_fold(settings_of(draw), out, fold, folds) for fold in range(folds)] for draw in range(draws)]
    return Plan(out, plans)


def _prepare_fold(settings: Settings, out: Path, fold: int, folds: int) -> Path:
    if folds > 1:
        settings = replace(settings, data=replace(settings.data, folds=folds, fold=fold))
    check_source(settings)
    return _write(out / f"draw-{settings.seed}" / f"fold-{fold}", settings)


def _by_preset(out: Path, ask: Ask, draw: int) -> Settings:
    preset = PRESETS[ask.preset]
    generate = replace(preset.generate, hosts=dict(ask.hosts) or preset.generate.hosts)
    return replace(preset, seed=draw, cache=_cache(out), data=ask.data, generate=generate)


def _cache(out: Path) -> str:
    return str((out / "cache").resolve())


def _spots(out: Path, ask: Ask, draw: int) -> Settings:
    """Return the preset `cpu`: spatial head on a frozen backbone, class head beside it, healed pictures given boxes."""
    preset, arms = PRESETS["cpu"], (CLASSIC, REAL, *([HEALED] if ask.data.boxes else []))
    return replace(
        preset,
        seed=draw,
        cache=_cache(out),
        data=SPLITS[ask.split](ask.data),
        train=replace(preset.train, arms=arms, head="spatial", size=ask.size),
        compare=replace(preset.compare, baseline=CLASSIC, candidate=arms[-1]),
        export=replace(preset.export, arm=arms[-1]),
    )


def _prepare_scenes(out: Path, draw: int) -> Path:
    folder = out / f"draw-{draw}"
    shares = {
        "train": Share(_counts(*TRAIN), item_seed(draw, "benchmark", "train")),
        "val": Share(_counts(*VALIDATION), item_seed(draw, "benchmark", "val")),
        "test": Share(_counts(*TEST), item_seed(0, "benchmark", "test")),
    }
    manifest = folder / "station" / "manifest.csv"
    data = DataSettings(source=str(manifest.resolve()), faults=FAULT_LABELS).unrelated()
    settings = _settings(out, draw, data, SCENES_METHODS, SCENES_COMBINED, size=96)
    section = replace(settings.generate, floor=GENERATED, cap=GENERATED, hosts=dict(COUNTERPARTS))
    say(f"rendering the images of draw {draw} into {folder / 'station'}")
    write_archive(folder / "station", shares)
    return _write(folder, replace(settings, generate=section))


def _counts(healthy: int, fault: int) -> dict[str, int]:
    return {label: fault if label in FAULT_LABELS else healthy for label in LABELS}


def _photos(out: Path, ask: Ask, draw: int) -> Settings:
    boxed = ("edit-0.7", "inpaint-0.9", "transplant") if ask.hosts else ()
    combined = ("text2img", "img2img-0.5", *boxed)
    settings = _settings(out, draw, ask.data, (*combined, "codec"), combined, size=PHOTO_SIZE)
    return replace(
        settings,
        # The mini models tell one photograph hardly from another: a few captions and one prompt for each will do.
        caption=replace(settings.caption, per_class=GENERATED_PHOTOS),
        refine=replace(settings.refine, variants=1, attempts=3, meaning="lexical"),
        generate=replace(settings.generate, floor=GENERATED_PHOTOS, cap=GENERATED_PHOTOS, hosts=dict(ask.hosts)),
    )


def _settings(
    out: Path, draw: int, data: DataSettings, methods: tuple[str, ...], combined: tuple[str, ...], size: int
) -> Settings:
    """Make settings for the mini generator, and a classifier on frozen ImageNet features, which few images can train.

    Sound equipment gets generated images too, or their look alone would tell a fault.
    """
    preset = PRESETS["mini"]
    everything = "+".join((BASELINE, *combined))
    singles = [f"{BASELINE}+{method}" + (f"+{UNCURATED}" if method in CONTROLS else "") for method in methods]
    return replace(
        preset,
        seed=draw,
        cache=_cache(out),
        data=data,
        generate=replace(preset.generate, methods=methods, target=0, rounds=1),
        train=replace(
            preset.train,
            backbone="efficientnet_lite0",
            width=64,
            weights="imagenet",
            layers="classifier",
            head="class",
            size=size,
            synthetic_shares=SHARES,
            arms=(
                "real",
                # Uncurated, or it might have no image at all.
                "+".join((BALANCED, *combined, UNCURATED)),
                BASELINE,
                *singles,
                f"{everything}+{UNCURATED}",  # what is curation worth?
                everything,
                f"{everything}+{GATE}",
            ),
            seeds=1,
        ),
        compare=replace(preset.compare, baseline=BASELINE, candidate=f"{everything}+{GATE}"),
        export=replace(preset.export, arm=BASELINE),
    )


def _write(folder: Path, settings: Settings) -> Path:
    pipeline = folder / "pipeline.toml"
    write_once(settings, pipeline, "this benchmark")
    return pipeline


def pool(plan: Plan, baseline: str = "") -> ComparisonSummary:
    """Compare the arms over all draws together and write OUT/results.json; return the comparison.

    `baseline` is an arm to compare with instead of that of the settings. An arm that some draw left out is left out.
    Raises InputError where the draws were not measured on the same test images, and where one of the two arms that are
    held against each other was left out.
    """
    draws = [[RunFolder(pipeline.parent) for pipeline in runs] for runs in plan.draws]
    settings = replace(load_settings(plan.draws[0][0]), seed=0)
    if baseline:
        settings = replace(settings, compare=replace(settings.compare, baseline=baseline))
    tested = [_tested(folders) for folders in draws]
    names = sorted(tested[0])
    if any(sorted(found) != names for found in tested):
        raise InputError(f"the draws below {plan.out} differ in their test images; remove the folder and run again")
    training = draws[0][0].require(TRAINING)
    _require_compared(settings, [folder for folders in draws for folder in folders])
    trainings = _trainings(settings, draws)
    measured: PlainJson = {}
    if training.summary.head:
        whole = stack_draws([join_folds([_compared(folder) for folder in folders]) for folders in draws])
        summary = summarise(settings, trainings, whole.truth, whole.answers, whole.spots)
        measured = {"even_odds": as_plain(_even_odds(settings, whole))}
    else:
        labels, faults = tuple(training.summary.labels), tuple(training.summary.fault_labels)
        targets = np.array([labels.index(tested[0][name].label) for name in names])
        truth = Truth(labels, faults, targets, [tested[0][name].group for name in names])
        logits = {}
        for own in trainings:
            found = _logits(draws[own.seed], own.arm)
            logits[own.id] = np.stack([found[name] for name in names])
        summary = summarise(settings, trainings, truth, by_argmax(truth, trainings, logits))
    results: PlainJson = {
        "draws": len(draws),
        "folds": len(draws[0]),
        "settings": as_json(
            replace(settings, cache="", data=replace(settings.data, source="", boxes="", feedback="", fold=0))
        ),
        "images": _images(training.records),
        "adapters": [as_plain(folder.require(ADAPTER).summary) for folders in draws for folder in folders],
        **as_plain(summary),
        **measured,
    }
    write_json(plan.out / RESULTS, results)
    return summary


def _compared(folder: RunFolder) -> Compared:
    return compare.compared(load_settings(folder.path), folder)


def _even_odds(settings: Settings, whole: Compared) -> dict[str, Interval]:
    """Return for each arm how often fault or not is told right where a fault is what is likelier than not.

    That is how papers answer a question of two classes; thresholds that weigh a missed fault higher are not asked.
    """
    truth, section = whole.truth, settings.compare
    is_fault = np.isin(truth.targets, truth.fault_classes).astype(np.int64)
    generator = np.random.default_rng(item_seed(settings.seed, "comparison", "even odds"))
    found = {}
    for arm, scores in whole.spots.scores.items():
        answered: Labels = np.any(scores.as_is > 0, axis=2).astype(np.int64)
        draws = draw(is_fault, truth.groups, len(answered), section.resamples, generator)
        resampled = resample(is_fault, answered, truth.groups, 2, draws).metrics["accuracy"]
        found[arm] = interval(float((answered == is_fault).mean()), resampled, section.confidence)
    return found


def _tested(folders: Sequence[RunFolder]) -> dict[str, ComparisonRecord]:
    """Return the test images of one draw by id. Raises InputError where two folds tested one image."""
    records = [record for folder in folders for record in folder.require(COMPARISON).records]
    found = {record.id: record for record in records}
    if len(found) < len(records):
        raise InputError(f"two folds beside {folders[0].path} tested the same image; remove them and run again")
    return found


def _logits(folders: Sequence[RunFolder], arm: str) -> dict[str, Numbers]:
    """Return the calibrated logits (K,) of one arm for every test image of a draw, by id."""
    found: dict[str, Numbers] = {}
    for folder in folders:
        ids = [record.id for record in folder.require(COMPARISON).records]
        path = folder.path / "comparison" / "logits" / arm / "seed-0.safetensors"
        calibrated = load_file(path)["logits"] / temperature(folder.path / "training" / arm / "seed-0")
        found |= dict(zip(ids, calibrated, strict=True))
    return found


def _require_compared(settings: Settings, runs: Sequence[RunFolder]) -> None:
    """Raise InputError where a run has no training of the two arms that are held against each other."""
    for run in runs:
        training = run.require(TRAINING)
        trained = {record.arm for record in training.records}
        for arm in (settings.compare.baseline, settings.compare.candidate):
            if arm not in trained:
                why = (training.summary.notes or {}).get(arm, "was not trained")
                raise InputError(
                    f"arm {arm} of {run.path} {why}; mend that, remove {run.path / TRAINING.document} and run it again"
                )


def _trainings(settings: Settings, draws: Sequence[Sequence[RunFolder]]) -> list[TrainedArm]:
    """Return a training for each draw and arm; an arm that some run left out is left out."""
    runs = [{record.arm for record in run.require(TRAINING).records} for folders in draws for run in folders]
    arms = [arm for arm in settings.train.arms if all(arm in run for run in runs)]
    return [
        TrainedArm(id=f"{arm}/draw-{draw}", arm=arm, seed=draw, dropped=_dropped(folders, arm))
        for draw, folders in enumerate(draws)
        for arm in arms
    ]


def _dropped(folders: Sequence[RunFolder], arm: str) -> list[str]:
    """Return the labels whose generated images the gate kept out of an arm in some fold."""
    trainings = [record for folder in folders for record in folder.require(TRAINING).records]
    return sorted({label for record in trainings if record.arm == arm for label in record.dropped})


def _images(records: Sequence[TrainingRecord]) -> Mapping[str, dict[str, int]]:
    """Count the training images of each arm, real and generated, in the first run."""
    return {record.arm: {kind: sum(of.values()) for kind, of in record.images.items()} for record in records}
