"""What the engines of a machine are compared on: a bundle, and the network that it was packed from.

Without a bundle of one's own a small one is made, of a network that needs no hub: EfficientNet-Lite0 with ImageNet
weights from its package, and a classifier fitted on rendered scenes. It tells whether devices agree, and no fault.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import RidgeClassifier
from torch import nn

from augment.mini.scenes import FAULT_LABELS, LABELS, render, sample_scene
from augment.training.finetune import head, pooled_features
from edge_runtime.bundle.decision import DecisionRule
from edge_runtime.bundle.errors import UnavailableError
from edge_runtime.bundle.heads import Outputs
from edge_runtime.bundle.preprocess import Frame, Frames, PreprocessSpec
from edge_runtime.bundle.store import Bundle, open_bundle
from export.acceptance import Evidence
from export.checkpoint import CARD_FILE, checkpoint_digest, load_checkpoint, save_checkpoint
from export.golden_frames import LabelledFrame
from export.network import build_network, load_initial_weights
from export.pack import pack_bundle
from export.parity import torch_runner, torch_scores

SIDE = 224
FITTED, SHOWN = 96, 32  # scenes
BACKBONE = "efficientnet_lite0"


@dataclass(frozen=True)
class Reference:
    """A bundle, and its network where it could be found; `why_none` says why not."""

    bundle: Bundle
    network: nn.Module | None
    why_none: str = ""


def scene(number: int, side: int, label: str = "") -> Frame:
    """Return a rendered scene, uint8 (side, side, 3) BGR."""
    return render(sample_scene(number, "station", label or LABELS[number % len(LABELS)]), side)


def find_reference(folder: Path) -> Reference:
    """Return the bundle in `folder`, and its network if the run that it lies in still has the checkpoint."""
    bundle = open_bundle(folder)
    digest = str(bundle.manifest.lineage.get("checkpoint", ""))
    for card in sorted((folder.absolute().parent / "training").rglob(CARD_FILE)):
        if checkpoint_digest(card.parent) == digest:
            return Reference(bundle, load_checkpoint(card.parent)[0])
    return Reference(
        bundle, None, f"{folder.absolute().parent} holds no checkpoint {digest[:12]}, so torch is left out"
    )


def made_reference(folder: Path) -> Reference:
    """Return a small bundle below `folder`, made where there is none yet, which takes half a minute."""
    checkpoint, place = folder / "checkpoint", folder / "bundle"
    if not (place / "manifest.json").is_file():
        _make(checkpoint, place)
    return Reference(open_bundle(place), load_checkpoint(checkpoint)[0])


def _make(checkpoint: Path, place: Path) -> None:
    spec, faults = PreprocessSpec(SIDE, SIDE), tuple(FAULT_LABELS)
    with torch.random.fork_rng(devices=[]):
        network = build_network(BACKBONE, len(LABELS))
    load_initial_weights(network, "imagenet")
    frames = np.stack([scene(number, SIDE) for number in range(FITTED)])
    features = pooled_features(network, frames, "cpu").numpy()
    fitted = RidgeClassifier(alpha=100.0).fit(features, np.arange(FITTED) % len(LABELS))
    last = head(network)
    last.weight.data = torch.from_numpy(8 * fitted.coef_.astype(np.float32))
    last.bias.data = torch.from_numpy(8 * fitted.intercept_.astype(np.float32))
    card = {"backbone": BACKBONE, "width": 64, "labels": list(LABELS), "fault_labels": list(faults)}
    save_checkpoint(checkpoint, network, {**card, "input": spec.to_json()})
    shown = np.stack([scene(number, SIDE) for number in range(FITTED, FITTED + SHOWN)])
    told = torch_scores(network.eval(), shown).scores.argmax(axis=1)  # labelled by itself: no accuracy is told by it
    test = [LabelledFrame(f"{place:03d}", LABELS[told[place]], frame) for place, frame in enumerate(shown)]
    pack_bundle(
        checkpoint, Evidence(frames[:32], test, test, test), place, name="check-gpu", version="1",
        decision=DecisionRule(tuple(LABELS), faults, 1.0, dict.fromkeys(faults, 0.5)), metrics={}, lineage={},
    )  # fmt: skip


@dataclass(frozen=True)
class TorchEngine:
    """The network itself in the form of an `edge_runtime.inference.engines.Engine`, to be compared as those are."""

    network: nn.Module
    device: str
    precision: str  # fp32 or fp16
    name: str = "torch"

    def run(self, frames: Frames) -> Outputs:
        """Run the network, which is put onto `device` by the first call."""
        try:
            return torch_runner(self.network.to(self.device), self.device, half=self.precision == "fp16")(frames)
        except RuntimeError as error:
            raise UnavailableError(f"torch failed on {frames.shape} frames: {str(error).splitlines()[0]}") from error
