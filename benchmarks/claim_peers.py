"""`edge-classify` beside ultralytics, Roboflow's inference-models, a bare loop of ONNX Runtime and benchmark_app.

    python -m benchmarks.run_claims edge-peers [-- --rounds N --pictures N]

One full-width ResNet-50 at 224 pixels and 96 JPEG files of 1080p for all. The peers run in environments of their own
with pinned versions, made at the first run (some minutes); one that cannot be installed is named and left out. All
tools run as processes in turns, with their own settings of threads, and are looked at from outside alike: when the
lines of their output come, and what the kernel says of their memory and processor time.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
import cv2
import numpy as np
import torch
from onnxruntime import InferenceSession
from torch import Tensor, nn

import edge_runtime
from augment.json_objects import write_json
from benchmarks.claims import Claim, Note, Part, Samples, Spread, Table, at_least, at_most, interleave
from benchmarks.edge_material import PICTURES, SIDE, bundle, pictures
from benchmarks.peers.environments import environment, folder_bytes, installed_bytes, pins
from benchmarks.write_benchmarks import number
from edge_runtime.bundle.errors import UnavailableError
from edge_runtime.bundle.store import open_bundle
from export.checkpoint import load_checkpoint
from export.network import IMAGENET_MEAN, IMAGENET_STD
from export.onnx_files import export_model, finished_bytes

WARM = 16  # lines that do not count for the rate: workers start, caches fill, what was decoded ahead is used up
APP_SECONDS = 4  # of benchmark_app a round
HERE = Path(__file__).parent / "peers"
ROOT = Path(edge_runtime.__file__).parents[1]
OURS, OURS_OPENVINO, INT8, INT8_OPENVINO = (
    f"edge-classify {precision} on {engine}"
    for precision in ("fp32", "int8")
    for engine in ("ONNX Runtime", "OpenVINO")
)
BARE = "bare onnxruntime loop"
PEERS = ("ultralytics", "roboflow")


ABOUT = """\
What differs: the bundle's file takes uint8 pictures and has scaling and mean inside; ultralytics and Roboflow take
float RGB from 0 to 1, so the same weights are exported for them once more with mean and softmax in the graph.
`edge-classify` decodes a large JPEG at a quarter of its size where the bundle's test set bore that out; the others
decode it whole and resize with OpenCV (Roboflow, the bare loop) or Pillow (ultralytics, whose square crop is replaced
by a stretch to the same rectangle). Every tool has its own choice of threads on the same cores. Pictures a second are
those between the 16th and the last result; one picture is a whole process. Bytes installed are those of the packages'
own files, for ultralytics with onnx and onnxruntime, which it asks for at the first run; in brackets with what torch
brings for GPUs (packages of nvidia, cuda and triton, and torch's own CUDA libraries). benchmark_app runs the engine
on random input in as many streams as it likes and decodes nothing; where the processor has AMX, OpenVINO computes its
fp32 file in bfloat16, which `edge-classify` does not let it do."""


@dataclass(frozen=True)
class Run:
    """One process, seen from outside."""

    rate: float  # pictures a second once warm; 0 of a single picture
    seconds: float
    processor_ms: float  # a picture, with the start
    peak_mb: float
    labels: Mapping[str, str]  # by the picture's file name


@dataclass(frozen=True)
class Prepared:
    """The files that all tools share."""

    bundle: Path
    float_model: Path  # float (N, 3, SIDE, SIDE) RGB from 0 to 1 -> probabilities
    package: Path  # the same as Roboflow's model package
    pictures: Sequence[Path]
    labels: Sequence[str]


@dataclass(frozen=True)
class Found:
    """What the rounds gave, by tool."""

    rates: Samples  # pictures a second; of benchmark_app too
    first: Samples  # seconds of a whole process for one picture
    many: Mapping[str, Sequence[Run]]  # on all pictures

    def of_many(self, name: str) -> Samples:
        """Return another figure of the runs on all pictures."""
        return Samples({tool: [getattr(run, name) for run in runs] for tool, runs in self.many.items()})


Command = Callable[[Sequence[Path]], list[str]]


def measure(work: Path, options: Sequence[str]) -> Sequence[Part]:
    """Measure pictures a second, start-up, memory and installed bytes of every tool, as `options` ask."""
    parser = argparse.ArgumentParser(prog="edge-peers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pictures", type=int, default=PICTURES)
    asked = parser.parse_args(options)
    folder = (work / "edge-peers").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    prepared = _prepare(work, folder, asked.pictures)
    commands, left_out = _commands(folder, prepared)
    found = _runs(commands, prepared, folder, asked.rounds)
    sizes = {name: _sizes(name, folder) for name in commands}
    claims = [claim for peer in PEERS if peer in commands for claim in _claims(peer, found, sizes)]
    notes = [ABOUT, *left_out, _same_model(prepared)]
    return [*claims, _table(found, sizes), *(Note(text=text) for text in notes)]


def _prepare(work: Path, folder: Path, count: int) -> Prepared:
    """Make what is absent: bundle and pictures, and the float model and the package that the peers take."""
    ours = bundle(work)
    network, card = load_checkpoint(ours.parent / "checkpoint")
    model, package = ours.parent / "float.onnx", folder / "roboflow-package"
    if not model.exists():
        example = torch.zeros(2, 3, SIDE, SIDE)
        model.write_bytes(finished_bytes(export_model(_FromUnitRange(network), example, ["images"], ["output0"])))
    package.mkdir(exist_ok=True)
    (package / "weights.onnx").write_bytes(model.read_bytes())
    (package / "class_names.txt").write_text("\n".join(card["labels"]), encoding="utf-8")
    write_json(
        package / "model_config.json",
        {"model_architecture": "resnet", "task_type": "classification", "backend_type": "onnx"},
    )
    network_input = {
        "training_input_size": {"height": SIDE, "width": SIDE},
        "dynamic_spatial_size_supported": False,
        "color_mode": "rgb",
        "resize_mode": "stretch",
        "input_channels": 3,
        "scaling_factor": 255,
    }
    softmax = {"type": "softmax", "fused": True}
    write_json(package / "inference_config.json", {"network_input": network_input, "post_processing": softmax})
    return Prepared(ours, model, package, pictures(work)[:count], card["labels"])


class _FromUnitRange(nn.Module):
    """The network for RGB from 0 to 1, as the peers scale it, with probabilities as they expect them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, 3, H, W) float RGB from 0 to 1 -> (N, classes) probabilities."""
        return torch.softmax(self.network((images - self.mean) / self.std), 1)


def _commands(folder: Path, prepared: Prepared) -> tuple[dict[str, Command], list[str]]:
    """Return by tool what makes its command line of pictures, and what could not be installed."""
    ours = [sys.executable, "-m", "edge_runtime.classify", "--format", "jsonl", "--bundle", str(prepared.bundle)]
    labels = ",".join(prepared.labels)
    precisions = open_bundle(prepared.bundle).manifest.precisions
    fixed = {
        OURS: [*ours, "--engine", "cpu", "--precision", "fp32"],
        OURS_OPENVINO: [*ours, "--engine", "openvino", "--precision", "fp32"],
        INT8: [*ours, "--engine", "cpu", "--precision", "int8"],
        INT8_OPENVINO: [*ours, "--engine", "openvino", "--precision", "int8"],
        BARE: [sys.executable, str(HERE / "run_onnxruntime.py"), str(prepared.bundle / "model.fp32.onnx"), labels],
    }
    refused = [] if "int8" in precisions else [name for name in fixed if "int8" in name]
    fixed = {name: command for name, command in fixed.items() if name not in refused}
    notes = [f"{name} was not measured: the bundle's gate refused INT8." for name in refused]
    arguments = {
        "ultralytics": [str(prepared.float_model), labels, str(SIDE)],
        "roboflow": [str(prepared.package)],
    }
    for name, rest in arguments.items():
        click.echo(f"environment of {name}")
        try:
            python = environment(name, folder / f"env-{name}")
        except UnavailableError as error:
            notes.append(str(error))
            continue
        fixed[name] = [str(python), str(HERE / f"run_{name}.py"), *rest]
    return {
        name: lambda pictures, command=command: [*command, *map(str, pictures)] for name, command in fixed.items()
    }, notes


def _runs(commands: Mapping[str, Command], prepared: Prepared, folder: Path, rounds: int) -> Found:
    """Run all tools in turns, on all pictures and on one."""
    many: dict[str, list[Run]] = {name: [] for name in commands}

    def rate(name: str) -> float:
        many[name].append(_run(commands[name](prepared.pictures), len(prepared.pictures), folder))
        click.echo(f"{name}: {many[name][-1].rate:.1f} pictures a second")
        return many[name][-1].rate

    tasks = {name: partial(rate, name) for name in commands}
    for precision in open_bundle(prepared.bundle).manifest.precisions:
        tasks[f"benchmark_app {precision}"] = partial(_app_rate, prepared.bundle / f"model.{precision}.onnx")
    rates = interleave(tasks, rounds, warm_up=0)
    alone = prepared.pictures[:1]
    starts = {name: lambda make=make: _run(make(alone), 1, folder).seconds for name, make in commands.items()}
    return Found(rates, interleave(starts, rounds + 2, warm_up=0), many)


def _app_rate(model: Path) -> float:
    """Return the inferences a second that OpenVINO's own benchmark gets out of the file: no picture is decoded."""
    command = [str(Path(sys.executable).parent / "benchmark_app"), "-m", str(model), "-hint", "throughput"]
    command += ["-t", str(APP_SECONDS), "-shape", f"frames[1,{SIDE},{SIDE},3]"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if not (found := re.search(r"Throughput:\s*([0-9.]+) FPS", done.stdout)):
        sys.exit(f"benchmark_app gave no throughput for {model}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return float(found[1])


def _run(command: Sequence[str], count: int, folder: Path) -> Run:
    """Run one process on `count` pictures; exits with what it said if it does not answer for each."""
    # What the peers would do on a network, or write into a home folder, is switched off or turned to the work folder.
    quiet = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_CONFIG_DIR": str(folder)}
    quiet |= {"HF_HUB_OFFLINE": "1", "OFFLINE_MODE": "true", "INFERENCE_HOME": str(folder), "PYTHONPATH": str(ROOT)}
    launch = [sys.executable, "-S", "-E", str(HERE / "launch.py"), *command]
    with (folder / "messages.txt").open("w+", encoding="utf-8") as messages:
        done = subprocess.run(
            ["env", *(f"{name}={value}" for name, value in quiet.items()), *launch],
            check=False, stdout=subprocess.PIPE, stderr=messages, text=True,
        )  # fmt: skip
        messages.seek(0)
        said = messages.read()
    taken = json.loads(done.stdout)
    lines = [(at, json.loads(line)) for at, line in zip(taken["times"], taken["lines"], strict=True) if line[:1] == "{"]
    if len(lines) != count:
        sys.exit(f"{' '.join(command[:4])} gave {len(lines)} of {count} results, exit code {taken['code']}:\n{said}")
    rate = (count - WARM) / (lines[-1][0] - lines[WARM - 1][0]) if count > WARM else 0.0
    labels = {Path(record["path"]).name: record["label"] for _, record in lines}
    return Run(rate, taken["seconds"], 1000 * taken["processor_seconds"] / count, taken["peak_mb"], labels)


def _claims(peer: str, found: Found, sizes: Mapping[str, "Size"]) -> list[Claim]:
    """Return what was promised against one peer; its own figure at fp32 is the divisor of every ratio."""
    ours = [name for name in found.many if name.startswith("edge-classify")]
    best = max(ours, key=lambda name: found.rates.spread(name).median)
    memory = found.of_many("peak_mb")
    bare = f"the {BARE} takes {number(memory.ratio(BARE, peer).median)}"
    leanest = min(ours, key=lambda name: memory.spread(name).median)
    whole = Spread(median=sizes[OURS].whole / sizes[peer].whole)
    lean = Spread(median=sizes[OURS].for_processors / sizes[peer].for_processors)
    return [
        Claim(id=f"{peer}-fp32", question=f"pictures a second over {peer}, both fp32 on ONNX Runtime",
              measured=found.rates.ratio(OURS, peer), target=at_least(2.5)),
        Claim(id=f"{peer}-best", question=f"{best} over {peer} fp32",
              measured=found.rates.ratio(best, peer), target=at_least(7)),
        Claim(id=f"{peer}-first", question=f"whole process for one picture over {peer}, fp32",
              measured=found.first.ratio(OURS, peer), target=at_most(0.25)),
        Claim(id=f"{peer}-memory", question=f"peak memory over {peer}, fp32",
              measured=memory.ratio(OURS, peer), target=at_most(0.25), note=bare),
        Claim(id=f"{peer}-memory-best", question=f"peak memory of {leanest} over {peer} fp32",
              measured=memory.ratio(leanest, peer), target=at_most(0.25)),
        Claim(id=f"{peer}-installed", question=f"bytes installed over {peer} as pip installs it",
              measured=whole, target=at_most(0.2)),
        Claim(id=f"{peer}-installed-lean",
              question=f"bytes installed over {peer} without what it installs for GPUs alone",
              measured=lean, target=at_most(0.2)),
    ]  # fmt: skip


def _table(found: Found, sizes: Mapping[str, "Size"]) -> Table:
    """Return the absolute figures of every tool, medians, and how often it says what `edge-classify` says."""
    head = ("tool", "pictures a second", "one picture, s", "peak memory, MB", "processor ms a picture")
    rows = [[*head, "installed, MB", f"same label as {OURS}"]]
    memory, processor = found.of_many("peak_mb"), found.of_many("processor_ms")
    for name, runs in found.many.items():
        spreads = (samples.spread(name) for samples in (found.rates, found.first, memory, processor))
        labels, ours = runs[-1].labels, found.many[OURS][-1].labels
        same = sum(label == ours[picture] for picture, label in labels.items())
        rows.append([name, *(number(spread.median) for spread in spreads), str(sizes[name]), f"{same} of {len(ours)}"])
    for name in found.rates.values:
        if name not in found.many:
            rows.append([f"{name}, the engine alone", number(found.rates.spread(name).median), *[""] * 5])
    return Table(rows=rows)


@dataclass(frozen=True)
class Size:
    """Bytes of a tool once it is installed, with all that its closure brings and without what only GPUs need."""

    whole: int
    for_processors: int

    def __str__(self) -> str:
        lean = f"{self.for_processors / 1e6:,.0f}"
        return lean if self.whole == self.for_processors else f"{lean} (with packages for GPUs {self.whole / 1e6:,.0f})"


def _sizes(name: str, folder: Path) -> Size:
    """Count the bytes of the tool's pinned closure, and for `edge-classify` those of rarefault itself."""
    if name in PEERS:
        place = next((folder / f"env-{name}").glob("lib/python*/site-packages"))
        return Size(*installed_bytes(pins(HERE / f"{name}.txt"), place))
    own = folder_bytes(*(ROOT / package for package in ("edge_runtime", "export", "augment")))
    lock = "openvino" if "OpenVINO" in name else "base"
    total = installed_bytes(pins(ROOT / "requirements" / f"{lock}.lock"))[0] + (0 if name == BARE else own)
    return Size(total, total)


def _same_model(prepared: Prepared) -> str:
    """Say how far the peers' float file is from the bundle's on the same pixels."""
    spec = open_bundle(prepared.bundle).manifest.input
    frames = np.stack([spec.apply(cv2.imread(str(path))) for path in prepared.pictures[:16]])
    logits = InferenceSession(prepared.bundle / "model.fp32.onnx").run(["logits"], {"frames": frames})[0]
    images = np.ascontiguousarray(frames[..., ::-1].transpose(0, 3, 1, 2), dtype=np.float32) / 255
    theirs = InferenceSession(prepared.float_model).run(None, {"images": images})[0]
    ours = torch.softmax(torch.from_numpy(logits), 1).numpy()
    return (
        f"On the same pixels of {len(frames)} pictures the float file and the bundle's differ by at most "
        f"{np.abs(ours - theirs).max():.0e} in a probability and name the same class "
        f"{(ours.argmax(1) == theirs.argmax(1)).sum()} times."
    )
