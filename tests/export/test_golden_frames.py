"""Which frames a bundle proves itself with, and how far each precision may be off."""

import numpy as np
import pytest

from edge_runtime.bundle.errors import InputError
from export.golden_frames import OWN_SAFETY, LabelledFrame, choose_golden, own_answers, tolerance
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


def test_golden_frames_show_what_the_model_mostly_tells_and_no_chance_mistake():
    frame = np.full((64, 64, 3), 9, np.uint8)
    items = [LabelledFrame(f"{i:03d}", "hot" if i % 2 else "clean", frame + np.uint8(i)) for i in range(60)]
    right = {item.id: item.label for item in items}
    swapped = {item.id: "clean" if item.label == "hot" else "hot" for item in items}
    mistaken = {**right, **{item.id: "clean" for item in items[:12]}}
    lucky = {**swapped, **{item.id: item.label for item in items[:12]}}
    for told, agree in ((right, True), (mistaken, True), (swapped, False), (lucky, False)):
        frames, labels = choose_golden(items, SPEC, told)
        chosen = [items[int(f[0, 0, 0]) - 9] for f in frames[:16]]
        assert [item.label for item in chosen] == labels
        assert all((told[item.id] == item.label) == agree for item in chosen)


def test_a_file_is_allowed_what_rounding_alone_makes_of_its_answers():
    seen = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, -8.0]])
    own = own_answers(seen, seen + np.array([[0.1], [0.2], [9.0]]))
    assert own.within == pytest.approx(OWN_SAFETY * 0.2)
    assert own_answers(seen, seen).within == pytest.approx(0.016)  # the floor: of the largest score
    assert own.apart(seen - 0.5) == pytest.approx(0.5)
