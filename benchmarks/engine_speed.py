"""What the edge costs over the bare engine: `python -m benchmarks.engine_speed [--work DIR]`.

Claims, as ratios of runs that alternate: preprocessing in the graph costs at most 1 % of FP32; INT8 is at least 1.8
times as fast as FP32; the runtime's engine call takes at most 1.02 of a bare `session.run`; `edge-classify` on 1080p
JPEG files reaches 0.89 of what INT8 alone can do. The network is a full-width ResNet-50 at 224 pixels whose backbone is
random and whose classifier is fitted to rendered scenes: enough for speed, no measure of accuracy.
"""

import re
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import cv2
import numpy as np
import onnx
import onnxruntime
import torch
from sklearn.linear_model import RidgeClassifier

from augment.mini.scenes import FAULT_LABELS, LABELS, render, sample_scene
from edge_runtime.bundle.decision import DecisionRule
from edge_runtime.bundle.preprocess import PreprocessSpec
from edge_runtime.bundle.store import open_bundle
from edge_runtime.inference.compare_engines import alternate
from edge_runtime.inference.engines import load_engine
from export.acceptance import ENOUGH_REDUCED, Evidence
from export.checkpoint import save_checkpoint
from export.golden_frames import LabelledFrame
from export.network import build_network, normalise
from export.pack import pack_bundle
from export.parity import torch_scores

SIDE = 224
SPEC = PreprocessSpec(SIDE, SIDE)
ROUNDS = 30
PICTURES = 96  # 1080p JPEG files
Task = Callable[[], object]


@click.command()
@click.option("--work", type=click.Path(path_type=Path), default=Path("runs/engine_speed"), show_default=True)
def main(work: Path) -> None:
    """Make the bundle and the pictures where they are absent, then measure."""
    bundle = work / "bundle"
    if not (bundle / "manifest.json").exists():
        make_bundle(work)
    if not (work / "pictures").exists():
        make_pictures(work / "pictures")
    click.echo(
        f"{torch.get_num_threads()} threads, onnxruntime {onnxruntime.__version__}; medians of {ROUNDS} rounds, ms"
    )
    _engines(bundle, work)
    _end_to_end(bundle, work / "pictures")


def make_bundle(work: Path, backbone: str = "resnet50") -> None:
    torch.manual_seed(0)
    network = build_network(backbone, len(LABELS))
    frames, targets = _scenes(240, 0)
    test_frames, _ = _scenes(120, 1)
    with torch.inference_mode():
        network.train()
        for start in range(0, 64, 16):  # batch norms learn the statistics of real input
            network(normalise(torch.from_numpy(frames[start : start + 16])))
        network.eval()
        features = torch.cat([network.features(normalise(torch.from_numpy(f[None]))).mean((2, 3)) for f in frames])
    head = RidgeClassifier(alpha=100.0).fit(features.numpy(), targets)
    network.fc.weight.data = torch.from_numpy(8 * head.coef_.astype(np.float32))
    network.fc.bias.data = torch.from_numpy(8 * head.intercept_.astype(np.float32))
    card = {
        "backbone": backbone,
        "width": 64,
        "labels": list(LABELS),
        "fault_labels": list(FAULT_LABELS),
        "input": SPEC.to_json(),
    }
    save_checkpoint(work / "checkpoint", network, card)
    # Where the network is surest, and labelled by itself: the gate would rightly refuse INT8 of a network this poor.
    logits = torch_scores(network, test_frames).scores
    surest = np.argsort(-np.diff(np.sort(logits, axis=1)[:, -2:], axis=1)[:, 0])[:ENOUGH_REDUCED].tolist()
    test = [_labelled(number, test_frames, logits.argmax(axis=1)) for number in surest]
    thresholds = dict.fromkeys(FAULT_LABELS, 0.5)
    pack_bundle(
        work / "checkpoint",
        # They came in this size: decoding them smaller changes nothing, and the bundle may say so.
        Evidence(frames[:32], test[:16], test, test, {item.id: item.frame for item in test}),
        work / "bundle",
        name="speed",
        version="1",
        decision=DecisionRule(tuple(LABELS), tuple(FAULT_LABELS), 1.0, thresholds),
        metrics={},
        lineage={},
        precisions=("fp32", "fp16", "int8"),
    )
    manifest = open_bundle(work / "bundle").manifest
    click.echo(f"packed {manifest.precisions}, refused {manifest.metrics['refused']}")


