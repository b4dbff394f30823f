"""Does the way back from a station make the next model better? On real pictures, through the real parts.

    python -m benchmarks.feedback_loop ../shared/data/substation_thermal --out OUT --draws 5 \
        --boxes ../shared/data/substation_thermal_boxes --fault line_hotspot --fault substation_hotspot \
        --group line=line_normal,line_hotspot --group substation=substation_normal,substation_hotspot

Each draw sets whole groups of pictures apart for testing, and cuts the others in two halves by groups. A model is
trained on the first half and packed. The second half streams as a night: each picture is seen by a camera of its own
for a few frames with a sensor's noise, through the station's evaluator, votes, events and outbox. A SCRIPT that knows
what is true, not a person, judges the alarms; `edge-station feedback` writes archives, `rarefault feedback` takes
them into a copy of the run, and `rarefault run` goes on there. In a third run the script has labelled the hard
examples of that night as well, as somebody at central does by `rarefault label`. The fourth has the whole second half
with its labels and boxes, which is the most that any night could bring.

Measured on the test pictures, which nothing of this has touched: recall of the faults at 90 % specificity, where the
map points, AUC; and what the packed bundles flag at their own thresholds. Intervals are of the mean over draws
(Student's t, 95 %), those of differences are paired by draw. Resumes where it stopped; OUT/results.json holds every
figure.
"""

import csv
import json
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import click
import cv2
import numpy as np

from augment.cli import run_pipeline
from augment.data.feedback import read_feedback
from augment.data.image_store import ImageStore
from augment.data.split import stratified_folds
from augment.feedback.take import take_feedback
from augment.json_objects import write_json
from augment.progress import say
from augment.record_types import DatasetRecord
from augment.records import DATASET, RunFolder, item_seed
from augment.settings import DataSettings, Settings, load_settings
from augment.stages import dataset
from augment.updates.fleet import Fleet
from benchmarks.draws import data_section, pooled, settings_of, spot_figures, train
from benchmarks.watch.station import ENGINE, PRECISION
from edge_runtime.alerts.alarm_rules import AlarmRules
from edge_runtime.alerts.events import ALARM, SAMPLE, JudgedView, Reporter
from edge_runtime.alerts.outbox import Entry, Outbox
from edge_runtime.alerts.outbox_spool import OutboxSpool
from edge_runtime.alerts.sample_selection import SampleSelector
from edge_runtime.alerts.settings import DecisionSection, SamplesSection
from edge_runtime.bundle.files import replace_file
from edge_runtime.bundle.store import open_bundle
from edge_runtime.clock import Clock
from edge_runtime.inference.engines import load_engine
from edge_runtime.inference.evaluator import Evaluator
from edge_runtime.judgements.records import Judgement, Verdict, judge_event
from edge_runtime.judgements.store import Judgements
from edge_runtime.station.feedback.archives import write_archives
from edge_runtime.station.settings import load_station_settings
from edge_runtime.updates.identity.station_key import open_station_key
from edge_runtime.updates.state import UPDATES
from tests.support.night_clips import sensed

STAGES = ["dataset", "caption", "refine", "adapt", "generate", "curate", "train", "compare", "export"]
RUNS = ("before", "alarms", "alarms and hard examples", "whole half")
PAIRS = tuple((run, "before") for run in RUNS[1:])
FRAMES, SECOND = 4, 1.0  # that a camera sees of its picture, and the time between two
STATION = "night"
TEST_SHARE = 0.3


@dataclass(frozen=True)
class Draw:
    """One draw: its folder, settings for its runs, and the records of the data set by their role."""

    folder: Path
    settings: Settings
    root: Path  # of the pictures
    test: Sequence[DatasetRecord]
    first: Sequence[DatasetRecord]
    second: Sequence[DatasetRecord]


