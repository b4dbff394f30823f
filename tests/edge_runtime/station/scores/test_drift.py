"""Drift on made weeks, hour by hour, and on judged views through a station's own hours."""

from pathlib import Path

import numpy as np
import pytest

from edge_runtime.station.scores import drift
from edge_runtime.station.scores.drift import LEARNING, LEFT, USUAL, DriftState, DriftWatch, Series, read_drift
from tests.support.scored_views import show_hours, teach_hours

FIRST = 500_000  # an hour of January 2027
DAY, NIGHT = 110.0, 40.0


def bright(hour: int, chance: np.random.Generator) -> float:
    """Grey levels of a camera that sees twelve hours of day."""
    return float((DAY if 6 <= hour % 24 < 18 else NIGHT) + chance.normal(0, 5))


def lived(hours: int, change: float = 0.0, after: int = 0) -> Series:
    """The brightness of `hours`, `change` darker or brighter after so many of them."""
    series, chance = Series("brightness"), np.random.default_rng(1)
    for hour in range(FIRST, FIRST + hours):
        series.add(hour, bright(hour, chance) + (change if hour - FIRST >= after else 0))
    return series


def test_night_and_day_are_no_drift():
    assert lived(100).state == LEARNING
    assert lived(24 * 28).state == USUAL


def test_a_camera_that_grew_darker_is_told_with_the_hour_since_when():
    series = lived(24 * 21, -60.0, 24 * 14)
    assert (series.state, series.side) == (LEFT, -1)
    assert 0 <= series.left - FIRST - 24 * 14 <= 8


def test_a_shower_is_no_drift():
    series, chance = lived(24 * 10), np.random.default_rng(2)
    for hour in range(FIRST + 240, FIRST + 248):
        series.add(hour, bright(hour, chance) - 80)
    assert series.state == USUAL


def test_drift_ends_where_the_camera_is_back_and_what_stays_is_learned_anew():
    series, chance = lived(24 * 9, -60.0, 24 * 7), np.random.default_rng(3)
    assert series.state == LEFT
    for hour in range(FIRST + 216, FIRST + 264):
        series.add(hour, bright(hour, chance))
    assert series.state == USUAL
    stays = lived(24 * 40, -60.0, 24 * 7)
    assert (stays.state, stays.learned[0][0] - FIRST > 24 * 20) == (USUAL, True)


def test_the_watch_learns_for_a_week_tells_what_has_left_and_remembers_over_restarts(tmp_path):
    watch = DriftWatch(tmp_path, "c" * 64, [("yard", "")])
    assert read_drift(tmp_path) == []
    show_hours(watch, range(FIRST, FIRST + 100))
    assert [state.state for state in watch.states()] == [LEARNING]
    again = DriftWatch(tmp_path, "c" * 64, [("yard", "")])  # the hour that had not ended is learned once more
    show_hours(again, range(FIRST + 99, FIRST + 200))
    assert [state.state for state in again.states()] == [USUAL]
    show_hours(again, range(FIRST + 200, FIRST + 230), detail=20.0)
    (state,) = again.states()
    assert (state.state, state.measure, state.side) == (LEFT, "detail", "below")
    assert "shows less detail than in its first week" in state.sentence
    assert "clean the lens" in state.sentence
    assert state.to_json()["since"].startswith("2027-01-")
    assert read_drift(tmp_path) == [state]


def test_another_model_learns_the_scores_anew_and_keeps_the_pictures(tmp_path):
    watch = DriftWatch(tmp_path, "c" * 64, [("yard", "")])
    teach_hours(watch, range(FIRST, FIRST + 200))
    show_hours(watch, range(FIRST + 200, FIRST + 230), chance=0.2)
    assert [(state.measure, state.side) for state in watch.states()] == [("score", "above")]
    watch.take_over("d" * 64)
    assert [state.state for state in watch.states()] == [LEARNING]
    show_hours(watch, range(FIRST + 230, FIRST + 260), chance=0.2, mean=200.0)
    assert [state.measure for state in watch.states()] == ["brightness"]
    anew = DriftWatch(tmp_path, "e" * 64, [("yard", "")])
    assert anew._series["yard", ""]["score"].learned == []
    assert len(anew._series["yard", ""]["detail"].learned) == drift.LEARNED_HOURS


def test_flagged_frames_tests_and_a_clock_that_was_never_set_do_not_count(tmp_path):
    watch = DriftWatch(tmp_path, "c" * 64, [("yard", "")])
    show_hours(watch, range(FIRST, FIRST + 3), chance=0.9)
    show_hours(watch, range(100, 103))
    show_hours(watch, range(FIRST + 5, FIRST + 6))
    assert watch._series["yard", ""]["score"].learned == []


@pytest.mark.parametrize("content", [b"", b"[]", b'{"version": 99}', b'{"version": 1, "views": [{}]}'])
def test_a_file_that_cannot_be_read_means_learning_anew(tmp_path: Path, content: bytes, caplog):
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores" / "drift.json").write_bytes(content)
    watch = DriftWatch(tmp_path, "c" * 64, [("yard", "")])
    assert watch.states() == [DriftState("yard", "", LEARNING)]
    assert "learned anew" in caplog.text
