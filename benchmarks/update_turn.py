"""How long nobody judges while a model is replaced: `python -m benchmarks.update_turn [--cameras 4]`.

Claim: a service at work takes a bundle of the size of a ResNet50 (about 95 MB, 4.6 billion multiplications a frame)
through shadow and probation, and no camera is without a verdict for more than two seconds. Video files stand for the
cameras; the bundle is proved and handed over as the update process does, by a process of its own that stands back.
"""

import itertools
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import click
import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.station_speed import film
from edge_runtime.alerts.events import JudgedView
from edge_runtime.bundle.decision import DecisionRule
from edge_runtime.bundle.golden import write_golden
from edge_runtime.bundle.manifest import Manifest, model_file
from edge_runtime.bundle.preprocess import PreprocessSpec
from edge_runtime.bundle.store import Bundle, open_bundle, write_bundle_manifest
from edge_runtime.cameras.settings import CameraSettings, plan_cameras
from edge_runtime.inference.engines import load_engine
from edge_runtime.station.assemble import assemble, open_notifier
from edge_runtime.station.settings import HttpSection, StationSection, StationSettings
from edge_runtime.station.updating.start import open_serving
from edge_runtime.updates.proof import prove
from edge_runtime.updates.settings import UpdatesSection
from edge_runtime.updates.state import Stage, load
from edge_runtime.updates.trusted_repository import Release

SIDE, WIDTH, LAYERS = 224, 512, 10  # pixels; channels of each of the layers
MOST_SECONDS = 2.0  # without a verdict
BEFORE_SECONDS, FILM_SECONDS = 30.0, 300.0
RULE = DecisionRule(("normal", "rust"), ("rust",), thresholds={"rust": 0.99})


def make_bundle(folder: Path, version: str) -> Bundle:
    """Write a bundle whose network is as large and as dear as a ResNet50, with weights drawn by `version`."""
    folder.mkdir()
    rng = np.random.default_rng(int(version))
    weights = {"stem": rng.normal(0, 0.02, (WIDTH, 3, 16, 16)), "head": rng.normal(0, 0.1, (2, WIDTH, 1, 1))}
    weights |= {f"w{layer}": rng.normal(0, 0.02, (WIDTH, WIDTH, 3, 3)) for layer in range(LAYERS)}
    nodes = [
        helper.make_node("Cast", ["frames"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "stem"], ["x0"], strides=[16, 16]),
    ]
    for layer in range(LAYERS):
        nodes.append(helper.make_node("Conv", [f"x{layer}", f"w{layer}"], [f"y{layer}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"y{layer}"], [f"x{layer + 1}"]))
    nodes += [
        helper.make_node("Conv", [f"x{LAYERS}", "head"], ["cam"]),
        helper.make_node("GlobalAveragePool", ["cam"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["logits"]),
    ]
    places = SIDE // 16
    graph = helper.make_graph(
        nodes,
        "turn",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, ["N", SIDE, SIDE, 3])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 2]),
            helper.make_tensor_value_info("cam", TensorProto.FLOAT, ["N", 2, places, places]),
        ],
        [numpy_helper.from_array(values.astype(np.float32), name) for name, values in weights.items()],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8),
        str(folder / model_file("fp32")),
    )
    spec = PreprocessSpec(SIDE, SIDE)
    manifest = Manifest("turn", version, "2000-01-01T00:00:00Z", spec, RULE, precisions=("fp32",), opset=18)
    frames = [rng.integers(0, 255, (SIDE, SIDE, 3), np.uint8) for _ in range(2)]
    write_bundle_manifest(folder, manifest)
    engine = load_engine(open_bundle(folder), "cpu", "fp32")
    scores = np.stack([engine.run(spec.views(frame))["logits"][0] for frame in frames])
    write_golden(folder, frames, scores, RULE, {"fp32": 1e-2}, spec)
    write_bundle_manifest(folder, manifest)
    return open_bundle(folder)


