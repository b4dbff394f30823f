"""Planted shortcuts are found and named, and chance and few pictures raise no alarm."""

import numpy as np
import pytest

from augment.evaluation.picture_traits import Traits
from augment.evaluation.shortcut_audit import CONTAINER, CONTENT, audit

LABELS = ("leak", "rust", "sound")


def files(count: int, seed: int = 0) -> tuple[list[Traits], list[str]]:
    """Files of three classes that differ by chance only."""
    rng = np.random.default_rng(seed)
    traits: list[Traits] = [
        {
            "format": "JPEG",
            "quality": float(rng.choice([75, 85, 95])),
            "bytes": float(rng.normal(1, 0.2)),
            "pixels": float(rng.choice([1e6, 2e6])),
            "EXIF": str(rng.choice(["yes", "no"])),
            "camera": str(rng.choice(["FLIR E8", "Testo 868", "phone"])),
            "day": f"2024-03-{rng.integers(1, 28):02}",
            "borders above or below": 0.0,
            "brightness": float(rng.normal(120, 20)),
        }
        for _ in range(3 * count)
    ]
    return traits, [LABELS[at % 3] for at in range(3 * count)]


def found(traits: list[Traits], labels: list[str]) -> list[tuple[str, str, list[str]]]:
    groups = [str(at) for at in range(len(labels))]
    return [(one.kind, one.label, list(one.traits)) for one in audit(traits, labels, groups, seed=0)]


@pytest.mark.parametrize(
    ("trait", "value"),
    [
        ("quality", 60.0),
        ("camera", "Canon"),
        ("borders above or below", 0.2),
        ("format", "PNG"),
        ("day", "2023-12-24"),
        ("pixels", 5e5),
    ],
)
def test_a_planted_shortcut_is_found_and_named(trait, value):
    traits, labels = files(40)
    for one, label in zip(traits, labels, strict=True):
        if label == "leak":
            one[trait] = value
    assert (CONTAINER, "leak", [trait]) in found(traits, labels)


def test_a_warning_says_what_tells_the_class_and_what_to_do():
    traits, labels = files(40)
    for one, label in zip(traits, labels, strict=True):
        if label == "leak":
            one["quality"] = 60.0
    told = next(one for one in audit(traits, labels, list(map(str, range(120))), 0) if one.label == "leak")
    assert "JPEG quality: enough to tell class leak from the others in 100 of 100 pairs" in told.sentence
    assert "save the pictures of all classes in one way" in told.sentence


def test_light_that_tells_a_class_is_information():
    traits, labels = files(40)
    for one, label in zip(traits, labels, strict=True):
        one["brightness"] = 40.0 if label == "leak" else one["brightness"]
    assert (CONTENT, "leak", ["brightness"]) in found(traits, labels)
    assert all(kind == CONTENT for kind, _, _ in found(traits, labels))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("count", [4, 15, 60])
def test_chance_is_no_shortcut(count, seed):
    assert found(*files(count, seed)) == []


def test_three_pictures_of_a_class_prove_nothing():
    traits, labels = files(20)
    labels = ["odd" if at < 3 else "leak" if at % 2 else "sound" for at in range(60)]
    for one in traits[:3]:
        one["quality"] = 10.0
    assert found(traits, labels) == []


def test_the_shots_of_one_burst_count_once():
    traits, labels = files(20)
    for one, label in zip(traits, labels, strict=True):
        one["quality"] = 60.0 if label == "leak" else one["quality"]
    groups = ["burst" if label == "leak" else str(at) for at, label in enumerate(labels)]
    assert audit(traits, labels, groups, 0) == []


def test_without_two_classes_or_traits_there_is_nothing_to_say():
    assert audit([], [], [], 0) == []
    assert audit([{}] * 20, ["leak"] * 20, list(map(str, range(20))), 0) == []
    assert audit([{}] * 20, ["leak", "sound"] * 10, list(map(str, range(20))), 0) == []