@click.command()
@click.argument("data", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--boxes", default="")
@click.option("--fault", "faults", multiple=True, required=True)
@click.option("--group", "groups", multiple=True, help="NAME=LABEL,LABEL: conditions of one kind of equipment.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--draws", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--size", type=click.IntRange(min=64), default=384, show_default=True, help="Long side of the input.")
def main(
    data: Path, boxes: str, faults: tuple[str, ...], groups: tuple[str, ...], out: Path, draws: int, size: int
) -> None:
    """Measure what comes back."""
    section = replace(data_section(data, boxes, faults, groups), test_share=TEST_SHARE)
    found = []
    for number in range(draws):
        found.append(measured(prepare(section, out.resolve(), number, size)))
        write_json(out / "results.json", {"size": size, "draws": found, "pooled": pooled(found, RUNS, PAIRS)})
        say(f"draw {number + 1} of {draws} done")
    click.echo("The alarms were judged by a script that knows what is true; no person took part.")
    click.echo(json.dumps(pooled(found, RUNS, PAIRS), indent=1))


def prepare(section: DataSettings, out: Path, number: int, size: int) -> Draw:
    """Split the data of one draw; a second call gives the same."""
    settings = settings_of(section, out, number, size)
    folder = out / f"draw-{number}"
    records = dataset.run(settings, RunFolder(folder / "split")).records
    if not (folder / "images").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for record in records:
            target = folder / "images" / record.path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path(section.source) / record.path, target)
    rest = sorted((record for record in records if record.split != "test"), key=lambda record: record.id)
    folds = stratified_folds(
        [record.label for record in rest],
        [record.group for record in rest],
        2,
        item_seed(number, "feedback loop", "halves"),
    )
    halves = [[rest[at] for at in fold] for fold in folds]
    test = [record for record in records if record.split == "test"]
    return Draw(folder, settings, folder / "images", test, halves[0], halves[1])


def measured(draw: Draw) -> dict[str, object]:
    """Train, stream, judge, feed back and train again; return the figures of every run, and what came back."""
    before = trained(draw, "before", draw.first)
    bundle = open_bundle(draw.folder / "before" / "bundle")
    state, cameras = night(draw, Evaluator(bundle, load_engine(bundle, ENGINE, PRECISION)))
    figures: dict[str, object] = {"before": before}
    for name, kinds in ((RUNS[1], (ALARM,)), (RUNS[2], (ALARM, SAMPLE))):
        figures[name] = fed_back(draw, name, state, cameras, kinds)
    figures[RUNS[3]] = trained(draw, RUNS[3], [*draw.first, *draw.second])
    return {**figures, "first half": len(draw.first), "second half": len(draw.second), "test": len(draw.test)}


def trained(draw: Draw, name: str, rows: Sequence[DatasetRecord]) -> dict[str, float]:
    """Run the pipeline on these records and the test pictures, and return what it measures on the latter."""
    folder = draw.folder / name
    manifest = draw.folder / f"{name}.csv"
    _write_manifest(manifest, rows, draw.test)
    train(draw.settings, manifest, folder, STAGES)
    return figures_of(draw, folder)


def _write_manifest(path: Path, rows: Sequence[DatasetRecord], test: Sequence[DatasetRecord]) -> None:
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("path", "label", "group", "split", "x", "y", "w", "h"))
        for record, side in [*((one, "trainval") for one in rows), *((one, "test") for one in test)]:
            for box in record.boxes or ([""] * 4,):
                table.writerow((f"images/{record.path}", record.label, record.group, side, *box))


def night(draw: Draw, evaluator: Evaluator) -> tuple[Path, dict[str, DatasetRecord]]:
    """Stream the second half through evaluator, votes and outbox; return the state folder, and who saw what."""
    state, done = draw.folder / "night" / "state", draw.folder / "night" / "done"
    order = np.random.default_rng(item_seed(draw.settings.seed, "feedback loop", "night")).permutation(len(draw.second))
    cameras = {f"view-{place:04d}": draw.second[at] for place, at in enumerate(order.tolist())}
    if done.exists():
        return state, cameras
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True)
    bundle, decision = evaluator.bundle, DecisionSection()
    rules = {camera: decision.rule(camera, bundle.manifest.rule(evaluator.engine.precision)) for camera in cameras}
    cv2.setRNGSeed(draw.settings.seed)
    with closing(Outbox(state, ())) as outbox:
        samples = SampleSelector(SamplesSection())
        alarms = AlarmRules(rules, Reporter(STATION, bundle), OutboxSpool(outbox), Clock(), samples)
        for camera, record in cameras.items():
            picture = cv2.imread(str(draw.root / record.path))
            now = time.monotonic()
            for number in range(FRAMES):
                frame = sensed(picture, 1.0)
                evaluation = evaluator.evaluate(frame, alarms.rule(camera))
                alarms.add(JudgedView(camera, frame, evaluation, now + (number - FRAMES) * SECOND))
    replace_file(done, b"")
    return state, cameras


