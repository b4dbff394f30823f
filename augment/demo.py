"""`rarefault demo`: render a station's archive, run the whole loop on it, classify images that no stage has seen."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import click

from augment.mini.archive import Share, write_archive
from augment.mini.scenes import COUNTERPARTS, FAULT_LABELS, GROUPS, LABELS, STATION_COUNTS, write_station
from augment.presets import PRESETS
from augment.progress import say
from augment.records import item_seed
from augment.settings import DataSettings, Settings, write_once
from edge_runtime.bundle.errors import InputError

# Images per class; the training images are long-tailed, what measures is balanced.
SPLITS = {"train": STATION_COUNTS, "val": dict.fromkeys(LABELS, 10), "test": dict.fromkeys(LABELS, 100)}
UNSEEN_PER_LABEL = 1
EXIT_FAULT = 10  # of edge-classify


def prepare(out: Path, seed: int) -> Path:
    """Render the station's images and write OUT/pipeline.toml; returns its path. A second call changes nothing."""
    settings = _settings(out, seed)
    pipeline = out / "pipeline.toml"
    write_once(settings, pipeline, "this demo and seed")
    say(f"rendering the station's images into {out / 'station'}")
    shares = {split: Share(counts, item_seed(seed, "demo", split)) for split, counts in SPLITS.items()}
    write_archive(out / "station", shares)
    return pipeline


def classify_unseen(out: Path, seed: int) -> None:
    """Run `edge-classify` on one new image per class, as a technician would; InputError if it flags no fault."""
    unseen = out / "unseen"
    write_station(unseen, dict.fromkeys(LABELS, UNSEEN_PER_LABEL), item_seed(seed, "demo", "unseen"))
    command = [sys.executable, "-m", "edge_runtime.classify", "--format", "table"]
    command += ["--bundle", str(out / "bundle"), "--heatmap", str(out / "heatmaps"), str(unseen)]
    click.echo(f"\n$ edge-classify --bundle {out / 'bundle'} --heatmap {out / 'heatmaps'} {unseen}")
    code = subprocess.run(command, check=False).returncode
    if code != EXIT_FAULT:
        raise InputError(
            f"edge-classify ended with {code}, expected {EXIT_FAULT}: of {len(FAULT_LABELS)} unseen faults it flagged "
            "none; look at the comparison above, and try another --seed"
        )


def _settings(out: Path, seed: int) -> Settings:
    preset, source = PRESETS["mini"], str((out / "station" / "manifest.csv").resolve())
    # Rendered scenes of one class share their layout, so their hashes are close although no two are the same picture.
    data = DataSettings(source=source, faults=tuple(FAULT_LABELS), groups=dict(GROUPS)).unrelated()
    return replace(preset, seed=seed, data=data, generate=replace(preset.generate, hosts=dict(COUNTERPARTS)))
