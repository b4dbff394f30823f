"""A night on real photographs, RTSP to broker: `python -m benchmarks.night_watch RUN [--minutes 9] [--out DIR]`.

RUN is a finished run with a bundle. Its test images become films (`watch/film.py` says what those are and what they are
not): every photograph of a fault is seen by a camera of its own for ten seconds at a drawn moment, and some of healthy
equipment all the time. GStreamer's RTSP server streams them to `edge-station run` with its own rates, votes and checks,
and a subscriber at mosquitto hears what is told.

Printed: which fault was told by which name and how soon, false alarms per camera-hour, and what was watched by the
station's own account. Beside that, what the model alone says of the same photographs, whether it still says so when the
spot is painted out, or an equal area elsewhere, and how often the hottest cell of the map touches the spot, of all true
alarms and of all faults that the model names. All alarms' heat maps go to DIR.

Needs mosquitto, ffmpeg and Debian's gir1.2-gst-rtsp-server-1.0, and 35 MB on disk for each camera.
"""

import shutil
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import cv2

from augment.data.image_store import ImageStore
from augment.records import DATASET, RunFolder
from augment.settings import load_settings
from benchmarks.watch.count import Count, count_alarms, share
from benchmarks.watch.film import HOT_SECONDS, View, choose_views, make_films
from benchmarks.watch.model import Opinion, ask_model
from benchmarks.watch.sheet import write_pictures
from benchmarks.watch.station import ENGINE, PRECISION, Night, watch
from edge_runtime.bundle.store import open_bundle
from edge_runtime.inference.engines import load_engine
from edge_runtime.inference.evaluator import Evaluator


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--minutes", type=click.IntRange(min=2), default=9, show_default=True)
@click.option(
    "--healthy", type=click.IntRange(min=0), default=20, show_default=True, help="Cameras on healthy equipment."
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for the alarms' pictures.")
@click.option("--seed", type=int, default=0, show_default=True)
def main(run: Path, minutes: int, healthy: int, out: Path | None, seed: int) -> None:
    """Film, watch, count."""
    bundle, store, seconds = open_bundle(run / "bundle"), ImageStore(load_settings(run)), 60 * minutes
    records = [record for record in RunFolder(run).require(DATASET).records if record.split == "test"]
    views = choose_views(records, bundle.manifest.fault_labels, store, healthy, seconds, seed)
    opinions = ask_model(views, Evaluator(bundle, load_engine(bundle, ENGINE, PRECISION)))
    cv2.setRNGSeed(seed)
    with tempfile.TemporaryDirectory(prefix="night-watch-") as folder:
        make_films(views, Path(folder) / "films", seconds)
        click.echo(f"{len(views)} films are made", err=True)
        night = watch(Path(folder), bundle.folder, [view.camera for view in views], seconds)
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path(folder) / "station.log", out)
    count = count_alarms(views, night.alarms, night.began, night.ended)
    hot = [view for view in views if view.camera in count.found]
    sound_views = [view for view in views if view.opens is None]
    _print_faults(hot, count, opinions)
    _print_recall(hot, count)
    _print_false_alarms(sound_views, night, count)
    _print_watch(hot, sound_views, night, count)
    _print_model(hot, sound_views, opinions, count)
    if out is not None:
        print(f"heat maps of {write_pictures(out, views, count)} alarms and contact_sheet.jpg are in {out}")


def _print_faults(hot: Sequence[View], count: Count, opinions: Mapping[str, Opinion]) -> None:
    print(f"{'camera':<24}{'opens':>7}  {'told':<38}{'the model alone':<24}spot painted out")
    for view in sorted(hot, key=lambda view: view.opens or 0):
        told = ", ".join(f"{event['label']} after {after:.1f} s" for after, event in count.found[view.camera])
        opinion = opinions[view.camera]
        alone, without = (", ".join(labels or ()) or "-" for labels in (opinion.flagged, opinion.painted_out))
        print(f"{view.camera:<24}{view.opens:>5} s  {told or '-':<38}{alone:<24}{without}")


