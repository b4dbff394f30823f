"""Do the first answers help more in the order that `rarefault label` proposes than at random? On real pictures.

    python -m benchmarks.labelling_gain ../shared/data/substation_thermal --out OUT --draws 5 \
        --boxes ../shared/data/substation_thermal_boxes --fault line_hotspot --fault substation_hotspot \
        --group line=line_normal,line_hotspot --group substation=substation_normal,substation_hotspot

Each draw sets whole groups of pictures apart for testing, which stay as they are. Of the others it hides the boxes of
30 % of the boxed pictures and flips 5 % of the labels, each to another condition of the same equipment. A model is
trained on that, the pictures are put in order by the code of `rarefault label --run`, and a SCRIPT, not a person,
answers --answers of them from what it knows to be true: the first ones in that order, or as many at random. Both are
trained again from scratch, and so is the data set with every error mended, as the best that answers could do. Measured
on the test pictures: recall of the faults at 90 % specificity of the held-out healthy ones, where the map points, AUC;
and how many of the flipped labels and hidden boxes were found. Intervals are of the mean over draws (Student's t,
95 %), those of differences are paired by draw. Resumes where it stopped; OUT/results.json holds every figure.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from augment.json_objects import write_json
from augment.labelling.exports import Row, write_manifest
from augment.labelling.items import SourceItems
from augment.labelling.pictures import Looks, list_pictures
from augment.models.image_embedding import Fingerprints
from augment.progress import say
from augment.records import RunFolder, item_seed
from augment.settings import DataSettings, Settings, load_settings
from augment.stages import dataset
from benchmarks.draws import data_section, of_manifest, pooled, settings_of, spot_figures, train
from edge_runtime.labelling.items import Box

HIDDEN, FLIPPED = 0.30, 0.05  # shares: of boxed pictures that lose their boxes, of pictures that get a wrong label
ARMS = ("damaged", "random", "proposed", "mended")
PAIRS = (("proposed", "random"), ("proposed", "damaged"), ("random", "damaged"), ("mended", "damaged"))
STAGES = ["dataset", "caption", "refine", "adapt", "generate", "curate", "train", "compare"]


@dataclass(frozen=True)
class Truth:
    """What is true of one picture, at `path` from the folder of the data."""

    path: str
    label: str
    boxes: tuple[Box, ...]
    group: str
    test: bool


@dataclass(frozen=True)
class Draw:
    """One draw: its folder, its settings, what is true, and the damaged rows that are learnt from."""

    folder: Path
    settings: Settings
    truth: Mapping[str, Truth]
    damaged: Mapping[str, Row]

    @property
    def flipped(self) -> set[str]:
        """The paths whose label is wrong."""
        return {path for path, row in self.damaged.items() if row.label != self.truth[path].label}

    @property
    def unboxed(self) -> set[str]:
        """The paths of faults whose boxes are hidden, those with a wrong label too."""
        return {path for path, row in self.damaged.items() if self.truth[path].boxes and not row.boxes}


@click.command()
@click.argument("data", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--boxes", default="")
@click.option("--fault", "faults", multiple=True, required=True)
@click.option("--group", "groups", multiple=True, help="NAME=LABEL,LABEL: conditions of one kind of equipment.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--draws", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--answers", type=click.IntRange(min=1), default=200, show_default=True)
@click.option("--size", type=click.IntRange(min=64), default=384, show_default=True, help="Long side of the input.")
@click.option(
    "--order-only", is_flag=True, help="Train nothing: what an order without a run finds, in a minute a draw."
)
def main(
    data: Path,
    boxes: str,
    faults: tuple[str, ...],
    groups: tuple[str, ...],
    out: Path,
    draws: int,
    answers: int,
    size: int,
    order_only: bool,
) -> None:
    """Measure the gain of the proposed order."""
    section = data_section(data, boxes, faults, groups)
    found = []
    for number in range(draws):
        draw = prepare(section, out, number, size)
        if order_only:
            click.echo(json.dumps(found_first(draw, proposed_order(draw, None)[:answers], answers)))
            continue
        found.append(measure(draw, answers))
        write_json(
            out / "results.json",
            {"answers": answers, "size": size, "draws": found, "pooled": pooled(found, ARMS, PAIRS)},
        )
        say(f"draw {number + 1} of {draws} done")
    if order_only:
        return
    click.echo("The answers come from a script that knows what is true; no person took part.")
    click.echo(json.dumps(pooled(found, ARMS, PAIRS), indent=1))


def prepare(section: DataSettings, out: Path, number: int, size: int) -> Draw:
    """Split and damage the data of one draw; a second call gives the same."""
    settings = settings_of(section, out, number, size)
    folder = out / f"draw-{number}"
    known = dataset.run(settings, RunFolder(folder / "split"))
    root = Path(section.source)
    truth = {
        record.path: Truth(record.path, record.label, _boxes(record.boxes), record.group, record.split == "test")
        for record in known.records
    }
    _link(root, folder / "data")
    return Draw(folder, settings, truth, damage(truth, section, number))


def _boxes(given: Sequence[Sequence[float]]) -> tuple[Box, ...]:
    return tuple((box[0], box[1], box[2], box[3]) for box in given)


def _link(root: Path, place: Path) -> None:
    """Make the pictures appear below `place`, beside which manifests are written."""
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(root, place, ignore=shutil.ignore_patterns("*.txt", "*.xml", "*.json"))


def damage(truth: Mapping[str, Truth], section: DataSettings, number: int) -> dict[str, Row]:
    """Return the rows of the pictures that are learnt from, with boxes hidden and labels flipped."""
    rng = np.random.default_rng(item_seed(number, "labelling gain", "damage"))
    learnt = sorted(path for path, one in truth.items() if not one.test)
    boxed = [path for path in learnt if truth[path].boxes]
    hidden = set(rng.choice(boxed, round(HIDDEN * len(boxed)), replace=False).tolist())
    flipped = set(rng.choice(learnt, round(FLIPPED * len(learnt)), replace=False).tolist())
    rows = {}
    for path in learnt:
        one = truth[path]
        label, boxes = one.label, () if path in hidden else one.boxes
        if path in flipped:
            others = [name for labels in section.groups.values() if label in labels for name in labels if name != label]
            label, boxes = str(rng.choice(others)), ()
        rows[path] = Row(path, label, boxes, one.group, "trainval")
    return rows


def measure(draw: Draw, answers: int) -> dict[str, object]:
    """Train every arm of a draw and return its figures."""
    rows = dict(draw.damaged)
    figures: dict[str, object] = {"damaged": trained(draw, "damaged", rows)}
    order = proposed_order(draw, draw.folder / "damaged")
    rng = np.random.default_rng(item_seed(draw.settings.seed, "labelling gain", "random"))
    asked = {
        "random": rng.permutation(sorted(rows)).tolist()[:answers],
        "proposed": order[:answers],
        "mended": sorted(rows),
    }
    for arm in ARMS[1:]:
        mended = {path: answered(draw, path) if path in set(asked[arm]) else row for path, row in rows.items()}
        found = set(asked[arm])
        figures[arm] = {
            **trained(draw, arm, mended),
            "label_errors_found": len(found & draw.flipped) / max(1, len(draw.flipped)),
            "boxes_found": len(found & draw.unboxed) / max(1, len(draw.unboxed)),
        }
    return {**figures, "flipped": len(draw.flipped), "hidden": len(draw.unboxed), "learnt_from": len(rows)}


def answered(draw: Draw, path: str) -> Row:
    """Return what the script says of a picture: the truth."""
    one = draw.truth[path]
    return Row(path, one.label, one.boxes, one.group, "trainval", "script", "2000-01-01T00:00:00+00:00")


def written(draw: Draw, name: str, rows: Mapping[str, Row], with_tests: bool) -> Path:
    """Write the manifest of an arm beside the pictures; test pictures are in it as they are."""
    tests = [Row(t.path, t.label, t.boxes, t.group, "test") for t in draw.truth.values() if t.test and with_tests]
    path = draw.folder / f"{name}.csv"
    write_manifest(path, draw.folder / "data", sorted([*rows.values(), *tests], key=lambda row: row.path))
    return path


def trained(draw: Draw, arm: str, rows: Mapping[str, Row]) -> dict[str, float]:
    """Run the pipeline on the rows and return what it measures on the test pictures."""
    train(draw.settings, written(draw, arm, rows, with_tests=True), draw.folder / arm, STAGES)
    return spot_figures(RunFolder(draw.folder / arm))


def found_first(draw: Draw, first: Sequence[str], answers: int) -> dict[str, object]:
    """Return how many of the flipped labels and hidden boxes are among the `first` pictures."""
    found = set(first)
    return {
        "label_errors_found": [len(found & draw.flipped), len(draw.flipped)],
        "boxes_found": [len(found & draw.unboxed), len(draw.unboxed)],
        "at_random": round(min(1.0, answers / len(draw.damaged)), 3),
    }


def proposed_order(draw: Draw, run: Path | None) -> list[str]:
    """Return the paths in the order of `rarefault label DATA --run RUN` after the training on damaged data.

    Without a run it is the order of `rarefault label DATA`.
    """
    manifest = written(draw, "to-label", draw.damaged, with_tests=False)
    settings = of_manifest(load_settings(run) if run else draw.settings, manifest)
    listed = list_pictures(settings.data)
    labels = sorted({row.label for row in draw.damaged.values()})
    items = SourceItems(settings, listed, labels, [name for name in labels if name in settings.data.faults])
    place = RunFolder(run or draw.folder / "split")
    items.look_at_all(Looks(settings, listed, Fingerprints(settings, place, "cpu")), run)
    order = [item.id.removeprefix("data/") for item in items.order]
    write_json(draw.folder / "order.json", [[item.id, item.reason, item.rival, item.chance] for item in items.order])
    return order


if __name__ == "__main__":
    main()
