"""How near the edge comes to what its parts cost alone: `edge-engines`, `edge-bound`, `edge-start`, `station-frame`.

The bound of `edge-classify` is what `--bench` says of it: reading, resizing and one engine call in a single thread, in
processor milliseconds, over the number of cores. The networks and pictures are those of `benchmarks.edge_material`.
"""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from benchmarks import edge_material
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
from benchmarks.edge_material import SIDE, bundle, pictures, scenes
from benchmarks.station_speed import DEAREST, OLDEST
from edge_runtime.bundle.store import open_bundle
from edge_runtime.classify.results import FAULT_FLAGGED, NOTHING_FLAGGED
from edge_runtime.inference.engines import load_engine

BACKBONES = ("resnet50", "efficientnet_lite0")
ENGINES = ("cpu", "openvino")
MISSED = (0, 1)  # exit codes of benchmarks.station_speed: 1 where a target was missed
OF_BOUND = re.compile(r"take ([0-9.]+) ms .* took ([0-9.]+): ([0-9.]+) of the bound, by the clock ([0-9.]+)")
OF_FRAME = re.compile(
    r"p99 ([0-9.]+) s[^:]*\n[^:]*the engine's call [0-9.]+ ms: ([0-9.]+)\n"
    r"in processor time [0-9.]+ and [0-9.]+ ms: ([0-9.]+)"
)
BARE = """
import sys
import cv2
import onnxruntime
model, picture, height, width = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
frame = cv2.resize(cv2.imread(picture), (int(width), int(height)), interpolation=cv2.INTER_AREA)
print(session.run(["logits"], {"frames": frame[None]})[0].argmax())
"""


def edge_engines(work: Path, options: Sequence[str]) -> Sequence[Part]:
    """Measure every engine and precision on one frame and one thread, beside bare calls of ONNX Runtime."""
    parser = argparse.ArgumentParser(prog="edge-engines")
    parser.add_argument("--rounds", type=int, default=30)
    asked = parser.parse_args(options)
    folder = bundle(work)
    precisions = open_bundle(folder).manifest.precisions
    samples = interleave({name: seconds(task) for name, task in _calls(folder).items()}, asked.rounds, warm_up=3)
    claims: list[Part] = [
        Claim(id="preprocessing", question="preprocessing in the graph over none, fp32",
              measured=samples.ratio("bare", "no preprocessing"), target=at_most(1.01)),
        Claim(id="call", question="the runtime's engine call over a bare `session.run`, fp32",
              measured=samples.ratio("cpu fp32", "bare"), target=at_most(1.02)),
    ]  # fmt: skip
    rows = [["engine, ms", *precisions]]
    for engine in ENGINES:
        medians = [1000 * samples.spread(f"{engine} {precision}").median for precision in precisions]
        rows.append([engine, *(f"{median:.1f}" for median in medians)])
        if "int8" in precisions:
            gain = samples.ratio(f"{engine} fp32", f"{engine} int8")
            claims.append(
                Claim(id=f"int8-{engine}", question=f"fp32 over int8, {engine}", measured=gain, target=at_least(1.8))
            )
    return [*claims, Table(rows=rows), Note(text="ResNet-50 at 224 pixels, one frame, one thread.")]


def _calls(folder: Path) -> dict[str, Callable[[], object]]:
    """Return what runs one frame, by name: bare sessions, and every engine and precision of the bundle."""
    frame = np.ascontiguousarray(scenes(1, 3)[0])
    prepared = (frame.transpose(0, 3, 1, 2) - 128.0).astype(np.float32)
    model = folder / "model.fp32.onnx"
    whole, bare = _session(model.read_bytes()), _session(_without_preprocessing(onnx.load(model)))
    calls: dict[str, Callable[[], object]] = {
        "bare": lambda: whole.run(["logits", "cam"], {"frames": frame}),
        "no preprocessing": lambda: bare.run(["logits", "cam"], {"prepared": prepared}),
    }
    opened = open_bundle(folder)
    for name in ENGINES:
        for precision in opened.manifest.precisions:
            engine = load_engine(opened, name, precision, threads=1)
            calls[f"{name} {precision}"] = lambda engine=engine: engine.run(frame)
    return calls


