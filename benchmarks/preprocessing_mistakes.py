"""Do golden frames find a device that prepares its input otherwise? `python -m benchmarks.preprocessing_mistakes RUN`.

Claim: each of twenty mistakes that others have made moves a golden score beyond the tolerance of every precision. The
mistakes are made on the golden pictures as they lie in the bundle, in torch, with the run's own network, which must see
a frame whole and not in tiles.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import click
import cv2
import numpy as np
import torch
from torch import Tensor, nn

from augment.records import EXPORT, RunFolder
from edge_runtime.bundle.golden import GoldenSet, golden_pictures, load_golden
from edge_runtime.bundle.preprocess import Frame, PreprocessSpec
from edge_runtime.bundle.store import Bundle, open_bundle
from export.checkpoint import load_checkpoint
from export.network import IMAGENET_MEAN, IMAGENET_STD, outputs

Prepare = Callable[[Frame, PreprocessSpec], Tensor]
"""A picture uint8 (H, W, 3) BGR -> what the network gets, float (3, height, width)."""


def _scaled(frame: Frame, mean: tuple[float, ...] = IMAGENET_MEAN, std: tuple[float, ...] = IMAGENET_STD) -> Tensor:
    """uint8 BGR of the input's size -> normalised RGB."""
    unit = torch.from_numpy(frame[..., ::-1].copy()).permute(2, 0, 1).float() / 255
    return (unit - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


def _of_input(change: Callable[[Frame], Frame]) -> Prepare:
    """A mistake made after the right resizing."""
    return lambda frame, spec: _scaled(change(spec.apply(frame)))


def _resized(how: int) -> Prepare:
    return lambda frame, spec: _scaled(cv2.resize(frame, (spec.width, spec.height), interpolation=how))


def _normalised(mean: tuple[float, ...], std: tuple[float, ...]) -> Prepare:
    return lambda frame, spec: _scaled(spec.apply(frame), mean, std)


def _cropped(frame: Frame, spec: PreprocessSpec) -> Tensor:
    side = min(frame.shape[:2])
    top, left = (frame.shape[0] - side) // 2, (frame.shape[1] - side) // 2
    return _scaled(spec.apply(frame[top : top + side, left : left + side]))


def _letterboxed(frame: Frame, spec: PreprocessSpec) -> Tensor:
    side = max(frame.shape[:2])
    down, right = side - frame.shape[0], side - frame.shape[1]
    return _scaled(spec.apply(cv2.copyMakeBorder(frame, 0, down, 0, right, cv2.BORDER_CONSTANT, value=(114, 114, 114))))


def _through_jpeg(frame: Frame) -> Frame:
    decoded = cv2.imdecode(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 50])[1], cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded


def _gamma(frame: Frame) -> Frame:
    return (255 * (frame / 255) ** 2.2).round().astype(np.uint8)


def _grey(frame: Frame) -> Frame:
    return cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)


def _limited_range(frame: Frame) -> Frame:
    return (16 + frame * (219 / 255)).round().astype(np.uint8)


RIGHT: Prepare = _of_input(lambda frame: frame)
ZERO, ONE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
MISTAKES: dict[str, Prepare] = {
    "red and blue swapped": _of_input(lambda frame: frame[..., ::-1]),
    "not normalised, 0 to 255": _normalised(ZERO, (1 / 255,) * 3),
    "only scaled to 0 to 1": _normalised(ZERO, ONE),
    "mean not subtracted": _normalised(ZERO, IMAGENET_STD),
    "deviation not applied": _normalised(IMAGENET_MEAN, ONE),
    "mean in the other order of colours": _normalised(IMAGENET_MEAN[::-1], IMAGENET_STD),
    "mean and deviation one half": _normalised((0.5,) * 3, (0.5,) * 3),
    "divided by 255 twice": lambda frame, spec: _scaled(spec.apply(frame), ZERO, (255.0,) * 3),
    "mean of a grey camera": _normalised((0.449,) * 3, (0.226,) * 3),
    "resized by the nearest pixel": _resized(cv2.INTER_NEAREST),
    "resized linearly, without averaging": _resized(cv2.INTER_LINEAR),
    "resized cubically, without averaging": _resized(cv2.INTER_CUBIC),
    "cropped to a square": _cropped,
    "padded to a square": _letterboxed,
    "left and right swapped": _of_input(lambda frame: frame[:, ::-1]),
    "upside down": _of_input(lambda frame: frame[::-1]),
    "gamma": _of_input(_gamma),
    "grey": _of_input(_grey),
    "limited range": _of_input(_limited_range),
    "through a JPEG of quality 50": _of_input(_through_jpeg),
}


def caught(
    network: nn.Module, bundle: Bundle, golden: GoldenSet, precision: str, mistakes: Mapping[str, Prepare] = MISTAKES
) -> dict[str, float]:
    """For each mistake the worst golden score's difference over the tolerance of `precision`; above 1 it is caught."""
    pictures, spec = golden_pictures(bundle), bundle.manifest.input
    found = {}
    for name, prepare in mistakes.items():
        with torch.inference_mode():
            *scores, _ = outputs(network, torch.stack([prepare(picture, spec) for picture in pictures]))
        found[name] = float(np.abs(torch.cat(scores, 1).numpy() - golden.scores).max()) / golden.tolerance[precision]
    return found


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
def main(run: Path) -> None:
    """Print by how much each mistake is beyond the tolerance of each precision."""
    bundle = open_bundle(run / "bundle")
    network, _ = load_checkpoint(run / "training" / RunFolder(run).require(EXPORT).summary.training)
    golden = load_golden(bundle)
    columns = {precision: caught(network, bundle, golden, precision) for precision in bundle.manifest.precisions}
    click.echo(f"{'times the tolerance':<40}" + "".join(f"{precision:>8}" for precision in columns))
    for name in MISTAKES:
        click.echo(f"{name:<40}" + "".join(f"{found[name]:>8.1f}" for found in columns.values()))
    counts = {precision: sum(ratio > 1 for ratio in found.values()) for precision, found in columns.items()}
    click.echo(", ".join(f"{precision}: {count} of {len(MISTAKES)} caught" for precision, count in counts.items()))
    sys.exit(counts["fp32"] < len(MISTAKES))


if __name__ == "__main__":
    main()
