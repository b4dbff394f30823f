"""Renders station equipment with known truth: label, surroundings, light, weather, viewpoint and camera.

Two domains. `catalogue` is what the mini generator learns from: several ordinary cameras. `station` is held out: one
surveillance camera with a colour cast, vignette, noise and a timestamp. A scene is a value; the same scene always gives
the same pixels and the same caption.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from augment.mini.equipment import COUNTERPARTS, FAULT_LABELS, GROUPS, LABELS, Pen, draw
from augment.mini.lens import CANVAS, CATALOGUE_CAMERAS, STATION_CAMERA, background, captured, lit, weathered
from augment.records import item_seed
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.files import replace_file
from edge_runtime.bundle.preprocess import Frame
from edge_runtime.media.jpeg import encode_jpeg

__all__ = [
    "COUNTERPARTS", "DOMAINS", "FAULT_LABELS", "GROUPS", "LABELS", "STATION_COUNTS", "STATION_SIZE", "Scene",
    "attribute_of", "describe", "fault_box", "phrase", "render", "sample_scene", "station_file", "station_scene",
    "true_clauses", "write_station",
]  # fmt: skip

DOMAINS = ("catalogue", "station")
STATION_SIZE = 128  # pixels
EDGE = 12  # grey levels by which the edge of a shape may differ that another shape passes behind
MOST_CLAUSES = 4  # of context in one caption; more would not fit into the text encoder's 32 tokens

# The demo's long tail: what a station archive holds after a few years.
STATION_COUNTS: Mapping[str, int] = {
    "whole_insulator": 60, "broken_insulator": 12,
    "normal_gauge": 60, "redlined_gauge": 10,
    "sealed_transformer": 60, "leaking_transformer": 15,
    "closed_cabinet": 60, "breached_cabinet": 8,
    "dry_breather": 60, "saturated_breather": 10,
    "closed_disconnector": 60, "jammed_disconnector": 13,
}  # fmt: skip

# attribute value -> how often, and the clauses that may name it
_BACKGROUNDS = {
    "gravel": (0.3, ("on gravel", "on a gravel yard")),
    "grass": (0.3, ("on grass", "on green grass")),
    "wall": (0.2, ("by a concrete wall", "against a grey wall")),
    "brick": (0.2, ("by a brick wall", "against red brick")),
}
_LIGHTS = {
    "day": (0.5, ("by day", "in daylight")),
    "dusk": (0.2, ("at dusk", "in evening light")),
    "night": (0.15, ("at night", "under a lamp at night")),
    "infrared": (0.15, ("in infrared", "on an infrared camera")),
}
_WEATHERS = {
    "clear": (0.55, ("in clear weather", "in dry weather")),
    "rain": (0.15, ("in rain", "in heavy rain")),
    "fog": (0.15, ("in fog", "in thin fog")),
    "snow": (0.15, ("in snow", "in falling snow")),
}
_VIEWS = {
    "front": (0.5, ("seen from the front", "facing the camera")),
    "left": (0.2, ("seen from the left", "leaning left")),
    "right": (0.2, ("seen from the right", "leaning right")),
    "close": (0.1, ("close up", "in a close view")),
}
_CAMERA_CLAUSES = {
    "clean": ("in a clean picture", "with fine detail"),
    "handheld": ("on a hand held camera", "in a slightly soft picture"),
    "fixed": ("on a fixed camera", "with a timestamp"),
    "station": ("on a station camera", "with a timestamp"),
}


@dataclass(frozen=True)
class Scene:
    """Everything that decides a picture and its caption; `seed` settles jitter, paint and the choice of words."""

    label: str
    background: str
    light: str
    weather: str
    view: str
    camera: str
    seed: int


def phrase(label: str) -> str:
    """Return a label in words: `broken_insulator` -> `broken insulator`."""
    return label.replace("_", " ")


def sample_scene(seed: int, domain: str, label: str | None = None) -> Scene:
    """Draw a scene of `domain` (one of DOMAINS); `label` fixes what it shows, else any of LABELS is as likely."""
    if domain not in DOMAINS:
        raise InputError(f"scene domain is {domain!r}, expected one of {', '.join(DOMAINS)}")
    if label is not None and label not in LABELS:
        raise InputError(f"scene label is {label!r}, expected one of {', '.join(LABELS)}")
    rng = np.random.default_rng((seed, DOMAINS.index(domain)))
    drawn = LABELS[rng.integers(len(LABELS))]
    where, light, weather, view = (_pick(rng, table) for table in (_BACKGROUNDS, _LIGHTS, _WEATHERS, _VIEWS))
    camera = tuple(CATALOGUE_CAMERAS)[rng.integers(len(CATALOGUE_CAMERAS))] if domain == "catalogue" else "station"
    return Scene(label or drawn, where, light, weather, view, camera, int(rng.integers(2**62)))


def _pick(rng: np.random.Generator, table: Mapping[str, tuple[float, tuple[str, ...]]]) -> str:
    shares = [share for share, _ in table.values()]
    return tuple(table)[rng.choice(len(shares), p=shares)]


def render(scene: Scene, size: int) -> np.ndarray:
    """Draw the picture of `scene`: uint8 (size, size, 3) BGR."""
    canvas, rng = _drawn(scene)
    image = weathered(lit(canvas, scene.light), scene.weather, rng)
    camera = STATION_CAMERA if scene.camera == "station" else CATALOGUE_CAMERAS[scene.camera]
    frame = captured(image, camera, rng)
    rule = cv2.INTER_AREA if size < CANVAS else cv2.INTER_LINEAR
    return frame if size == CANVAS else cv2.resize(frame, (size, size), interpolation=rule)


def _drawn(scene: Scene) -> tuple[Frame, np.random.Generator]:
    """Return the equipment before its background, and what the rest of the picture draws its chances from."""
    rng = np.random.default_rng(scene.seed)
    canvas = background(scene.background, scene.weather, rng)
    draw(scene.label, Pen(canvas, _placement(scene.view, rng)), rng)
    return canvas, rng


def fault_box(scene: Scene, size: int) -> tuple[float, float, float, float] | None:
    """Return x, y, width and height of the fault in `render(scene, size)`, in pixels; None where nothing is wrong.

    The box holds all that would be drawn otherwise if the equipment were healthy. What comes after the drawing (light,
    weather, lens, JPEG) moves nothing; it blurs the edges by a pixel or two.
    """
    if scene.label not in COUNTERPARTS:
        return None
    faulty, healthy = (_drawn(replace(scene, label=label))[0] for label in (scene.label, COUNTERPARTS[scene.label]))
    rows, columns = np.nonzero(cv2.absdiff(faulty, healthy).max(axis=2) > EDGE)
    edges = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) * (size / CANVAS)
    left, top, right, bottom = edges.round(2).tolist()
    return left, top, round(right - left, 2), round(bottom - top, 2)


def _placement(view: str, rng: np.random.Generator) -> np.ndarray:
    """Return the map from object space to canvas pixels (2, 3): jittered, sheared when seen from a side."""
    lean = {"left": -0.16, "right": 0.16}.get(view, 0.0)
    scale = CANVAS * (0.46 if view == "close" else 0.4) * rng.uniform(0.95, 1.05)
    turn = math.radians(rng.uniform(-3, 3))
    cos, sin = math.cos(turn), math.sin(turn)
    rotation = np.array([[cos, -sin], [sin, cos]], np.float32)
    shear = np.array([[1 - abs(lean), lean], [lean * 0.5, 1]], np.float32)
    linear = rotation @ shear * scale
    centre = CANVAS / 2 + rng.uniform(-3, 3, 2) + (0, 4)
    return np.column_stack([linear, centre]).astype(np.float32)


def describe(scene: Scene) -> str:
    """Return a true caption: the class phrase, then some of the context clauses in some order, comma-separated."""
    rng = np.random.default_rng((scene.seed, 1))
    clauses = [words[rng.integers(len(words))] for words in _wordings(scene)]
    kept = rng.permutation(len(clauses))[: rng.integers(1, MOST_CLAUSES + 1)]
    return ", ".join([f"a photo of a {phrase(scene.label)}", *(clauses[i] for i in kept)])


def true_clauses(scene: Scene) -> frozenset[str]:
    """Return every context clause that the grammar may say of `scene`."""
    return frozenset(clause for words in _wordings(scene) for clause in words)


def attribute_of() -> dict[str, str]:
    """Return the attribute that each context clause of the grammar speaks of."""
    tables = {"background": _BACKGROUNDS, "light": _LIGHTS, "weather": _WEATHERS, "view": _VIEWS}
    choices = {name: [words for _, words in table.values()] for name, table in tables.items()}
    choices["camera"] = list(_CAMERA_CLAUSES.values())
    return {clause: name for name, groups in choices.items() for words in groups for clause in words}


def _wordings(scene: Scene) -> list[tuple[str, ...]]:
    tables = (_BACKGROUNDS, _LIGHTS, _WEATHERS, _VIEWS)
    values = (scene.background, scene.light, scene.weather, scene.view)
    choices = [table[value][1] for table, value in zip(tables, values, strict=True)]
    return [*choices, _CAMERA_CLAUSES[scene.camera]]


def station_file(label: str, index: int) -> str:
    """Return where `write_station` puts that picture, relative to its folder."""
    return f"{label}/{label}_{index:04d}.jpg"


def station_scene(seed: int, label: str, index: int) -> Scene:
    """Return what `write_station` draws for `label` at `index`."""
    return sample_scene(item_seed(seed, label, str(index)), "station", label)


def write_station(folder: Path, counts: Mapping[str, int], seed: int, size: int = STATION_SIZE) -> int:
    """Write `counts[label]` station pictures to folder/label/label_0000.jpg ...; returns how many were new.

    Every picture depends on (seed, label, index) alone and appears whole or not at all, so a second call finishes what
    a killed one began.
    """
    written = 0
    for label, count in counts.items():
        (folder / label).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            path = folder / station_file(label, index)
            if not path.exists():
                frame = render(station_scene(seed, label, index), size)
                replace_file(path, encode_jpeg(frame, 92))
                written += 1
    return written