def _scenes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(uint8 (count, SIDE, SIDE, 3) BGR, places of their labels)."""
    scenes = [sample_scene(10_000 * seed + number, "station", LABELS[number % len(LABELS)]) for number in range(count)]
    return np.stack([render(scene, SIDE) for scene in scenes]), np.arange(count) % len(LABELS)


def _labelled(number: int, frames: np.ndarray, targets: np.ndarray) -> LabelledFrame:
    return LabelledFrame(f"{number:04d}", LABELS[targets[number]], frames[number])


def make_pictures(folder: Path) -> None:
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0).normal(0, 4, (1080, 1920, 3))
    for number, frame in enumerate(_scenes(PICTURES, 2)[0]):
        large = cv2.resize(frame, (1920, 1080), interpolation=cv2.INTER_CUBIC) + np.roll(noise, 17 * number, axis=1)
        cv2.imwrite(
            str(folder / f"{number:03d}.jpg"), large.clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 88]
        )


def _engines(folder: Path, work: Path) -> None:
    bundle = open_bundle(folder)
    frame = np.ascontiguousarray(_scenes(1, 3)[0])
    plain = work / "plain.onnx"
    plain.write_bytes(_without_preprocessing(onnx.load(folder / "model.fp32.onnx")).SerializeToString())
    prepared = (frame.transpose(0, 3, 1, 2) - 128.0).astype(np.float32)
    sessions = {"bare fp32": _session(folder / "model.fp32.onnx"), "no preprocessing": _session(plain)}
    tasks: dict[str, Task] = {
        "bare fp32": lambda: sessions["bare fp32"].run(["logits", "cam"], {"frames": frame}),
        "no preprocessing": lambda: sessions["no preprocessing"].run(["logits", "cam"], {"prepared": prepared}),
    }
    for precision in bundle.manifest.precisions:
        for name in ("cpu", "openvino"):
            engine = load_engine(bundle, name, precision, threads=1)
            tasks[f"{name} {precision}"] = lambda engine=engine: engine.run(frame)
    medians = {name: statistics.median(times) for name, times in alternate(tasks, ROUNDS).items()}
    for name, median in medians.items():
        click.echo(f"{name:<20}{median:>8.1f}")
    click.echo(f"preprocessing in the graph over none: {medians['bare fp32'] / medians['no preprocessing']:.3f}")
    click.echo(f"the engine's call over a bare one: {medians['cpu fp32'] / medians['bare fp32']:.3f}")
    for name in ("cpu", "openvino"):
        if f"{name} int8" in medians:
            click.echo(f"{name}: fp32 over int8 {medians[f'{name} fp32'] / medians[f'{name} int8']:.2f}")


def _without_preprocessing(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network for float (N, 3, H, W), the mean already subtracted."""
    graph = model.graph
    last = next(place for place, node in enumerate(graph.node) if node.op_type == "Sub")
    graph.node[last + 1].input[0] = "prepared"
    del graph.node[: last + 1]
    value = onnx.helper.make_tensor_value_info("prepared", onnx.TensorProto.FLOAT, ["N", 3, SIDE, SIDE])
    graph.input[0].CopyFrom(value)
    return model


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _end_to_end(folder: Path, pictures: Path) -> None:
    for engine in ("cpu", "openvino"):
        for precision in ("fp32", "int8"):
            if precision not in open_bundle(folder).manifest.precisions:
                continue
            command = [sys.executable, "-m", "edge_runtime.classify", "--bench", "--bundle", str(folder)]
            command += ["--engine", engine, "--precision", precision, str(pictures), str(pictures)]
            shares = []
            for _ in range(3):
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if not (found := re.search(r"([0-9.]+) of what is possible", done.stderr)):
                    sys.exit(done.stderr)
                shares.append(float(found[1]))
            click.echo(f"edge-classify, 1080p JPEG, {engine} {precision}: {done.stderr.splitlines()[-1]}; all {shares}")


if __name__ == "__main__":
    main()
