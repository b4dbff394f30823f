"""Arrays that several processes keep in one folder, and what a kill leaves of them."""

import os

import numpy as np
import pytest

from augment.arrays import RowStore


def rows(*values: float) -> np.ndarray:
    return np.array([[value, -value, 0.5] for value in values], np.float16)


def test_arrays_are_read_by_id_in_any_order_and_in_part(tmp_path):
    store = RowStore(tmp_path / "kept")
    assert store.missing(["a", "b", "a"]) == ["a", "b"]
    store.add(["a"], rows(1))
    store.add(["b", "c"], rows(2, 3))
    assert store.missing(["c", "d", "a"]) == ["d"]
    np.testing.assert_array_equal(store.read(["c", "a", "c"]), rows(3, 1, 3))
    part = store.read(["b"], slice(None, 2), np.float32)
    assert part.dtype == np.float32
    assert part.tolist() == [[2, -2]]
    with pytest.raises(KeyError):
        store.read(["d"])


def test_what_other_processes_add_is_seen_and_each_has_one_pair_of_files(tmp_path):
    first, second = RowStore(tmp_path), RowStore(tmp_path)
    for number in range(5):
        first.add([f"a{number}"], rows(number))
        assert second.missing([f"a{number}"]) == []
        second.add([f"b{number}"], rows(-number))
    assert first.missing([f"b{number}" for number in range(5)]) == []
    np.testing.assert_array_equal(first.read(["b4", "a0", "a4"]), rows(-4, 0, 4))
    assert len(list(tmp_path.iterdir())) == 4


def test_a_kill_in_the_middle_of_a_line_loses_that_array_alone(tmp_path):
    RowStore(tmp_path).add(["a", "b"], rows(1, 2))
    (names,) = tmp_path.glob("*.ids")
    os.truncate(names, names.stat().st_size - 1)
    store = RowStore(tmp_path)
    assert store.missing(["a", "b"]) == ["b"]
    store.add(["b"], rows(7))
    assert store.missing(["a", "b"]) == []
    np.testing.assert_array_equal(store.read(["a", "b"]), rows(1, 7))


@pytest.mark.parametrize("part", [1, 4])  # bytes of a row of 6
def test_a_kill_in_the_middle_of_an_array_leaves_those_before_it(tmp_path, part):
    RowStore(tmp_path).add(["a", "b"], rows(1, 2))
    (values,) = tmp_path.glob("*.rows")
    with values.open("ab") as file:
        file.write(bytes(part))
    store = RowStore(tmp_path)
    assert store.missing(["a", "b"]) == []
    np.testing.assert_array_equal(store.read(["b", "a"]), rows(2, 1))


def test_an_id_may_hold_whatever_is_no_line_end(tmp_path):
    odd = "a\x85b\u2028c"
    RowStore(tmp_path).add([odd, "d"], rows(1, 2))
    store = RowStore(tmp_path)
    assert store.missing([odd, "d"]) == []
    np.testing.assert_array_equal(store.read(["d", odd]), rows(2, 1))
