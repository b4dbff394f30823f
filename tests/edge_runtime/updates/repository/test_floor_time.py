from datetime import datetime, timedelta, timezone

import pytest

from edge_runtime.updates.repository.floor_time import FloorTime

JULY = datetime(2027, 7, 1, tzinfo=timezone.utc)


def at(moment):
    return lambda: moment


def test_a_clock_in_1970_is_taken_for_the_latest_moment_that_was_kept(tmp_path):
    FloorTime(tmp_path / "floor.json", at(JULY)).raise_to(JULY)
    assert FloorTime(tmp_path / "floor.json", at(datetime.fromtimestamp(0, timezone.utc))).reference() == JULY


def test_a_clock_that_runs_well_is_believed(tmp_path):
    FloorTime(tmp_path / "floor.json", at(JULY)).raise_to(JULY)
    later = JULY + timedelta(days=3)
    assert FloorTime(tmp_path / "floor.json", at(later)).reference() == later


def test_the_floor_never_goes_back(tmp_path):
    floor = FloorTime(tmp_path / "floor.json", at(datetime.fromtimestamp(0, timezone.utc)))
    floor.raise_to(JULY)
    floor.raise_to(JULY - timedelta(days=30))
    assert floor.reference() == JULY


@pytest.mark.parametrize("text", ["", "{", "[]", '{"time": 5}', '{"time": "2027-07-01T00:00:00"}', '{"time": "never"}'])
def test_a_damaged_file_lets_time_begin_with_this_software(tmp_path, text):
    (tmp_path / "floor.json").write_text(text)
    floor = FloorTime(tmp_path / "floor.json", at(datetime.fromtimestamp(0, timezone.utc)))
    assert floor.reference() == datetime(2026, 1, 1, tzinfo=timezone.utc)
