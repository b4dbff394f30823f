"""How far an exported file is from its network, measured on real frames against the path that training used."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
import torch
from torch import nn

from edge_runtime.bundle.decision import Rule
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.heads import Array, Head, Outputs
from edge_runtime.bundle.preprocess import Frames
from export.network import normalise, output_names, outputs
from export.onnx_files import INPUT

BATCH = 8  # frames at once; bounds memory, not speed

Runner = Callable[[Frames], Outputs]
"""Views uint8 (N, H, W, 3) BGR -> every output of a model by its name."""


class Answers(NamedTuple):
    """What a model makes of frames: `scores` (N, M) of the frames, `maps` (N, C, h, w), with tiles (N * T, C, h, w)."""

    scores: Array
    maps: Array


@dataclass(frozen=True)
class Parity:
    """How far one exported file is from the network over `frames` frames."""

    precision: str
    frames: int
    agreement: float  # share of frames with the same label under the same rule, 0..1
    worst_probability: float  # largest |difference| of a calibrated probability, 0..1
    worst_score: float  # largest |difference| of a score
    worst_map: float  # largest |difference| of a cell of a map

    def to_json(self) -> dict[str, float | int]:
        """Return the JSON object that stands in the manifest's metrics under its precision."""
        return {name: value for name, value in asdict(self).items() if name != "precision"}


def measure_parity(precision: str, expected: Answers, seen: Answers, rule: Rule) -> Parity:
    """Compare two answers to the same frames; InputError for none at all."""
    if not len(expected.scores) or expected.scores.shape != seen.scores.shape:
        raise InputError(
            f"parity needs the same frames twice, got scores {expected.scores.shape} and {seen.scores.shape}"
        )
    chances = rule.probabilities(expected.scores), rule.probabilities(seen.scores)
    return Parity(
        precision=precision,
        frames=len(expected.scores),
        agreement=float((chances[0].argmax(1) == chances[1].argmax(1)).mean()),
        worst_probability=float(np.abs(chances[0] - chances[1]).max()),
        worst_score=float(np.abs(expected.scores - seen.scores).max()),
        worst_map=float(np.abs(expected.maps - seen.maps).max()),
    )


def torch_runner(network: nn.Module, device: str = "cpu", half: bool = False) -> Runner:
    """Return a function that runs a network in evaluation mode, through `normalise`, which training uses as well.

    The network is on `device`; if `half` it computes in FP16, else in whole FP32, without the short cuts of TF32.
    """
    if network.training:
        raise ValueError("the network must be in evaluation mode: call .eval() first")
    names = output_names(network)

    def run(frames: Frames) -> Outputs:
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        with torch.inference_mode(), exact, torch.autocast(device, torch.float16, enabled=half):
            parts = [outputs(network, normalise(torch.from_numpy(part).to(device))) for part in _batches(frames)]
        columns = zip(*parts, strict=True)
        found = [np.concatenate([tensor.float().cpu().numpy() for tensor in column]) for column in columns]
        return dict(zip(names, found, strict=True))

    return run


def torch_scores(network: nn.Module, frames: Frames) -> Answers:
    """Return the answers of a network in evaluation mode to frames (N, H, W, 3) of its input's size.

    The scores (N, M) are logits, or group logits and fault scores side by side, as the bundle's head makes them.
    """
    *scores, maps = torch_runner(network)(frames).values()
    return Answers(np.concatenate(scores, axis=1), maps)


def onnx_runner(path: Path, optimised: bool = True) -> Runner:
    """Return a function that runs the file at `path` on onnxruntime's CPU kernels.

    Not `optimised`, every node runs as it stands in the file: an INT8 file then reckons in float between its roundings.
    """
    options = onnxruntime.SessionOptions()
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(frames: Frames) -> Outputs:
        parts = [session.run(names, {INPUT: part}) for part in _batches(frames)]
        return {name: np.concatenate(column) for name, column in zip(names, zip(*parts, strict=True), strict=True)}

    return run


def answers(run: Runner, head: Head, views: Frames) -> Answers:
    """Return what a model with `head` makes of frames given as views uint8 (N, T, H, W, 3): T tiles of each frame."""
    frames, tiles = views.shape[:2]
    found = run(views.reshape(-1, *views.shape[2:]))
    scores = head.scores(found).reshape(frames, tiles, -1)
    return Answers(head.join_tiles(scores), found[head.maps])


def _batches(frames: Frames) -> Iterator[Frames]:
    for start in range(0, len(frames), BATCH):
        yield np.ascontiguousarray(frames[start : start + BATCH])
