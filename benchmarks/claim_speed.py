"""How near the edge comes to what its parts cost alone: claims `edge-bound`, `edge-start` and `station-frame`.

The bound of `edge-classify` is what `--bench` says of it: reading, resizing and one engine call in a single thread, in
processor milliseconds, over the number of cores. The networks are those of `benchmarks.engine_speed`.
"""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.claims import (
    Claim,
    Note,
    Part,
    Table,
    at_least,
    at_most,
    interleave,
    processor_seconds,
    seconds,
    spread,
)
from benchmarks.engine_speed import make_bundle, make_pictures
from edge_runtime.bundle.store import open_bundle

BACKBONES = ("resnet50", "efficientnet_lite0")
ENGINES = ("cpu", "openvino")
OF_BOUND = re.compile(r"take ([0-9.]+) ms .* took ([0-9.]+): ([0-9.]+) of the bound, by the clock ([0-9.]+)")
OF_FRAME = {
    "clock": re.compile(r"the engine's call [0-9.]+ ms: ([0-9.]+)"),
    "processor": re.compile(r"in processor time [0-9.]+ and [0-9.]+ ms: ([0-9.]+)"),
}
BARE = """
import sys
import cv2
import onnxruntime
model, picture, height, width = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
frame = cv2.resize(cv2.imread(picture), (int(width), int(height)), interpolation=cv2.INTER_AREA)
print(session.run(["logits"], {"frames": frame[None]})[0].argmax())
"""


def edge_bound(work: Path, options: Sequence[str]) -> Sequence[Part]:
    """Measure pictures a second of `edge-classify` over the bound, for each network, engine and precision."""
    parser = argparse.ArgumentParser(prog="edge-bound")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="such as resnet50:cpu:int8")
    asked = parser.parse_args(options)
    pictures = str(_pictures(work))
    claims: list[Part] = []
    rows = [["network, engine, precision", "bound, ms", "edge-classify, ms", "bound over it", "by the clock"]]
    for backbone, engine, precision in _combinations(work):
        if not f"{backbone}:{engine}:{precision}".startswith(asked.only):
            continue
        command = ["--bench", "--engine", engine, "--precision", precision, pictures]
        found = []
        for _ in range(asked.rounds):
            told = _run(_classify(_bundle(work, backbone), *command), work).stderr
            if not (figures := OF_BOUND.search(told)):
                raise RuntimeError(f"edge-classify --bench said {told}")
            found.append([float(figure) for figure in figures.groups()])
        name = f"{backbone}, {engine}, {precision}"
        bound, spent, processor, clock = (spread(values) for values in zip(*found, strict=True))
        question = f"Pictures a second of edge-classify over the bound: {name}"
        claims.append(Claim(id=f"edge-bound-{len(claims)}", question=question, measured=clock, target=at_least(0.95)))
        rows.append([name, *(f"{s.median:.3g}" for s in (bound, spent, processor, clock))])
    return [*claims, Table(rows=rows), Note(text=ABOUT_BOUND)]


ABOUT_BOUND = (
    "96 JPEG files of 1080p; milliseconds are those of the processor, a picture. By the clock both cores must be "
    "free; the fourth column is the same in processor time, which other work disturbs less. It may be above 1: "
    "INT8 engines, and OpenVINO's float32, take less for several frames in a call than for one, and the bound is one."
)


def edge_start(work: Path, options: Sequence[str]) -> Sequence[Part]:
    """Measure the whole process for one picture beside a bare script of OpenCV and ONNX Runtime."""
    parser = argparse.ArgumentParser(prog="edge-start")
    parser.add_argument("--rounds", type=int, default=9)
    asked = parser.parse_args(options)
    picture = str(_pictures(work) / "000.jpg")
    parts: list[Part] = []
    for backbone in BACKBONES:
        folder = _bundle(work, backbone)
        size = open_bundle(folder).manifest.input
        model = str(folder / "model.fp32.onnx")
        bare = [sys.executable, "-c", BARE, model, picture, str(size.height), str(size.width)]
        ours = _classify(folder, "--engine", "cpu", "--precision", "fp32", picture)
        tasks = {"ours": lambda ours=ours: _run(ours, work), "bare": lambda bare=bare: _run(bare, work)}
        for what, timer in (("seconds", seconds), ("processor seconds", processor_seconds)):
            samples = interleave({name: timer(task) for name, task in tasks.items()}, asked.rounds)
            parts.append(
                Claim(
                    id=f"edge-start-{backbone}-{what.split()[0]}",
                    question=f"One picture in a process of its own over a bare script, {what}: {backbone}, fp32",
                    measured=samples.ratio("ours", "bare"),
                    target=at_most(1.5),
                    note=f"{samples.spread('ours').median:.2f} against {samples.spread('bare').median:.2f} s",
                )
            )
    return parts


def station_frame(work: Path, options: Sequence[str]) -> Sequence[Part]:
    """Measure a judged frame of a station over the engine's call, 16 cameras."""
    parser = argparse.ArgumentParser(prog="station-frame")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20.0)
    asked = parser.parse_args(options)
    parts: list[Part] = []
    for precision in ("fp32", "int8"):
        command = [sys.executable, "-m", "benchmarks.station_speed", "--bundle", str(_bundle(work, "resnet50"))]
        command += ["--precision", precision, "--seconds", str(asked.seconds)]
        told = [_run(command, work).stdout for _ in range(asked.rounds)]
        for how, pattern in OF_FRAME.items():
            ratios = [float(found[1]) for text in told if (found := pattern.search(text))]
            what = "A judged frame of a station over the engine's call, 16 cameras of 1280 x 720"
            question = f"{what}, {precision}, by the {how}"
            name = f"station-frame-{precision}-{how}"
            parts.append(Claim(id=name, question=question, measured=spread(ratios), target=at_most(1.10)))
    return parts


def _combinations(work: Path) -> list[tuple[str, str, str]]:
    """Return every network, engine and precision; OpenVINO runs FP16 as float32, so it is left out there."""
    return [
        (backbone, engine, precision)
        for backbone in BACKBONES
        for engine in ENGINES
        for precision in open_bundle(_bundle(work, backbone)).manifest.precisions
        if (engine, precision) != ("openvino", "fp16")
    ]


def _bundle(work: Path, backbone: str) -> Path:
    folder = work.resolve() / "edge-speed" / backbone
    if not (folder / "bundle" / "manifest.json").exists():
        make_bundle(folder, backbone)
    return folder / "bundle"


def _pictures(work: Path) -> Path:
    folder = work.resolve() / "edge-speed" / "pictures"
    if not folder.exists():
        make_pictures(folder)
    return folder


def _classify(bundle: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "edge_runtime.classify", "--bundle", str(bundle), *options]


def _run(command: Sequence[str], work: Path) -> subprocess.CompletedProcess[str]:
    """Run a command, its modules compiled beforehand as pip leaves them."""
    unset = {"PYTHONDONTWRITEBYTECODE"}
    environment: Mapping[str, str] = {
        **{name: value for name, value in os.environ.items() if name not in unset},
        "PYTHONPYCACHEPREFIX": str(work.resolve() / "edge-speed" / "bytecode"),
    }
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