def _without_preprocessing(model: onnx.ModelProto) -> bytes:
    """Return the same network for float (N, 3, H, W), the mean already subtracted."""
    graph = model.graph
    last = next(place for place, node in enumerate(graph.node) if node.op_type == "Sub")
    graph.node[last + 1].input[0] = "prepared"
    del graph.node[: last + 1]
    value = onnx.helper.make_tensor_value_info("prepared", onnx.TensorProto.FLOAT, ["N", 3, SIDE, SIDE])
    graph.input[0].CopyFrom(value)
    return bytes(model.SerializeToString())


def _session(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def edge_bound(work: Path, options: Sequence[str]) -> Sequence[Part]:
    """Measure pictures a second of `edge-classify` over the bound, for each network, engine and precision."""
    parser = argparse.ArgumentParser(prog="edge-bound")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="such as resnet50:cpu:int8")
    asked = parser.parse_args(options)
    shown = str(pictures(work)[0].parent)
    claims: list[Part] = []
    rows = [["network, engine, precision", "bound, ms", "edge-classify, ms", "bound over it", "by the clock"]]
    for backbone, engine, precision in _combinations(work):
        if not f"{backbone}:{engine}:{precision}".startswith(asked.only):
            continue
        command = ["--bench", "--engine", engine, "--precision", precision, shown]
        found = []
        for _ in range(asked.rounds):
            found.append(_figures(OF_BOUND, _run(_classify(bundle(work, backbone), *command), work).stderr))
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
    picture = str(pictures(work)[0])
    parts: list[Part] = []
    for backbone in BACKBONES:
        folder = bundle(work, backbone)
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
    """Measure a judged frame of a station over the engine's call, and how old it is, 16 cameras."""
    parser = argparse.ArgumentParser(prog="station-frame")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20.0)
    asked = parser.parse_args(options)
    parts: list[Part] = []
    for precision in ("fp32", "int8"):
        command = [sys.executable, "-m", "benchmarks.station_speed", "--bundle", str(bundle(work, "resnet50"))]
        command += ["--precision", precision, "--seconds", str(asked.seconds)]
        told = [_run(command, work, MISSED).stdout for _ in range(asked.rounds)]
        ages, *ratios = (spread(values) for values in zip(*(_figures(OF_FRAME, text) for text in told), strict=True))
        judged = f"judged frame of a station, 16 cameras of 1280 x 720, {precision}"
        for how, ratio in zip(("clock", "processor"), ratios, strict=True):
            question = f"A {judged}, over the engine's call, by the {how}"
            parts.append(
                Claim(id=f"station-frame-{precision}-{how}", question=question, measured=ratio, target=at_most(DEAREST))
            )
        parts.append(
            Claim(id=f"station-age-{precision}", question=f"Age of a {judged}, 99th percentile", measured=ages,
                  unit="s", target=at_most(OLDEST))
        )  # fmt: skip
    return parts


def _combinations(work: Path) -> list[tuple[str, str, str]]:
    """Return every network, engine and precision; OpenVINO runs FP16 as float32, so it is left out there."""
    return [
        (backbone, engine, precision)
        for backbone in BACKBONES
        for engine in ENGINES
        for precision in open_bundle(bundle(work, backbone)).manifest.precisions
        if (engine, precision) != ("openvino", "fp16")
    ]


def _classify(folder: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "edge_runtime.classify", "--bundle", str(folder), *options]


def _run(
    command: Sequence[str], work: Path, codes: Sequence[int] = (NOTHING_FLAGGED, FAULT_FLAGGED)
) -> subprocess.CompletedProcess[str]:
    """Run a command, its modules compiled beforehand as pip leaves them. RuntimeError where its exit code is none of
    `codes`: what failed at once would seem fast."""
    unset = {"PYTHONDONTWRITEBYTECODE"}
    environment: Mapping[str, str] = {
        **{name: value for name, value in os.environ.items() if name not in unset},
        "PYTHONPYCACHEPREFIX": str(edge_material.place(work) / "bytecode"),
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in codes:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done


def _figures(pattern: re.Pattern[str], told: str) -> list[float]:
    """Return the figures that a command told. RuntimeError where it told none."""
    if not (found := pattern.search(told)):
        raise RuntimeError(f"figures were expected, and it said {told}")
    return [float(figure) for figure in found.groups()]
