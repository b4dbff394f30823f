"""A bundle as somebody sees it who has none of our code: `python -m benchmarks.outsider BUNDLE`.

Needs json, hashlib, onnx, onnxruntime, numpy and OpenCV, and imports nothing of rarefault. Claims: the hashes agree;
every ONNX file passes the full check; it answers the golden frames within the tolerance; scores and map belong together
(a classifier's logit is the map's mean plus the bias, read from the file; a fault's score is the stated pooling of its
map); there are sixteen golden frames or more, among them a nearly black, a grey and an over-exposed one, and a picture
of every class.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime

BARS = (104, 116, 124)  # BGR, around a letterboxed frame


def check(bundle: Path) -> list[str]:
    """A line for each claim; AssertionError where one does not hold."""
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    for name, entry in manifest["files"].items():
        assert hashlib.sha256((bundle / name).read_bytes()).hexdigest() == entry["sha256"], name
    lines = [f"{len(manifest['files'])} files have the manifest's hashes"]
    golden = json.loads((bundle / "golden.json").read_bytes())
    pictures = [cv2.imread(str(bundle / entry["file"])) for entry in golden["frames"]]
    views = np.stack([_views(picture, manifest["input"]) for picture in pictures])
    lines.append(_check_choice(pictures, [entry["label"] for entry in golden["frames"]], manifest["labels"]))
    expected = np.array([entry["scores"] for entry in golden["frames"]])
    for precision in manifest["precisions"]:
        path = bundle / f"model.{precision}.onnx"
        lines.append(_check_model(path, manifest["head"], views, expected, golden["tolerance"][precision]))
    return lines


def _views(picture: np.ndarray, spec: dict[str, Any]) -> np.ndarray:
    """What the model is shown: (T, height, width, 3)."""
    height, width, (rows, columns) = spec["height"], spec["width"], spec["tiles"]
    down, right = (_apart(side, spec["overlap"]) for side in (height, width))
    canvas = _drawn(picture, (height + (rows - 1) * down, width + (columns - 1) * right), spec["resize"])
    places = [(row * down, column * right) for row in range(rows) for column in range(columns)]
    return np.stack([canvas[top : top + height, left : left + width] for top, left in places])


def _apart(side: int, overlap: float) -> int:
    unit = 1 if side % 16 else 16
    return max(unit, round(side * (1 - overlap) / unit) * unit)


def _drawn(picture: np.ndarray, aim: tuple[int, int], resize: str) -> np.ndarray:
    height, width = picture.shape[:2]
    if resize == "letterbox":
        scale = min(aim[0] / height, aim[1] / width)
        size = max(1, round(height * scale)), max(1, round(width * scale))
        turned = min(aim[0] / width, aim[1] / height)
        halvings = sum(by * max(scale, turned) <= 1 for by in (2, 4, 8))
    else:
        size, halvings = aim, sum(min(height, width) // by >= max(aim) for by in (2, 4, 8))
    for _ in range(halvings):
        half = (picture.shape[1] + 1) // 2, (picture.shape[0] + 1) // 2
        picture = cv2.resize(picture, half, interpolation=cv2.INTER_AREA)
    if picture.shape[:2] != size:
        shrinks = picture.shape[0] > size[0] or picture.shape[1] > size[1]
        picture = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    top, left = (aim[0] - size[0]) // 2, (aim[1] - size[1]) // 2
    below, beside = aim[0] - size[0] - top, aim[1] - size[1] - left
    return cv2.copyMakeBorder(picture, top, below, left, beside, cv2.BORDER_CONSTANT, value=BARS)


def _check_choice(pictures: list[np.ndarray], labels: list[str], known: list[str]) -> str:
    means, spreads = (np.array([measure(picture) for picture in pictures]) for measure in (np.mean, np.std))
    assert len(pictures) >= 16
    assert (means < 10).any()
    assert ((abs(means - 128) < 10) & (spreads < 2)).any()
    assert (means > 240).any()
    missing = sorted(set(known) - set(labels))
    return f"{len(pictures)} golden frames; labels that the network gives none of them: {', '.join(missing) or 'none'}"


def _check_model(path: Path, head: dict[str, Any], views: np.ndarray, expected: np.ndarray, tolerance: float) -> str:
    onnx.checker.check_model(str(path), full_check=True)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    frames, tiles = views.shape[:2]
    flat = views.reshape(-1, *views.shape[2:])
    if head["kind"] == "class":
        seen, cam = session.run(["logits", "cam"], {"frames": flat})
        apart, what = seen - cam.mean(axis=(2, 3)) - _bias(path), "map and bias give the logit"
    else:
        groups, faults, maps = session.run(["group_logits", "fault_scores", "maps"], {"frames": flat})
        apart, what = faults - _pooled(maps, **head["pooling"]), "the pooled map gives the fault's score"
        groups = groups.reshape(frames, tiles, -1).mean(axis=1)  # of a frame in tiles: the mean names the group,
        seen = np.concatenate([groups, faults.reshape(frames, tiles, -1).max(axis=1)], axis=1)  # the highest flags
    worst, worst_apart = float(np.abs(seen - expected).max()), float(np.abs(apart).max())
    assert worst <= tolerance, (path.name, worst, tolerance)
    assert worst_apart <= (1e-3 if "fp32" in path.name else tolerance), (path.name, worst_apart)
    return f"{path.name}: golden scores differ by {worst:.2g}, {tolerance:.2g} allowed; {what} within {worst_apart:.1g}"


def _pooled(maps: np.ndarray, kind: str, cells: int) -> np.ndarray:
    ordered = np.sort(maps.reshape(*maps.shape[:2], -1), axis=2)
    if kind == "lse":
        return np.log(np.exp(ordered).mean(axis=2))
    return ordered[..., -(cells if kind == "top" else 1) :].mean(axis=2)


def _bias(path: Path) -> np.ndarray:
    """Of the last fully connected layer."""
    graph = onnx.load(path).graph
    values = {value.name: value for value in graph.initializer}
    gemm = next(node for node in reversed(graph.node) if node.op_type == "Gemm")
    return onnx.numpy_helper.to_array(values[gemm.input[2]]).astype(np.float32)


if __name__ == "__main__":
    print("\n".join(check(Path(sys.argv[1]))))
