"""Do golden frames find a device that prepares its input otherwise? `python -m benchmarks.preprocessing_mistakes DIR`.

Claim: each of twenty mistakes that others have made is found in every file of the bundle DIR, before it may serve. A
device can make twelve of them before it calls the engine: they are made on the golden pictures as they lie in the
bundle. Eight lie in what the ONNX file does first: they are made in the file. What finds them is what a station asks
too: the sketches of the views, the scores, and the file's own answers where the bundle holds them.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import click
import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from edge_runtime.bundle.golden import MOST_APART, GoldenSet, golden_pictures, load_golden
from edge_runtime.bundle.heads import Array
from edge_runtime.bundle.manifest import model_file, precision_of
from edge_runtime.bundle.preprocess import BARS, Frame, Frames, PreprocessSpec
from edge_runtime.bundle.store import Bundle, open_bundle
from edge_runtime.bundle.view_sketch import apart, sketch
from export.network import IMAGENET_MEAN, IMAGENET_STD
from export.onnx_files import INPUT

Prepare = Callable[[Frame, PreprocessSpec], Frame]
"""A picture uint8 (H, W, 3) BGR -> the canvas that the model is shown."""
Colour = tuple[float, ...]
AT_ONCE = 4  # views in one call


def _drawn(change: Callable[[Frame], Frame]) -> Prepare:
    """A mistake made after the right resizing."""
    return lambda frame, spec: change(spec.draw(frame))


def _resized(how: int) -> Prepare:
    """Resized to the right size in one step of another kind."""

    def prepare(frame: Frame, spec: PreprocessSpec) -> Frame:
        place, (height, width) = spec.placement(*frame.shape[:2]), spec.canvas
        canvas = np.full((height, width, 3), BARS, np.uint8)
        place.crop(canvas)[:] = cv2.resize(frame, (place.width, place.height), interpolation=how)
        return canvas

    return prepare


def _cropped(frame: Frame, spec: PreprocessSpec) -> Frame:
    side = min(frame.shape[:2])
    top, left = (frame.shape[0] - side) // 2, (frame.shape[1] - side) // 2
    return spec.draw(frame[top : top + side, left : left + side])


def _letterboxed(frame: Frame, spec: PreprocessSpec) -> Frame:
    side = max(frame.shape[:2])
    down, right = side - frame.shape[0], side - frame.shape[1]
    return spec.draw(cv2.copyMakeBorder(frame, 0, down, 0, right, cv2.BORDER_CONSTANT, value=(114, 114, 114)))


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


ZERO, ONE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
ON_THE_DEVICE: dict[str, Prepare] = {
    "red and blue swapped": _drawn(lambda frame: frame[..., ::-1]),
    "resized by the nearest pixel": _resized(cv2.INTER_NEAREST),
    "resized linearly, without averaging": _resized(cv2.INTER_LINEAR),
    "resized cubically, without averaging": _resized(cv2.INTER_CUBIC),
    "cropped to a square": _cropped,
    "padded to a square": _letterboxed,
    "left and right swapped": _drawn(lambda frame: frame[:, ::-1]),
    "upside down": _drawn(lambda frame: frame[::-1]),
    "gamma": _drawn(_gamma),
    "grey": _drawn(_grey),
    "limited range": _drawn(_limited_range),
    "through a JPEG of quality 50": _drawn(_through_jpeg),
}
IN_THE_FILE: dict[str, tuple[Colour, Colour]] = {  # mean and deviation, RGB, of pixels from 0 to 1
    "not normalised, 0 to 255": (ZERO, (1 / 255,) * 3),
    "only scaled to 0 to 1": (ZERO, ONE),
    "mean not subtracted": (ZERO, IMAGENET_STD),
    "deviation not applied": (IMAGENET_MEAN, ONE),
    "mean in the other order of colours": (IMAGENET_MEAN[::-1], IMAGENET_STD),
    "mean and deviation one half": ((0.5,) * 3, (0.5,) * 3),
    "divided by 255 twice": (ZERO, (255.0,) * 3),
    "mean of a grey camera": ((0.449,) * 3, (0.226,) * 3),
}
MISTAKES = (*ON_THE_DEVICE, *IN_THE_FILE)


def with_normalisation(path: Path, mean: Colour, deviation: Colour) -> bytes:
    """Return the ONNX file at `path`, changed so that it normalises by another `mean` and `deviation`."""
    model = onnx.load(path)
    graph = model.graph
    minus = next(node for node in graph.node if node.op_type == "Sub")
    held = next(value for value in graph.initializer if value.name == minus.input[1])
    levels = 255 * np.array(mean[::-1], np.float32).reshape(1, 3, 1, 1)  # our files subtract the mean in BGR order
    held.CopyFrom(numpy_helper.from_array(levels, held.name))
    by = (np.array(IMAGENET_STD) / deviation)[::-1].astype(np.float32).reshape(1, 3, 1, 1)
    graph.initializer.append(numpy_helper.from_array(by.copy(), "mistaken"))
    right, minus.output[0] = minus.output[0], "unscaled"
    graph.node.insert(list(graph.node).index(minus) + 1, helper.make_node("Mul", ["unscaled", "mistaken"], [right]))
    return bytes(model.SerializeToString())


def file_scores(model: bytes | Path, golden: GoldenSet, views: Frames) -> Array:
    """Return the scores (N, M) that a file gives to views (N, T, H, W, 3) on ONNX Runtime."""
    data = model if isinstance(model, bytes) else model.read_bytes()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    flat = views.reshape(-1, *views.shape[2:])
    names = list(golden.head.outputs)
    parts = [session.run(names, {INPUT: flat[at : at + AT_ONCE]}) for at in range(0, len(flat), AT_ONCE)]
    scores = np.concatenate([golden.head.scores(dict(zip(names, part, strict=True))) for part in parts])
    return golden.head.join_tiles(scores.reshape(*views.shape[:2], -1))


def beyond(golden: GoldenSet, variant: str, views: Frames, scores: Array) -> float:
    """Return by how many times what a station allows views or scores are off; above 1 the mistake is found."""
    pixels = max(apart(mine, sketch(right)) for mine, right in zip(views, golden.views, strict=True)) / MOST_APART
    worst = float(np.abs(scores - golden.scores).max()) / golden.tolerance[precision_of(variant)]
    own = golden.answers.get(variant)
    return max(pixels, worst, own.apart(scores) / own.within if own else 0.0)


def caught(bundle: Bundle, golden: GoldenSet, variant: str) -> dict[str, float]:
    """Return for each mistake by how many times what is allowed it is off with the file of `variant`."""
    path, spec, pictures = bundle.folder / model_file(variant), bundle.manifest.input, golden_pictures(bundle)
    found = {"none": beyond(golden, variant, golden.views, file_scores(path, golden, golden.views))}
    for name, prepare in ON_THE_DEVICE.items():
        views = np.stack([spec.cut(np.ascontiguousarray(prepare(picture, spec))) for picture in pictures])
        found[name] = beyond(golden, variant, views, file_scores(path, golden, views))
    for name, (mean, deviation) in IN_THE_FILE.items():
        scores = file_scores(with_normalisation(path, mean, deviation), golden, golden.views)
        found[name] = beyond(golden, variant, golden.views, scores)
    return found


def missed(found: Mapping[str, float]) -> list[str]:
    """Return the mistakes that are not found."""
    return [name for name in MISTAKES if not found[name] > 1]


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False))
def main(folder: Path) -> None:
    """Print by how many times what is allowed each mistake is off, for each ONNX file of the bundle."""
    bundle = open_bundle(folder)
    golden = load_golden(bundle)
    variants = sorted(name[len("model.") : -len(".onnx")] for name in bundle.manifest.files if name.endswith(".onnx"))
    columns = {variant: caught(bundle, golden, variant) for variant in variants}
    click.echo(f"{'times what is allowed':<40}" + "".join(f"{variant:>10}" for variant in columns))
    for name in ("none", *MISTAKES):
        click.echo(f"{name:<40}" + "".join(f"{found[name]:>10.1f}" for found in columns.values()))
    counts = {variant: len(MISTAKES) - len(missed(found)) for variant, found in columns.items()}
    click.echo(", ".join(f"{variant}: {count} of {len(MISTAKES)} caught" for variant, count in counts.items()))
    sys.exit(min(counts.values()) < len(MISTAKES))


if __name__ == "__main__":
    main()
