"""Drawings as SVG: where a number stands, and that names are safe."""

from xml.etree import ElementTree

import pytest

from augment.report import svg


def test_a_value_stands_where_its_axis_says():
    straight = svg.Axis("x", 10, 30, (10, 20, 30))
    assert [straight.share(value) for value in (10, 20, 30)] == [0, 0.5, 1]
    bent = svg.Axis("x", 1, 100, (1, 10, 100), logarithmic=True)
    assert bent.share(10) == pytest.approx(0.5)
    assert svg.Axis("x", 3, 3, (3,)).share(3) == 0  # one number is an axis too


def test_ticks_are_round_numbers_inside_the_axis():
    assert svg.ticks(-11.9, 13.2) == [-10, 0, 10]
    assert svg.ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert svg.powers(2, 120) == [2, 5, 10, 20, 50, 100]


def test_names_of_classes_are_escaped_and_the_drawing_is_well_formed():
    name = "<b>&leak"
    drawings = (
        svg.lines([svg.Line([(0, 0.5), (1, 1)], "series-0", name)], svg.SHARE, name),
        svg.intervals({name: [("series-1", 0.5, 0.2, 0.7)]}, svg.SHARE, [name]),
        svg.grid([name, "b"], [[1, 0], [0.5, 0.5]], [["4", ""], ["1", "1"]], 32),
    )
    for drawing in drawings:
        texts = [element.text for element in ElementTree.fromstring(drawing).iter("{http://www.w3.org/2000/svg}text")]
        assert name in texts
        assert "<b>" not in drawing


def test_an_interval_is_drawn_from_its_low_to_its_high_end():
    drawing = svg.intervals({"leak": [("series-1", 0.5, 0.25, 0.75)]}, svg.SHARE, ())
    left, wide = 18 + svg.LETTER * 4, svg.WIDTH - 18 - svg.LETTER * 4 - svg.RIGHT
    assert f"M{left + wide / 4:.1f} " in drawing
    assert f"H{left + wide * 3 / 4:.1f}" in drawing
