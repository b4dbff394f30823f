"""A bundle as somebody sees it who has none of our code: `python -m benchmarks.outsider BUNDLE`.

Needs json, hashlib, onnx, onnxruntime, numpy and OpenCV, and imports nothing of rarefault. Claims: the hashes agree;
every ONNX file passes the full check; it answers the golden frames within the tolerance; the map's mean plus the
classifier's bias, read from the file, is the logit; there are sixteen golden frames or more, among them a nearly black,
a grey and an over-exposed one, and a picture of every class.
"""

import hashlib
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime


def check(bundle: Path) -> list[str]:
    """A line for each claim; AssertionError where one does not hold."""
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    for name, entry in manifest["files"].items():
        assert hashlib.sha256((bundle / name).read_bytes()).hexdigest() == entry["sha256"], name
    lines = [f"{len(manifest['files'])} files have the manifest's hashes"]
    golden = json.loads((bundle / "golden.json").read_bytes())
    pictures = [cv2.imread(str(bundle / entry["file"])) for entry in golden["frames"]]
    size = (manifest["input"]["width"], manifest["input"]["height"])
    frames = np.stack([_resized(picture, size) for picture in pictures])
    lines.append(_check_choice(frames, [entry["label"] for entry in golden["frames"]], manifest["labels"]))
    expected = np.array([entry["scores"] for entry in golden["frames"]])
    for precision in manifest["precisions"]:
        lines.append(_check_model(bundle / f"model.{precision}.onnx", frames, expected, golden["tolerance"][precision]))
    return lines


def _resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    while min(picture.shape[:2]) // 2 >= max(size):
        half = (picture.shape[1] + 1) // 2, (picture.shape[0] + 1) // 2
        picture = cv2.resize(picture, half, interpolation=cv2.INTER_AREA)
    shrinks = picture.shape[1] > size[0] or picture.shape[0] > size[1]
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _check_choice(frames: np.ndarray, labels: list[str], known: list[str]) -> str:
    means, spreads = frames.mean(axis=(1, 2, 3)), frames.std(axis=(1, 2, 3))
    assert len(frames) >= 16
    assert (means < 10).any()
    assert ((abs(means - 128) < 10) & (spreads < 2)).any()
    assert (means > 240).any()
    missing = sorted(set(known) - set(labels))
    return f"{len(frames)} golden frames; labels that the network gives none of them: {', '.join(missing) or 'none'}"


def _check_model(path: Path, frames: np.ndarray, expected: np.ndarray, tolerance: float) -> str:
    onnx.checker.check_model(str(path), full_check=True)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    logits, cam = session.run(["logits", "cam"], {"frames": frames})
    worst = float(np.abs(logits - expected).max())
    assert worst <= tolerance, (path.name, worst, tolerance)
    apart = float(np.abs(cam.mean(axis=(2, 3)) + _bias(path) - logits).max())
    assert apart <= (1e-3 if "fp32" in path.name else tolerance), (path.name, apart)
    return (
        f"{path.name}: golden logits differ by {worst:.2g}, {tolerance:.2g} allowed; map and bias give the "
        f"logit within {apart:.1g}"
    )


def _bias(path: Path) -> np.ndarray:
    """Of the last fully connected layer."""
    graph = onnx.load(path).graph
    values = {value.name: value for value in graph.initializer}
    gemm = next(node for node in reversed(graph.node) if node.op_type == "Gemm")
    return onnx.numpy_helper.to_array(values[gemm.input[2]]).astype(np.float32)


if __name__ == "__main__":
    print("\n".join(check(Path(sys.argv[1]))))
