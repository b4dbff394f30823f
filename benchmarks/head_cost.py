"""What the spatial head and tiles cost: `python -m benchmarks.head_cost [--rounds 60]`.

Claims, as ratios of medians of runs that alternate on one thread of ONNX Runtime: EfficientNet-Lite0 with the spatial
head at 384 x 288 takes at most 1.05 of its backbone alone; a frame in tiles takes at most 1.05 of as many whole frames.
Weights are random: they do not change what an operator costs.
"""

import statistics
import tempfile
from pathlib import Path

import click
import numpy as np
import onnxruntime
import torch
from torch import Tensor

from edge_runtime.bundle.heads import Pooling
from edge_runtime.bundle.preprocess import PreprocessSpec
from edge_runtime.inference.compare_engines import alternate
from export.network import FrameNetwork, build_network
from export.onnx_files import INPUT, export_model, finished_bytes, write_onnx
from export.spatial_network import SpatialNetwork

SPECS = {"384 x 288": PreprocessSpec(288, 384, "letterbox"), "224 x 224": PreprocessSpec(224, 224)}
TILED = PreprocessSpec(288, 384, "letterbox", tiles=(2, 2))
HEAD, BACKBONE, CLASSIC = "with spatial head", "backbone alone", "with class head"
FRAME = (1080, 1920, 3)  # of the camera whose picture is cut into tiles
MOST = 1.05


class BackboneAlone(FrameNetwork):
    """Preprocessing and backbone, whose last map is all that comes out."""

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        x = frames.to(torch.float32).permute(0, 3, 1, 2) - self.mean
        return (self.network.features(x),)


@click.command()
@click.option("--rounds", type=click.IntRange(min=5), default=60, show_default=True)
def main(rounds: int) -> None:
    """Export, measure in turns, print."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory(prefix="head-cost-") as folder:
        good = [_heads(Path(folder), size, spec, rounds) for size, spec in SPECS.items()]
        good.append(_tiles(Path(folder), rounds))
    raise SystemExit(not all(good))


def _heads(folder: Path, size: str, spec: PreprocessSpec, rounds: int) -> bool:
    backbone = build_network("efficientnet_lite0", 2).eval()
    alone = BackboneAlone(backbone, spec)
    files = {name: folder / f"{name} {size}.onnx" for name in (HEAD, BACKBONE, CLASSIC)}
    write_onnx(SpatialNetwork(backbone, 2, 1, Pooling("top", 4)).eval(), spec, files[HEAD], "fp32")
    files[BACKBONE].write_bytes(finished_bytes(export_model(alone, alone.example(2), [INPUT], ["features"])))
    write_onnx(backbone, spec, files[CLASSIC], "fp32")
    frame = np.random.default_rng(0).integers(0, 255, (1, spec.height, spec.width, 3), np.uint8)
    sessions = {name: _session(path) for name, path in files.items()}
    tasks = {name: lambda session=session: session.run(None, {INPUT: frame}) for name, session in sessions.items()}
    medians = {name: statistics.median(times) for name, times in alternate(tasks, rounds).items()}
    for name, median in medians.items():
        print(f"{size}, {name:<20}{median:>8.2f} ms{median / medians[BACKBONE]:>8.3f} of the backbone alone")
    return medians[HEAD] <= MOST * medians[BACKBONE]


def _tiles(folder: Path, rounds: int) -> bool:
    """Measure a frame in tiles against as many frames that are looked at whole, preprocessing included."""
    frame = np.random.default_rng(0).integers(0, 255, FRAME, np.uint8)
    session, whole = _session(folder / f"{HEAD} 384 x 288.onnx"), SPECS["384 x 288"]
    count = len(TILED.tile_places)
    tasks = {
        "tiles": lambda: session.run(None, {INPUT: TILED.views(frame)}),
        "whole": lambda: [session.run(None, {INPUT: whole.views(frame)}) for _ in range(count)],
    }
    medians = {name: statistics.median(times) for name, times in alternate(tasks, rounds).items()}
    ratio = medians["tiles"] / medians["whole"]
    print(f"{FRAME[1]} x {FRAME[0]} in {count} tiles {medians['tiles']:.1f} ms, {count} whole frames "
          f"{medians['whole']:.1f} ms: {ratio:.3f}")  # fmt: skip
    return ratio <= MOST


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    main()
