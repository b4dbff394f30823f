"""What the edge is measured on: bundles of full-width networks at 224 pixels, and JPEG files of 1080p.

A backbone is random and its classifier fitted to rendered scenes: enough for speed, no measure of accuracy. All is made
when it is first asked for, below WORK/edge-speed.
"""

from pathlib import Path

import click
import cv2
import numpy as np
import torch
from sklearn.linear_model import RidgeClassifier

from augment.mini.scenes import FAULT_LABELS, LABELS, render, sample_scene
from edge_runtime.bundle.decision import DecisionRule
from edge_runtime.bundle.preprocess import PreprocessSpec
from edge_runtime.bundle.store import open_bundle
from export.acceptance import ENOUGH_REDUCED, Evidence
from export.checkpoint import save_checkpoint
from export.golden_frames import LabelledFrame
from export.network import build_network, normalise
from export.pack import pack_bundle
from export.parity import torch_scores

SIDE = 224
SPEC = PreprocessSpec(SIDE, SIDE)
PICTURES = 96


def place(work: Path) -> Path:
    """Return the folder of all that the edge's benchmarks make once."""
    return work.resolve() / "edge-speed"


def bundle(work: Path, backbone: str = "resnet50") -> Path:
    """Return the folder of a bundle; the checkpoint that it was packed from lies beside it."""
    folder = place(work) / backbone
    if not (folder / "bundle" / "manifest.json").exists():
        _make_bundle(folder, backbone)
    return folder / "bundle"


def pictures(work: Path) -> list[Path]:
    """Return the paths of PICTURES files, all in one folder."""
    folder = place(work) / "pictures"
    if not folder.exists():
        _make_pictures(folder)
    return sorted(folder.glob("*.jpg"))


def _make_bundle(folder: Path, backbone: str) -> None:
    torch.manual_seed(0)
    network = build_network(backbone, len(LABELS))
    frames, targets = scenes(240, 0)
    test_frames, _ = scenes(120, 1)
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
    save_checkpoint(folder / "checkpoint", network, card)
    # Where the network is surest, and labelled by itself: the gate would rightly refuse INT8 of a network this poor.
    logits = torch_scores(network, test_frames).scores
    surest = np.argsort(-np.diff(np.sort(logits, axis=1)[:, -2:], axis=1)[:, 0])[:ENOUGH_REDUCED].tolist()
    test = [_labelled(number, test_frames, logits.argmax(axis=1)) for number in surest]
    thresholds = dict.fromkeys(FAULT_LABELS, 0.5)
    pack_bundle(
        folder / "checkpoint",
        # They came in this size: decoding them smaller changes nothing, and the bundle may say so.
        Evidence(frames[:32], test[:16], test, test, {item.id: item.frame for item in test}),
        folder / "bundle",
        name="speed",
        version="1",
        decision=DecisionRule(tuple(LABELS), tuple(FAULT_LABELS), 1.0, thresholds),
        metrics={},
        lineage={},
        precisions=("fp32", "fp16", "int8"),
    )
    manifest = open_bundle(folder / "bundle").manifest
    click.echo(f"packed {manifest.precisions}, refused {manifest.metrics['refused']}")


def scenes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(uint8 (count, SIDE, SIDE, 3) BGR, places of their labels)."""
    scenes = [sample_scene(10_000 * seed + number, "station", LABELS[number % len(LABELS)]) for number in range(count)]
    return np.stack([render(scene, SIDE) for scene in scenes]), np.arange(count) % len(LABELS)


def _labelled(number: int, frames: np.ndarray, targets: np.ndarray) -> LabelledFrame:
    return LabelledFrame(f"{number:04d}", LABELS[targets[number]], frames[number])


def _make_pictures(folder: Path) -> None:
    part = folder.with_suffix(".part")  # a stopped command leaves no folder that seems whole
    part.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).normal(0, 4, (1080, 1920, 3))
    for number, frame in enumerate(scenes(PICTURES, 2)[0]):
        large = cv2.resize(frame, (1920, 1080), interpolation=cv2.INTER_CUBIC) + np.roll(noise, 17 * number, axis=1)
        cv2.imwrite(
            str(part / f"{number:03d}.jpg"), large.clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 88]
        )
    part.rename(folder)
