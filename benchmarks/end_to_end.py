"""Does training the whole network bring more than a spatial head on a frozen backbone? One fold, the same pictures.

    python -m benchmarks.end_to_end prepare OUT --data FOLDER --boxes FOLDER --fault LABEL --group NAME=LABEL,LABEL
    for run in frozen whole; do
      for stage in dataset caption refine adapt generate curate train; do rarefault $stage OUT/$run/pipeline.toml; done
    done
    python -m benchmarks.end_to_end measure OUT...

`prepare` writes two pipelines that differ in what is trained. A run that was stopped goes on where it was, and may be
ended once its arm `real` is there. `measure` asks both about the test fold: thresholds are those of the validation
pictures, by the same rule. Of several folds it tells the share of all pictures that are told right, too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from augment.arrays import Numbers
from augment.data.image_store import ImageStore
from augment.evaluation.metrics import draw, interval, metrics, resample
from augment.evaluation.tables import percent, points
from augment.presets import PRESETS
from augment.records import DATASET, RunFolder
from augment.settings import DataSettings, load_settings, write_once
from augment.spatial.spot_answers import Pictures, Trained, pointing
from benchmarks.draws import named_groups
from edge_runtime.bundle.heads import SpatialHead
from export.checkpoint import load_checkpoint
from export.parity import torch_runner

Told = tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], list[str]]
"""Of the test pictures of a fold, which show a fault, of which it is told, and the group of each."""

FROZEN, WHOLE = "frozen", "whole"
ARM = "real"
# 16 pictures a step, as many as a processor's memory takes at 384 pixels; the backbone keeps most of what it knows.
RECIPE = {"batch_size": 16, "learning_rate": 1e-3, "backbone_rate": 0.1, "weight_decay": 0.02, "ema": 0.98}


@click.group()
def main() -> None:
    """Compare a frozen backbone with one that learns."""


@main.command()
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--data", required=True)
@click.option("--boxes", default="")
@click.option("--fault", "faults", multiple=True, required=True)
@click.option("--group", "groups", multiple=True, help="NAME=LABEL,LABEL")
@click.option("--size", default=384, show_default=True)
@click.option("--steps", default=248, show_default=True, help="of the whole network")
@click.option("--fold", default=0, show_default=True)
@click.option("--random", is_flag=True, help="deal single pictures into the folds, not whole groups")
def prepare(
    out: Path, data: str, boxes: str, faults: tuple[str, ...], groups: tuple[str, ...], size: int, steps: int,
    fold: int, random: bool,
) -> None:  # fmt: skip
    """Write OUT/frozen/pipeline.toml and OUT/whole/pipeline.toml."""
    images = DataSettings(source=data, boxes=boxes, faults=faults, groups=named_groups(groups), folds=5, fold=fold)
    if random:
        images = images.unrelated()
    preset = PRESETS["mini"]
    common = replace(
        preset.train,
        arms=(ARM, f"{ARM}+classic"), seeds=1, backbone="efficientnet_lite0", width=64, weights="imagenet",
        head="spatial", size=size, aspect="native",
    )  # fmt: skip
    often = max(1, steps // 8)
    trains = {
        FROZEN: replace(common, layers="classifier"),
        WHOLE: replace(common, layers="all", steps=steps, evaluate_every=often, patience=8, **RECIPE),
    }
    for run, train in trains.items():
        settings = replace(
            preset,
            cache=str((out / "cache").resolve()),
            data=images,
            caption=replace(preset.caption, per_class=1),  # no arm has pictures that a prompt made
            refine=replace(preset.refine, variants=1, attempts=3, meaning="lexical"),
            generate=replace(preset.generate, methods=("heal",), rounds=1),
            train=train,
            compare=replace(preset.compare, baseline=f"{ARM}+classic", candidate=ARM),
            export=replace(preset.export, arm=ARM),
        )
        write_once(settings, out / run / "pipeline.toml", str(out / run))


@main.command()
@click.argument(
    "outs", metavar="OUT...", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, file_okay=False)
)
def measure(outs: tuple[Path, ...]) -> None:
    """Print a line of figures for each run that has been trained, then both over all folds where both are there."""
    told: dict[str, list[Told]] = {FROZEN: [], WHOLE: []}
    for out in outs:
        trained = [run for run in told if (out / run / "training" / ARM / "seed-0" / "card.json").exists()]
        found = {run: measured(out / run) for run in trained}
        for run, (figures, _) in found.items():
            print(f"| {out.name}/{run} | {' | '.join(f'{n} {v:.3f}' for n, v in figures.items())} |", flush=True)
        if len(found) == len(told):
            for run, (_, answers) in found.items():
                told[run].append(answers)
    if told[WHOLE]:
        print("\n".join(over_folds(told)))


def over_folds(told: Mapping[str, Sequence[Told]]) -> list[str]:
    """Return lines that say how often fault or not is told right at one half, over the pictures of all folds.

    Intervals of 95 % are over groups of pictures alone: each fold has one training, and 2,000 resamples draw groups.
    """
    faulty = np.concatenate([faulty for faulty, _, _ in told[FROZEN]]).astype(np.int64)
    groups = [group for _, _, of_fold in told[FROZEN] for group in of_fold]
    draws = draw(faulty, groups, 1, 2000, np.random.default_rng(0))
    said = {run: np.concatenate([likely for _, likely, _ in folds]).astype(np.int64) for run, folds in told.items()}
    drawn = {run: resample(faulty, one[None], groups, 2, draws).metrics["accuracy"] for run, one in said.items()}
    right = {run: float((one == faulty).mean()) for run, one in said.items()}
    gained = interval(right[WHOLE] - right[FROZEN], drawn[WHOLE] - drawn[FROZEN], 0.95)
    lines = [f"{run}, {len(faulty)} pictures: {percent(interval(right[run], drawn[run], 0.95))}" for run in told]
    return [*lines, f"{WHOLE} minus {FROZEN}: {points(gained)}"]


def measured(run: Path) -> tuple[dict[str, float], Told]:
    """Test accuracy of a run; for each fault, AUC (painted over too) and recall beside its equipment, and pointing.

    Whether a picture shows a fault is told twice: by the run's thresholds, and where its probability is over a half,
    which is returned for each picture too.
    """
    checkpoint = run / "training" / ARM / "seed-0"
    trained, settings = Trained.read(checkpoint), load_settings(run / "pipeline.toml")
    head, labels = trained.head, trained.held_out.labels
    assert isinstance(head, SpatialHead)
    records = [record for record in RunFolder(run).require(DATASET).records if record.split == "test"]
    pictures = Pictures(records, ImageStore(settings), settings.seed)
    answered = pictures.answers_of({ARM: (torch_runner(load_checkpoint(checkpoint)[0]), trained)})[ARM]
    rule = trained.rule(settings.data.faults, 0.0)
    targets = np.array([labels.index(record.label) for record in records])
    found = metrics(targets, rule.probabilities(answered.as_is).argmax(axis=1))
    named = np.array([record.label for record in records])
    points = pointing(trained.peaks(answered.maps, records, named.tolist()), records)
    flagged = np.array([bool(rule.decide(scores).flagged) for scores in answered.as_is])
    faulty = np.isin(named, settings.data.faults)
    found["fault or not"] = float((flagged == faulty).mean())
    likely = (trained.log_odds(answered.as_is, head, rule) > 0).any(axis=1)
    found["fault or not at one half"] = float((likely == faulty).mean())
    for group in head.groups:
        healthy = named == group.healthy
        found[f"specificity {group.name}"] = 1 - float(flagged[healthy].mean())
        for kind, label in group.faults.items():
            own, column = named == label, len(head.groups) + head.kinds.index(kind)
            found[f"recall {label}"] = float(flagged[own].mean())
            found[f"AUC {label}"] = _auc(answered.as_is[own, column], answered.as_is[healthy, column])
            found[f"pointing {label}"] = float(np.mean(points[own]))
            found[f"painted AUC {label}"] = _auc(answered.painted[own, column], answered.as_is[healthy, column])
    return found, (faulty, likely, [record.group for record in records])


def _auc(faults: Numbers, healthy: Numbers) -> float:
    """The share of pairs in which the fault has the higher score; NaN where faults have none."""
    if np.isnan(faults).any():
        return float("nan")
    return float(roc_auc_score([1] * len(faults) + [0] * len(healthy), np.concatenate([faults, healthy])))


if __name__ == "__main__":
    main()
