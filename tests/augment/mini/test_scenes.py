"""The renderer: known truth, the same picture twice, faults a person can see."""

import dataclasses

import cv2
import numpy as np
import pytest

from augment.mini.scenes import (
    COUNTERPARTS,
    DOMAINS,
    FAULT_LABELS,
    GROUPS,
    LABELS,
    STATION_COUNTS,
    describe,
    fault_box,
    phrase,
    render,
    sample_scene,
    station_scene,
    true_clauses,
    write_station,
)
from edge_runtime.bundle.errors import InputError
from tests.support import ROOT

SEEN = 25  # grey levels: a smaller difference is noise, not a fault


def plain(label, seed=3):
    """A scene with nothing between the eye and the equipment."""
    scene = sample_scene(seed, "catalogue", label)
    return dataclasses.replace(
        scene, background="wall", light="day", weather="clear", view="front", camera="clean", seed=seed
    )


def test_six_kinds_each_with_one_normal_label_and_one_fault():
    assert len(LABELS) == 12
    assert len(FAULT_LABELS) == 6
    assert {label.split("_")[-1] for label in FAULT_LABELS} == {label.split("_")[-1] for label in COUNTERPARTS.values()}
    assert set(COUNTERPARTS) | set(COUNTERPARTS.values()) == set(LABELS)
    assert set(STATION_COUNTS) == set(LABELS)
    assert {fault: normal for normal, fault in GROUPS.values()} == COUNTERPARTS


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("label", LABELS)
def test_every_label_renders_the_same_twice(label, domain):
    scene = sample_scene(11, domain, label)
    first = render(scene, 64)
    assert (first.shape, first.dtype) == ((64, 64, 3), np.uint8)
    assert first.std() > 5  # something is there
    np.testing.assert_array_equal(first, render(sample_scene(11, domain, label), 64))


def test_another_seed_gives_another_picture():
    assert (
        render(sample_scene(1, "station", LABELS[0]), 64) != render(sample_scene(2, "station", LABELS[0]), 64)
    ).any()


@pytest.mark.parametrize("fault", FAULT_LABELS)
def test_a_fault_changes_a_twentieth_of_the_picture_visibly_at_64_pixels(fault):
    """The same scene with and without its fault, all else equal: count the pixels that differ as a person would see."""
    changes = []
    for seed in range(5):
        pair = [render(plain(label, seed), 64).astype(int) for label in (fault, COUNTERPARTS[fault])]
        changes.append((np.abs(pair[0] - pair[1]).max(axis=2) > SEEN).mean())
    assert np.mean(changes) > 0.05


def changed(fault_scene, size):
    """Where the picture differs, as a person would see, from that of its healthy counterpart."""
    healthy = dataclasses.replace(fault_scene, label=COUNTERPARTS[fault_scene.label])
    pair = [render(scene, size).astype(int) for scene in (fault_scene, healthy)]
    return np.abs(pair[0] - pair[1]).max(axis=2) > SEEN


def inside(box, shape, margin):
    x, y, width, height = box
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    across = (columns >= x - margin) & (columns < x + width + margin)
    return across & (rows >= y - margin) & (rows < y + height + margin)


@pytest.mark.parametrize("view", ["front", "left", "right", "close"])
@pytest.mark.parametrize("fault", FAULT_LABELS)
@pytest.mark.parametrize("size", [64, 128, 200])
def test_what_a_fault_changes_lies_in_its_box_and_fills_it(fault, size, view):
    for seed in range(3):
        scene = dataclasses.replace(plain(fault, seed), view=view)
        box, seen = fault_box(scene, size), changed(scene, size)
        assert not (seen & ~inside(box, seen.shape, 2 * size / 128)).any()
        rows, columns = np.nonzero(seen)
        assert np.ptp(columns) + 1 >= 0.8 * box[2]
        assert np.ptp(rows) + 1 >= 0.8 * box[3]


@pytest.mark.parametrize("fault", ["broken_insulator", "redlined_gauge", "saturated_breather"])
def test_so_it_does_before_the_station_s_camera_in_every_weather(fault):
    """These three draw as many chances as their counterparts, so that noise, rain and timestamp are the same."""
    for index in range(40):
        scene = station_scene(5, fault, index)
        seen, box = changed(scene, 128), fault_box(scene, 128)
        # Brightness of rain goes by that of the whole picture, and JPEG blocks share their colour.
        assert (seen & ~inside(box, seen.shape, 2)).sum() < 0.02 * seen.sum()


@pytest.mark.parametrize("label", COUNTERPARTS.values())
def test_healthy_equipment_has_no_box(label):
    assert fault_box(sample_scene(3, "station", label), 128) is None


@pytest.mark.parametrize("size", [32, 64, 128, 200])
def test_any_size(size):
    assert render(sample_scene(5, "catalogue"), size).shape == (size, size, 3)


def test_night_is_darker_than_day_and_infrared_has_no_colour():
    day = plain("closed_cabinet")
    night = dataclasses.replace(day, light="night")
    infrared = render(dataclasses.replace(day, light="infrared"), 64).astype(int)
    assert render(night, 64).mean() < 0.6 * render(day, 64).mean()
    assert np.abs(infrared[..., 0] - infrared[..., 2]).mean() < 3


@pytest.mark.parametrize("label", LABELS)
def test_a_caption_names_the_class_first_and_tells_only_the_truth(label):
    scene = sample_scene(21, "catalogue", label)
    first, *context = describe(scene).split(", ")
    assert first == f"a photo of a {phrase(label)}"
    assert 1 <= len(context) <= 4
    assert len(set(context)) == len(context)
    assert set(context) <= true_clauses(scene)
    assert "at night" not in describe(dataclasses.replace(scene, light="day"))


def test_captions_of_many_scenes_mention_every_attribute():
    said = " | ".join(describe(sample_scene(seed, "catalogue")) for seed in range(400))
    for words in ("on grass", "at dusk", "in fog", "seen from the left", "by a brick wall", "in infrared", "close up"):
        assert words in said


@pytest.mark.parametrize("wrong", [{"domain": "moon"}, {"domain": "station", "label": "Broken_Insulator"}])
def test_what_does_not_exist_is_refused_by_name(wrong):
    with pytest.raises(InputError, match="expected one of"):
        sample_scene(0, **wrong)


def test_station_folder_is_finished_by_a_second_call_with_the_same_bytes(tmp_path):
    counts = {"whole_insulator": 3, "broken_insulator": 1}
    assert write_station(tmp_path, counts, seed=7, size=64) == 4
    victim = tmp_path / "whole_insulator" / "whole_insulator_0001.jpg"
    before = victim.read_bytes()
    victim.unlink()
    assert write_station(tmp_path, counts, seed=7, size=64) == 1
    assert victim.read_bytes() == before
    assert cv2.imread(str(victim)).shape == (64, 64, 3)
    assert len(list(tmp_path.rglob("*.jpg"))) == 4


def test_pictures_are_those_of_the_first_version(tmp_path):
    """So the archive of an older run is finished as it was begun. Processors may differ in the last bit."""
    old = ROOT / "tests" / "data" / "0.1.0" / "images"
    counts = {folder.name: len(list(folder.iterdir())) for folder in old.iterdir()}
    assert write_station(tmp_path, counts, seed=7, size=96) == 40
    for path in old.rglob("*.jpg"):
        now = cv2.imread(str(tmp_path / path.relative_to(old))).astype(int)
        assert np.abs(now - cv2.imread(str(path))).max() <= 8