def fed_back(
    draw: Draw, name: str, night_state: Path, cameras: Mapping[str, DatasetRecord], kinds: Sequence[str]
) -> dict[str, float]:
    """Judge the events of these kinds, bring them home, and run on in a copy of the first run."""
    folder, station, run = draw.folder / name, draw.folder / f"{name} station", draw.folder / name
    if not (station / "done").exists():
        shutil.rmtree(station, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(night_state, station / "state")
        _judge(station / "state", cameras, kinds, draw.settings.data)
        (station / "station.toml").write_text(f'[station]\nname = "{STATION}"\nstate_dir = "state"\n')
        written = write_archives(load_station_settings(station / "station.toml"), station / "stick")
        Fleet(station / "fleet").enrol(open_station_key(station / "state" / UPDATES).public, "all", STATION)
        shutil.copytree(draw.folder / "before", run, ignore=shutil.ignore_patterns("bundle", "report"))
        taken = take_feedback(run, [station / "stick"], station / "fleet")
        say(f"{name}: {len(written)} archives, {taken.entries} judgements, {len(taken.document.records)} records")
        replace_file(station / "done", b"")
    run_pipeline(run / "pipeline.toml", STAGES)
    document = read_feedback(run / "feedback")
    assert document is not None
    used = [record for record in RunFolder(run).require(DATASET).records if record.origin == "feedback"]
    counts = {
        "judged": float(document.summary.judged),
        "records": float(len(used)),
        "faults among them": float(sum(record.label in draw.settings.data.faults for record in used)),
        "left out": float(len(document.summary.left_out)),
    }
    return {**figures_of(draw, run), **counts}


def _judge(state: Path, cameras: Mapping[str, DatasetRecord], kinds: Sequence[str], data: DataSettings) -> None:
    """Say of each event of these kinds what is true."""
    with closing(Outbox(state, ())) as outbox, closing(Judgements(state)) as judgements:
        for kind in kinds:
            for entry in _all(outbox, kind):
                judgements.add(_said(entry, cameras[entry.camera], data))


def _all(outbox: Outbox, kind: str) -> Iterator[Entry]:
    after = 0
    while page := outbox.oldest(kind, after):
        yield from page
        after = page[-1].seq


def _said(entry: Entry, truth: DatasetRecord, data: DataSettings) -> Judgement:
    """Return what somebody says who knows the truth: where equipment was mistaken, the class by its name."""
    label = entry.document["label"]
    scale = (truth.width, truth.height) * 2
    boxes = [[min(1.0, side / of) for side, of in zip(box, scale, strict=True)] for box in truth.boxes]
    if truth.label == label:
        return judge_event(entry.document, Verdict.RIGHT, "script", "operator", boxes=boxes)
    same = any(label in members and truth.label in members for members in data.groups.values())
    if same and label in data.faults and truth.label not in data.faults:
        return judge_event(entry.document, Verdict.WRONG, "script", "operator")
    return judge_event(entry.document, Verdict.OTHER, "script", "operator", truth.label, boxes)


def figures_of(draw: Draw, run: Path) -> dict[str, float]:
    """Return what the map does on the test pictures, and what the bundle flags by itself."""
    return {**spot_figures(RunFolder(run)), **_flagged(draw, run)}


def _flagged(draw: Draw, run: Path) -> dict[str, float]:
    """Return the shares of fault pictures that the bundle flags by name, and of healthy ones that it leaves alone."""
    bundle, store = open_bundle(run / "bundle"), ImageStore(load_settings(run))
    evaluator, right = Evaluator(bundle, load_engine(bundle, ENGINE, PRECISION)), Counter[bool]()
    total = Counter[bool]()
    for record in RunFolder(run).require(DATASET).records:
        if record.split != "test":
            continue
        decision = evaluator.evaluate_all([(store.frame(record), bundle.manifest.rule(PRECISION))])[0].decision
        flagged, faulty = decision.flagged if decision else (), record.label in draw.settings.data.faults
        total[faulty] += 1
        right[faulty] += record.label in flagged if faulty else not flagged
    return {"flagged by name": right[True] / total[True], "healthy left alone": right[False] / total[False]}


if __name__ == "__main__":
    main()