def _print_recall(hot: Sequence[View], count: Count) -> None:
    right = [view for view in hot if view.label in count.told(view)]
    for label in sorted({view.label for view in hot}):
        of = sum(view.label == label for view in hot)
        print(f"{label}: told by its name {share(sum(view.label == label for view in right), of)}")
    print(f"all faults: told by their name {share(len(right), len(hot))}")
    print(f"all faults: told as any fault {share(sum(bool(count.told(view)) for view in hot), len(hot))}")
    waits = sorted(found[0][0] for found in count.found.values() if found)
    if waits:
        print(f"seconds from the opening of the lens to the subscriber, first alarm: "
              f"median {statistics.median(waits):.1f}, largest {waits[-1]:.1f}")  # fmt: skip


def _print_false_alarms(healthy: Sequence[View], night: Night, count: Count) -> None:
    hours = sum(_watched_seconds(night, view.camera) for view in healthy) / 3600
    names = {view.camera for view in healthy}
    false = [event for event in count.false if event["camera"] in names]
    alarmed = len({event["camera"] for event in false})
    rate = f", {len(false) / hours:.2f} per camera-hour" if hours else ""
    print(f"false alarms at healthy cameras: {len(false)} in {hours:.2f} watched camera-hours{rate}")
    print(f"healthy cameras that raised one: {share(alarmed, len(healthy))}")
    print(f"alarms at the others outside the time of their fault: {len(count.false) - len(false)}")


def _print_watch(hot: Sequence[View], healthy: Sequence[View], night: Night, count: Count) -> None:
    print(f"watched by `edge-station status`: {100 * night.status['night']['watched_share']:.1f} % of all camera time")
    print(f"healthy cameras: {_account(night, healthy)}")
    print(f"hot cameras, {len(hot) * HOT_SECONDS} s of them with an open lens: {_account(night, hot)}")
    again = sum(len(times) - 1 for times in night.began.values())
    print(f"{night.judged} frames evaluated; {again} films begun again; {len(count.unseen)} faults not shown whole")


def _account(night: Night, views: Sequence[View]) -> str:
    """Seconds of their time that were watched, and those that were not, by cause."""
    causes: dict[str, float] = {}
    for view in views:
        for interval in night.status["night"]["cameras"][view.camera]["blind"]:
            causes[interval["cause"]] = causes.get(interval["cause"], 0.0) + interval["seconds"]
    watched = sum(_watched_seconds(night, view.camera) for view in views)
    due = sum(night.status["night"]["cameras"][view.camera]["due_seconds"] for view in views)
    blind = ", ".join(f"{cause} {seconds:.0f} s" for cause, seconds in sorted(causes.items()))
    return f"{watched:.0f} of {due:.0f} s watched; not: {blind or 'nothing'}"


def _watched_seconds(night: Night, camera: str) -> float:
    entry = night.status["night"]["cameras"][camera]
    return float(entry["due_seconds"] * (entry["watched_share"] or 0.0))


def _print_model(hot: Sequence[View], healthy: Sequence[View], opinions: Mapping[str, Opinion], count: Count) -> None:
    right = [view for view in hot if view.label in opinions[view.camera].flagged]
    flagged = sum(bool(opinions[view.camera].flagged) for view in healthy)
    print(f"the model alone: right name {share(len(right), len(hot))}, any fault "
          f"{sum(bool(opinions[view.camera].flagged) for view in hot)}; healthy views flagged "
          f"{share(flagged, len(healthy))}")  # fmt: skip
    named = [(view.label, opinions[view.camera]) for view in right]
    painted = [label in found.painted_out for label, found in named if found.painted_out is not None]
    control = [label in found.control for label, found in named if found.control is not None]
    print(f"of the faults with the right name, keep it with the spot painted out: {share(sum(painted), len(painted))}; "
          f"with an equal area painted elsewhere: {share(sum(control), len(control))}")  # fmt: skip
    told = [opinions[view.camera] for view in hot if count.told(view)]
    _print_spots("true alarms", told)
    _print_spots("faults that the model names rightly", [found for _, found in named])


def _print_spots(what: str, opinions: Sequence[Opinion]) -> None:
    boxed = [opinion for opinion in opinions if opinion.on_spot is not None]
    chance = sum(opinion.by_chance or 0.0 for opinion in boxed) / max(len(boxed), 1)
    print(f"{what}: hottest cell of the map touches the spot {share(sum(bool(o.on_spot) for o in boxed), len(boxed))}; "
          f"a cell by chance {100 * chance:.1f} %")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
