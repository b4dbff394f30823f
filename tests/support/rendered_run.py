"""A run small enough for tests: a few rendered scenes of four classes, the embedded models, a very narrow network."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from augment.mini.scenes import FAULT_LABELS, LABELS, write_station
from augment.presets import PRESETS
from augment.records import STAGES
from augment.settings import DataSettings, Settings, write_settings

ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}
VOLATILE = {"created"}


def small_settings(images: Path) -> Settings:
    """Settings of a run on `images` that touches every stage in seconds."""
    preset = PRESETS["mini"]
    faults = tuple(label for label in labels() if label in FAULT_LABELS)
    return replace(
        preset,
        data=DataSettings(source=str(images), faults=faults),
        caption=replace(preset.caption, batch_size=4),
        refine=replace(preset.refine, variants=2, attempts=4, meaning="lexical"),
        adapt=replace(preset.adapt, steps=2, evaluate_every=2, look_images=8, batch_size=4),
        generate=replace(
            preset.generate,
            methods=("text2img", "adapted-img2img-0.5"),
            target=10,
            floor=2,
            steps=4,
            batch_size=4,
            rounds=2,
        ),
        train=replace(preset.train, width=8, size=32, steps=12, evaluate_every=4, seeds=1, batch_size=8),
        compare=replace(preset.compare, resamples=200),
    )


def labels() -> tuple[str, ...]:
    """Two kinds of equipment, each sound and faulty."""
    return tuple(LABELS[:4])


def prepare(folder: Path, images: Path) -> Path:
    """Render the images if they are not there and write folder/pipeline.toml; returns its path."""
    write_station(images, dict(zip(labels(), (12, 8, 12, 8), strict=True)), seed=7, size=96)
    folder.mkdir(parents=True)
    write_settings(small_settings(images), folder / "pipeline.toml")
    return folder / "pipeline.toml"


def command(pipeline: Path) -> list[str]:
    """The command line of the run, as a user types it."""
    return [sys.executable, "-m", "augment.cli", "run", str(pipeline)]


def finish(pipeline: Path) -> str:
    """Run to the end; returns what it printed."""
    done = subprocess.run(command(pipeline), env=ONE_THREAD, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"exit {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def run_and_kill(pipeline: Path, seconds: float) -> bool:
    """Start the run and kill it with SIGKILL after `seconds`; False if it was done before."""
    process = subprocess.Popen(command(pipeline), env=ONE_THREAD, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    return False


def results(folder: Path) -> dict[str, object]:
    """Every document without its date, every image and weight file by digest: what two runs must have in common."""
    documents = {}
    for stage in STAGES:
        for path in sorted((folder / stage.document).glob("v*.json")):
            content = json.loads(path.read_bytes())
            documents[f"{stage.document}/{path.name}"] = {key: content[key] for key in content if key not in VOLATILE}
    files = [
        *folder.glob("synthetic/images/**/*.png"),
        *folder.glob("training/**/*.safetensors"),
        *folder.glob("bundle/*.onnx"),
    ]
    return {**documents, **{str(path.relative_to(folder)): path.read_bytes() for path in sorted(files)}}
