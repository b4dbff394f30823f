"""A box as stated becomes pixels of the upright image, or a sentence."""

from dataclasses import replace

import pytest

from augment.data.boxes import DrawnBox
from edge_runtime.bundle.errors import InputError

BOX = DrawnBox(10, 20, 30, 40, "list.csv, line 7")


def test_pixels_stay_as_they_are_and_fractions_become_pixels() -> None:
    assert BOX.pixels(100, 80) == ([10, 20, 30, 40], "")
    share = DrawnBox(0.1, 0.25, 0.3, 0.5, "1.txt, line 1", fractions=True)
    assert share.pixels(100, 80) == ([10, 20, 30, 40], "")


def test_what_sticks_out_is_cut_with_a_note_and_the_last_pixel_without() -> None:
    assert BOX.pixels(35, 59.5) == ([10, 20, 25, 39.5], "box 10, 20, 30, 40 sticks out and is cut at the border")
    assert BOX.pixels(100, 59) == ([10, 20, 30, 39], "")
    assert DrawnBox(-4, -0.5, 10, 10, "w").pixels(50, 50)[0] == [0, 0, 6, 9.5]


@pytest.mark.parametrize(
    ("box", "sentence"),
    [
        (replace(BOX, x=100), "list.csv, line 7: box 100, 20, 30, 40 lies outside the image of 100 x 80 pixels"),
        (replace(BOX, y=-40), "lies outside the image"),
        (DrawnBox(0.2, 0.3, 0.1, 0.2, "line 3"), "line 3: box 0.2, 0.3, 0.1, 0.2 (x, y, width, height) is less than a"),
        (
            replace(BOX, picture=(80, 100)),
            "list.csv, line 7: drawn on an image of 80 x 100 pixels, but the image has 100 x 80 when it stands upright",
        ),
    ],
)
def test_a_box_that_cannot_be_is_a_sentence(box: DrawnBox, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        box.pixels(100, 80)
    assert sentence in str(caught.value)


def test_the_digest_of_a_manifest_s_box_is_that_of_its_four_numbers() -> None:
    assert BOX.stated() == [10, 20, 30, 40]
    assert replace(BOX, fractions=True).stated() == [10, 20, 30, 40, "", True, []]
