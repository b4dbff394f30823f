"""Copies of held-out pictures: painted over where there are boxes, with a codec's traces where a method leaves some."""

from types import SimpleNamespace

import numpy as np
import pytest

from augment.records import DATASET
from augment.spatial import held_out_copies
from augment.spatial.held_out_copies import HeldOutCopies, rows_of
from augment.spatial.tap_cache import TapCache
from augment.training.predictions import PAINTED
from edge_runtime.bundle.preprocess import PreprocessSpec
from tests.support.spotted_run import SIDE, spotted_run


class Halving:
    """Stands in for a generator whose codec loses half of the brightness; a real one is large and loses less."""

    side = 32

    def paint(self, orders, method, adapter):
        return [order.source // 2 for order in orders]


@pytest.fixture
def copies(tmp_path):
    settings, folder = spotted_run(tmp_path / "run")
    real = [image for image in folder.require(DATASET).records if image.split != "test"]
    blank = np.zeros((0, SIDE, SIDE, 3), np.uint8)
    taps = TapCache(tmp_path, blank, [], PreprocessSpec(SIDE, SIDE), None, "key")
    return HeldOutCopies(settings, real, taps, tmp_path / "copies", Halving)


def test_fault_pictures_are_painted_over_and_healthy_ones_pass_the_codec(copies):
    found = copies.of(["text2img", "heal", "edit-0.5"])
    assert set(found) == {PAINTED, "edit-0.5"}
    faults = {image.id for image in copies.real if image.boxes}
    assert set(found[PAINTED].ids) == faults
    healthy = [image for image in copies.real if image.split == "val" and image.id not in faults]
    assert set(found["edit-0.5"].ids) == {image.id for image in healthy}
    host = held_out_copies.ImageStore(copies.settings).frame(healthy[0])
    copy = found["edit-0.5"].canvases[found["edit-0.5"].ids.index(healthy[0].id)]
    assert copy.mean() == pytest.approx(host.mean() / 2, abs=2)


def test_a_generator_is_loaded_for_methods_with_traces_alone(copies):
    def refuse():
        raise AssertionError("the generator was loaded")

    without = HeldOutCopies(copies.settings, copies.real, copies.taps, copies.place, refuse)
    assert set(without.of(["text2img", "heal"])) == {PAINTED}
    with pytest.raises(AssertionError):
        without.of(["inpaint-0.9"])


def test_a_picture_without_a_copy_has_no_row():
    assert rows_of(["a", "b", "c"], SimpleNamespace(ids=["c", "a"])).tolist() == [1, -1, 0]


def test_copies_are_made_once_for_all_trainings(copies):
    first, again = copies.of(["edit-0.5"]), copies.of(["edit-0.5", "heal"])
    assert set(again) == {PAINTED, "edit-0.5"}
    assert all(again[name] is first[name] for name in first)
