"""Which frames a bundle proves itself with, and how far each precision may be off."""

import numpy as np
import pytest

from edge_runtime.bundle.errors import InputError
from export.golden_frames import LabelledFrame, choose_golden, tolerance
from tests.support.narrow_network import SPEC


def test_golden_frames_hold_every_label_and_do_not_depend_on_order():
    def frame(number):
        return np.full((64, 64, 3), number, np.uint8)

    many = [LabelledFrame(f"{i:03d}", "clean", frame(i)) for i in range(40)]
    items = [*many, LabelledFrame("900", "hot", frame(200)), LabelledFrame("901", "cracked", frame(201))]
    chosen, labels = choose_golden(items, SPEC)
    assert all(np.array_equal(*pair) for pair in zip(chosen, choose_golden(items[::-1], SPEC)[0], strict=True))
    assert (len(labels), set(labels)) == (16, {"clean", "hot", "cracked"})
    assert sorted(f[0, 0, 0] for f in chosen[:-5]) == [*range(14), 200, 201]  # 16 real ones, then five made ones
    made = chosen[-5:]
    assert [int(f.max()) for f in made[:3]] == [8, 128, 255]
    assert [int(f.min()) for f in made[:3]] == [0, 128, 240]


def test_a_golden_frame_is_larger_than_the_input_but_no_whole_photograph():
    large = LabelledFrame("1", "hot", np.zeros((600, 800, 3), np.uint8))
    small = LabelledFrame("2", "hot", np.zeros((90, 80, 3), np.uint8))
    shapes = [frame.shape[:2] for frame in choose_golden([large, small], SPEC)[0]]
    assert shapes == [(96, 128), (90, 80), *[(128, 192)] * 5]


def test_without_frames_there_is_nothing_to_prove():
    with pytest.raises(InputError, match="needs golden frames, got none"):
        choose_golden([], SPEC)


def test_tolerance_is_four_times_the_measured_difference_but_not_below_the_floor():
    expected = np.array([[20.0, -5.0]])
    assert tolerance("fp32", expected, expected + 0.5) == 2.0
    assert tolerance("fp32", expected, expected) == pytest.approx(0.02)
    assert tolerance("fp16", expected / 100, expected / 100) == pytest.approx(0.01)