def hand_over(state_dir: Path, folder: Path, serving: Path) -> None:
    """Prove the bundle as the update process does, and leave it in its slot for the service."""
    os.nice(10)
    bundle = open_bundle(folder)
    prove(bundle, open_bundle(serving), "cpu", "fp32")
    shutil.copytree(folder, state_dir / "slots" / bundle.digest)
    release = Release(1, bundle.digest, "turn", bundle.manifest.version, "all")
    load(state_dir).begun(release).at(Stage.GOLDEN_OK).save(state_dir)


def longest_gaps(judged: Sequence[tuple[str, float]], since: float, until: float) -> dict[str, float]:
    """Return by camera the longest time in seconds without a verdict between `since` and `until`."""
    gaps = {}
    for camera in sorted({name for name, _ in judged}):
        times = [since, *(when for name, when in judged if name == camera and since <= when <= until), until]
        gaps[camera] = max(later - earlier for earlier, later in itertools.pairwise(times))
    return gaps


@click.command()
@click.option("--cameras", "count", type=click.IntRange(min=1), default=4, show_default=True)
@click.option("--hand-over", "order", type=(Path, Path, Path), hidden=True)
def main(count: int, order: tuple[Path, Path, Path] | None) -> None:
    """Watch, update, measure, print."""
    if order is not None:
        hand_over(*order)
        return
    cv2.setNumThreads(1)  # as the service does
    with tempfile.TemporaryDirectory(prefix="update-turn-") as place:
        folder = Path(place)
        old, new = (make_bundle(folder / f"bundle-{number}", str(number)) for number in (1, 2))
        video = film(folder / "film.avi", (640, 360), FILM_SECONDS)
        settings = StationSettings(
            StationSection("turn", folder / "state", old.folder, engine="cpu", precision="fp32", test_alarm_hours=0),
            tuple(CameraSettings(f"camera-{number}", str(video)) for number in range(count)),
            http=HttpSection(port=0),
            updates=UpdatesSection(shadow_frames=20, shadow_share=0.2, most_disagreement=1.0, probation_minutes=0.5),
        )
        measure(settings, new)


def measure(settings: StationSettings, new: Bundle) -> None:
    """Run the service with an update in the middle, and print the gaps before and during it."""
    judged: list[tuple[str, float]] = []
    stop = threading.Event()
    with open_notifier(settings) as notifier:
        service = assemble(settings, plan_cameras(settings.camera), open_serving(settings), notifier)

        def note(views: Sequence[JudgedView], alarms: int) -> None:
            judged.extend((view.camera, time.monotonic()) for view in views if view.evaluation.decision is not None)

        service.watch.on_judged.append(note)
        thread = threading.Thread(target=service.run, args=(stop,))
        thread.start()
        time.sleep(2 * BEFORE_SECONDS)
        began = time.monotonic()
        order = [str(path) for path in (settings.station.state_dir, new.folder, settings.station.bundle)]
        subprocess.run([sys.executable, "-m", "benchmarks.update_turn", "--hand-over", *order], check=True)
        handed = time.monotonic()
        while load(settings.station.state_dir).stage not in (Stage.COMMITTED, Stage.FAILED):
            time.sleep(0.1)
        ended = time.monotonic()
        stop.set()
        thread.join()
    state = load(settings.station.state_dir)
    before = longest_gaps(judged, began - BEFORE_SECONDS, began)
    during = longest_gaps(judged, began, ended)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {len(before)} cameras")
    print(f"{new.folder.name}: {sum(entry.bytes for entry in new.manifest.files.values()) / 1e6:.0f} MB")
    print(f"the update ended {state.stage.value} {state.reason} after {handed - began:.0f} + {ended - handed:.0f} s")
    print(
        f"longest time without a verdict of a camera: {max(before.values()):.2f} s before, "
        f"{max(during.values()):.2f} s during the update (at most {MOST_SECONDS:.0f})"
    )
    sys.exit(0 if state.stage is Stage.COMMITTED and max(during.values()) <= MOST_SECONDS else 1)


if __name__ == "__main__":
    main()
