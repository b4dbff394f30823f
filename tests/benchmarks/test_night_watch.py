"""Which alarm counts for which fault in benchmarks.night_watch, on films whose times can be added up by hand."""

import numpy as np
import pytest

from benchmarks.watch.count import count_alarms, share
from benchmarks.watch.film import View
from benchmarks.watch.model import cells_of
from edge_runtime.bundle.preprocess import PreprocessSpec

BLANK = np.zeros((4, 4, 3), np.uint8)
HOT = View("gate", "leak", BLANK, opens=100)  # until 110, and three seconds of grace
SOUND = View("yard", "normal", BLANK)


def alarm(camera, at, label="leak"):
    return at, {"camera": camera, "label": label}


def counted(*alarms, began=(1000.0,), ended=2000.0):
    return count_alarms([HOT, SOUND], alarms, {"gate": began, "yard": [1000.0]}, ended)


def test_an_alarm_while_the_lens_is_open_is_about_the_fault_and_any_other_is_false():
    count = counted(alarm("gate", 1099.0), alarm("gate", 1104.0, "rust"), alarm("gate", 1112.0), alarm("gate", 1114.0))
    assert [after for after, _ in count.found["gate"]] == [4.0, 12.0]
    assert count.told(HOT) == ["rust", "leak"]
    assert len(count.false) == 2


def test_every_alarm_at_sound_equipment_is_false():
    count = counted(alarm("yard", 1104.0))
    assert (count.told(HOT), [event["camera"] for event in count.false]) == ([], ["yard"])


def test_a_film_that_began_again_before_its_fault_was_over_counts_anew():
    count = counted(alarm("gate", 1154.0), began=(1000.0, 1050.0))
    assert [after for after, _ in count.found["gate"]] == [4.0]


def test_a_fault_that_was_not_shown_to_its_end_is_neither_found_nor_missed():
    count = counted(ended=1105.0)
    assert (count.found, count.unseen) == ({}, ["gate"])


@pytest.mark.parametrize(
    ("hits", "of", "said"),
    [(0, 5, "0 of 5, 0.0 % (0.0 to 52.2)"), (5, 5, "5 of 5, 100.0 % (47.8 to 100.0)"), (0, 0, "0 of 0")],
)
def test_intervals_are_exact(hits, of, said):
    assert share(hits, of) == said  # 1 - 0.025 ** (1 / 5) = 0.522


def test_cells_lie_on_the_canvas_and_bars_are_no_part_of_the_picture():
    """A 32 x 64 picture on a square canvas of 64 lies in rows 16 to 47; its box, moved down by 16, meets one cell."""
    view = View("gate", "leak", np.zeros((32, 64, 3), np.uint8), boxes=((32, 0, 16, 16),))
    touching, inside = cells_of(PreprocessSpec(64, 64, "letterbox"), view, (4, 4))
    assert np.argwhere(touching).tolist() == [[1, 2]]
    assert inside.sum(axis=1).tolist() == [0, 4, 4, 0]
