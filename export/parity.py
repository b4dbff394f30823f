"""How far an exported file is from its network, measured on real frames against the path that training used."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from torch import nn

from edge_runtime.bundle.decision import DecisionRule
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.golden import Run
from edge_runtime.bundle.preprocess import Frames
from export.network import normalise
from export.onnx_files import INPUT, LOGITS

Logits = npt.NDArray[np.floating[Any]]

BATCH = 8  # frames at once; bounds memory, not speed


@dataclass(frozen=True)
class Parity:
    """How far one exported file is from the network over `frames` frames."""

    precision: str
    frames: int
    agreement: float  # share of frames with the same most probable label, 0..1
    worst_probability: float  # largest |difference| of a calibrated probability, 0..1
    worst_logit: float  # largest |difference| of a logit

    def to_json(self) -> dict[str, float | int]:
        """Return the JSON object that stands in the manifest's metrics under its precision."""
        return {
            "frames": self.frames,
            "agreement": self.agreement,
            "worst_probability": self.worst_probability,
            "worst_logit": self.worst_logit,
        }


def measure_parity(precision: str, expected: Logits, seen: Logits, rule: DecisionRule) -> Parity:
    """Compare two sets of logits (N, K) for the same frames; InputError for none at all."""
    if not len(expected) or expected.shape != seen.shape:
        raise InputError(f"parity needs the same frames twice, got logits {expected.shape} and {seen.shape}")
    chances = rule.probabilities(expected), rule.probabilities(seen)
    return Parity(
        precision=precision,
        frames=len(expected),
        agreement=float((chances[0].argmax(1) == chances[1].argmax(1)).mean()),
        worst_probability=float(np.abs(chances[0] - chances[1]).max()),
        worst_logit=float(np.abs(expected - seen).max()),
    )


def torch_logits(network: nn.Module, frames: Frames) -> Logits:
    """Return logits (N, K) of a network in evaluation mode, through `normalise`, which training uses as well."""
    if network.training:
        raise ValueError("the network must be in evaluation mode: call .eval() first")
    with torch.inference_mode():
        return np.concatenate([network(normalise(torch.from_numpy(part))).numpy() for part in _batches(frames)])


def onnx_runner(path: Path) -> Run:
    """Return a function from frames to logits that runs the file at `path` on onnxruntime's CPU kernels."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(frames: Frames) -> Logits:
        return np.concatenate([session.run([LOGITS], {INPUT: part})[0] for part in _batches(frames)])

    return run


def _batches(frames: Frames) -> Iterator[Frames]:
    for start in range(0, len(frames), BATCH):
        yield np.ascontiguousarray(frames[start : start + BATCH])
