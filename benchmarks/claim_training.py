"""Training beside torchvision's reference loop and timm's script, as their authors wrote them.

    python -m benchmarks.run_claims training -- --torchvision-references DIR [--timm-script FILE --timm-python FILE]

DIR is references/classification of a checkout of pytorch/vision, FILE train.py of one of pytorch-image-models, and
--timm-python an interpreter that has timm. EfficientNet-Lite0 with ImageNet weights, 128 pictures of pets of three
breeds to learn from and 48 to judge, batches of 32, AdamW, the same number of epochs and looks, each contestant with
its own views of pictures. Each is a process on one core with one thread. What is compared are processor seconds, which
a busy machine changes less than the clock, and which are the seconds of a quiet core.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.claims import Claim, Note, Part, Samples, Table, at_least, interleave

LEARNED, JUDGED, BATCH, SIZE, RATE = 128, 48, 32, 128, 5e-4
ROOT = Path(__file__).resolve().parents[1]


def measure(work: Path, options: Sequence[str]) -> Sequence[Part]:
    """Train in turns; a claim is about pictures a processor second, the table says accuracies and wall times too."""
    parser = argparse.ArgumentParser(prog="training")
    parser.add_argument("--torchvision-references", type=Path, required=True)
    parser.add_argument("--timm-script", type=Path)
    parser.add_argument("--timm-python", default=sys.executable)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/oxford-iiit-pet-3/oxford-iiit-pet/images"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4)
    asked = parser.parse_args(list(options))
    pictures = lay_out(asked.data, work / "training" / "pictures")
    common = {
        "pictures": str(pictures.resolve()), "epochs": asked.epochs, "batch": BATCH, "size": SIZE, "rate": RATE,
        "classes": len(list((pictures / "train").iterdir())),
    }  # fmt: skip
    runs = {
        "ours": (sys.executable, {**common}),
        "torchvision": (sys.executable, {**common, "script": str(asked.torchvision_references.resolve())}),
    }
    if asked.timm_script:
        runs["timm"] = (asked.timm_python, {**common, "script": str(asked.timm_script.resolve())})
    found: dict[str, list[dict[str, float]]] = {name: [] for name in runs}
    tasks = {name: _task(name, *run, work / "training" / name, found[name]) for name, run in runs.items()}
    interleave(tasks, asked.rounds, warm_up=0)
    return parts(found, LEARNED * asked.epochs)


def lay_out(source: Path, place: Path) -> Path:
    """Link LEARNED and JUDGED pictures of `source`, Oxford-IIIT names, below `place`/train and `place`/val by breed."""
    breeds: dict[str, list[Path]] = {}
    for path in sorted(source.glob("*.jpg")):
        breeds.setdefault(path.stem.rpartition("_")[0], []).append(path)
    turns = [path for row in zip(*breeds.values(), strict=False) for path in row]
    shutil.rmtree(place, ignore_errors=True)
    for split, chosen in (("train", turns[:LEARNED]), ("val", turns[LEARNED : LEARNED + JUDGED])):
        for path in chosen:
            link = place / split / path.stem.rpartition("_")[0] / path.name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.resolve())
    return place


def _task(
    name: str, python: str, given: Mapping[str, Any], out: Path, found: list[dict[str, float]]
) -> Callable[[], float]:
    """Return what trains one contestant and notes what it told."""

    def task() -> float:
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        core = min(os.sched_getaffinity(0))
        done = subprocess.run(
            [python, "-m", "benchmarks.training_runner", name, json.dumps({**given, "out": str(out.resolve())})],
            cwd=ROOT, capture_output=True, text=True, preexec_fn=lambda: os.sched_setaffinity(0, {core}),
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{name} failed:\n{done.stderr[-3000:]}")
        told = json.loads(done.stdout.strip().splitlines()[-1])
        print(f"{name:12} {told}", flush=True)
        found.append(told)
        return float(told["processor"])

    return task


def parts(found: Mapping[str, Sequence[Mapping[str, float]]], shown: int) -> list[Part]:
    """Return claims and table for what each contestant told in each round; `shown` is how many pictures each saw."""
    rates = {name: [shown / told["processor"] for told in rounds] for name, rounds in found.items()}
    rates["ours, cache there"] = [shown / told["cached_processor"] for told in found["ours"]]
    walls = {name: [shown / told["seconds"] for told in rounds] for name, rounds in found.items()}
    walls["ours, cache there"] = [shown / told["cached_seconds"] for told in found["ours"]]
    samples, wall = Samples(rates), Samples(walls)
    peers = [("torchvision", "torchvision's reference loop"), ("timm", "timm's train script")]
    claims: list[Part] = [
        Claim(
            id=f"training-{peer}-{kind}",
            question=f"training {how} beside {name}: pictures a processor second",
            measured=samples.ratio(own, peer),
            target=at_least(target),
        )
        for peer, name in peers
        if peer in found
        for own, kind, how, target in (
            ("ours", "files", "from files", 1.0),
            ("ours, cache there", "cache", "from the frame cache", 1.2),
        )
    ]
    rows = [["", "pictures / processor second", "pictures / s", "accuracy, each round"]]
    for name in rates:
        accuracies = ", ".join(f"{100 * told['accuracy']:.0f} %" for told in found[name.partition(",")[0]])
        rows.append([name, f"{samples.spread(name).median:.1f}", f"{wall.spread(name).median:.1f}", accuracies])
    note = (
        "The frame cache holds every picture decoded and resized once, as `rarefault train` makes it by itself; from "
        "files means that its making is counted. timm runs one worker process beside, whose time is counted."
    )
    return [*claims, Table(rows=rows), Note(text=note)]
