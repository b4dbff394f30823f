"""What later stages need is checked at once: sizes, boxes against pictures, and classes against sides of the split."""

from dataclasses import replace

import pytest

from augment.data.boxes import DrawnBox
from augment.data.checks import Pictured, check_boxes, check_split, size_problem, split_hints
from augment.data.problems import Check, Problem, refusal
from augment.settings import DataSettings

DATA = DataSettings(source="images", faults=("leak",))


def pictures(*numbers: tuple[float, float, float, float], width: int = 200, height: int = 100) -> list[Pictured]:
    """One picture of 200 x 100 pixels for each box of a manifest, from line 2 on."""
    return [
        Pictured(f"id{line}", "leak", width, height, [DrawnBox(*box, f"list.csv, line {line}")])
        for line, box in enumerate(numbers, 2)
    ]


def upright(_: str) -> bool:
    return False


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ((1, 1), "1 x 1 pixels"),
        ((15, 400), "less than 16"),
        ((2000, 99), "more than 20 times"),
        ((16, 16), ""),
        ((320, 16), ""),
    ],
)
def test_pictures_below_the_least_size_and_strips_are_left_out_with_the_setting_named(size, said):
    assert said in size_problem(*size, DATA)
    assert bool(said) == bool(size_problem(*size, DATA))
    assert size_problem(*size, replace(DATA, least_side=1, most_aspect=400.0)) == ""


@pytest.mark.parametrize(
    ("boxes", "advice"),
    [
        ([(0.4, 0.5, 0.2, 0.2)] * 3, 'box_units = "fractions"'),
        ([(30, 150, 20, 40), (10, 170, 30, 25)], "change places"),
        ([(150, 60, 190, 90), (160, 70, 180, 80), (20, 10, 90, 40)], "right and lower edge"),
        ([(900, 20, 10, 10), (20, 900, 10, 10)], ""),
    ],
)
def test_wrong_boxes_are_told_in_the_order_of_their_lines_with_what_explains_most_of_them(boxes, advice):
    check = check_boxes(pictures(*boxes), ("leak",), "pixels", upright).check
    assert (advice in check.advice) if advice else not check.advice
    lines = [problem.where for problem in check.problems if problem.where]
    assert lines == sorted(lines)
    assert refusal([check], 0.25).splitlines()[1 if lines else 0] == (check.advice or str(check.problems[0]))


def test_boxes_of_a_picture_before_its_exif_data_turned_it_are_recognised():
    tall = pictures((150, 60, 40, 30), (130, 10, 20, 20), width=100, height=200)
    assert "EXIF orientation" in check_boxes(tall, ("leak",), "pixels", lambda _: True).check.advice
    assert "EXIF" not in check_boxes(tall, ("leak",), "pixels", upright).check.advice


def test_declared_fractions_become_pixels():
    found = check_boxes(pictures((0.5, 0.25, 0.1, 0.2)), ("leak",), "fractions", upright)
    assert found.boxes == {"id2": [[100, 25, 20, 20]]}
    assert not found.check.problems


def test_one_wrong_box_among_many_is_left_out_and_told_and_stops_nothing():
    found = check_boxes(pictures(*[(10, 10, 20, 20)] * 9, (500, 10, 20, 20)), ("leak",), "pixels", upright)
    assert [str(problem).split(":")[0] for problem in found.check.problems] == ["list.csv, line 11"]
    assert (found.boxes["id11"], found.notes["id11"]) == ([], ["a box that cannot be one of this image is left out"])
    assert refusal([found.check], 0.25) == ""
    assert "1 of 10 boxes have a problem, more than the share of 0.05" in refusal([found.check], 0.05)


def test_a_box_of_a_single_pixel_is_no_box_and_one_around_the_whole_picture_is_noticed():
    found = check_boxes(pictures((10, 10, 1, 1), (0, 0, 200, 99)), ("leak",), "pixels", upright)
    assert "a click rather than a box" in str(found.check.problems[0])
    assert found.whole == ["id3"]


def counts(**sides: tuple[int, int, int]) -> dict[str, dict[str, int]]:
    return {label: dict(zip(("train", "val", "test"), found, strict=True)) for label, found in sides.items()}


def test_a_class_that_stands_on_one_side_is_told_with_what_that_costs_and_stops_nothing():
    held = counts(leak=(8, 0, 0), normal=(10, 8, 6))
    hints = split_hints(DATA, held, {"leak": 1, "normal": 24})
    assert hints[0].startswith(
        "class leak has no validation and no test image: its threshold cannot be fitted; nothing tells"
    )
    assert "its 8 images are 1 group of" in hints[0]
    assert hints[1] == "no validation image shows a fault, so no threshold can be fitted to any"
    assert refusal([check_split(held)], 0.25) == ""


def test_classes_with_fewer_groups_than_folds_are_named():
    hints = split_hints(replace(DATA, folds=5), counts(leak=(4, 2, 2), normal=(9, 3, 3)), {"leak": 3, "normal": 9})
    assert hints == ["leak has fewer groups than data.folds (5), so some folds do not test them"]


def test_a_split_without_test_images_or_without_two_classes_to_learn_stops_a_run():
    told = refusal([check_split(counts(leak=(0, 0, 0), normal=(9, 3, 0)))], 1.0)
    assert "fewer than two classes have a training image" in told
    assert "no image is left for testing" in told


def test_every_check_is_told_at_once_and_long_lists_are_cut():
    files = Check("files", 40, [Problem(f"{number}.jpg", "is empty") for number in range(30)])
    names = Check("names", 1, [Problem("", "data.faults names leek", fatal=True)])
    lines = refusal([names, files], 0.25).splitlines()
    assert lines[0] == "data.faults names leek"
    assert lines[1].startswith("30 of 40 files have a problem")
    assert (lines[2], lines[21], lines[22][:15]) == ("0.jpg: is empty", "19.jpg: is empty", "... and 10 more")
