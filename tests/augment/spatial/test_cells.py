import numpy as np

from augment.spatial.cells import cell_targets


def test_a_cell_is_positive_where_its_centre_lies_in_the_box_and_ignored_where_the_box_only_touches_it():
    # 64 x 64 pixels, 4 x 4 cells of 16: centres at 8, 24, 40, 56
    found = cell_targets([(6, 6, 20, 4)], (4, 4), (64, 64))  # x 6..26, y 6..10: centres (8, 8) and (24, 8)
    assert found.tolist() == [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    found = cell_targets([(6, 6, 12, 12)], (4, 4), (64, 64))  # 6..18: centre 8 inside, cells 1 touched
    assert found.tolist() == [[1, -1, 0, 0], [-1, -1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_a_fault_smaller_than_a_cell_has_the_cell_that_holds_its_centre():
    found = cell_targets([(33, 1, 4, 4)], (4, 4), (64, 64))
    assert found.tolist() == [[0, 0, 1, 0], [0] * 4, [0] * 4, [0] * 4]


def test_what_one_box_finds_no_other_box_takes_away():
    found = cell_targets([(0, 0, 16, 16), (10, 10, 12, 12)], (4, 4), (64, 64))
    assert found[0, 0] == found[1, 1] == 1


def test_cells_follow_a_map_that_is_not_square():
    found = cell_targets([(32, 0, 16, 16)], (2, 6), (32, 96))
    assert found.tolist() == [[0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0]]


def test_a_box_outside_the_input_marks_nothing_and_no_box_leaves_all_negative():
    assert not cell_targets([(70, 70, 10, 10)], (4, 4), (64, 64)).any()
    assert cell_targets([], (4, 4), (64, 64)).dtype == np.int8
