"""Time that has surely passed, in numbers by hand: wall clocks jump, boxes are off, kernels do not know the time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.clock import Instant
from edge_runtime.station.retention.age_clock import AgeClock

YEAR, W = 365 * 86400.0, 1_800_000_000.0
START = AgeClock(0.0, 100.0, "a")


def after(*readings: tuple[float, float, str, bool]) -> float:
    """The seconds after readings of (monotonic, wall, boot, synced)."""
    clock = START
    for monotonic, wall, boot, synced in readings:
        clock = clock.read(Instant(monotonic, wall), boot, synced)
    return clock.seconds


def test_within_a_boot_the_wall_clock_is_not_asked():
    assert after((100, W, "a", True), (160, W + YEAR, "a", True), (170, W - YEAR, "a", False)) == 70


def test_a_service_that_was_down_within_a_boot_loses_nothing():
    assert after((5100, W, "a", False)) == 5000


@pytest.mark.parametrize(
    ("before", "behind", "counted"),
    [(True, True, 3600), (False, True, 40), (True, False, 40), (False, False, 40)],
)
def test_a_box_that_was_off_has_aged_where_its_clock_can_be_trusted_before_and_behind(before, behind, counted):
    """Off for an hour less 40 s; where the clocks cannot be trusted, the new boot's 40 s have surely passed."""
    assert after((100, W, "a", before), (40, W + 3600, "b", behind)) == counted


def test_a_clock_that_is_set_minutes_after_the_boot_counts_the_time_of_the_box_that_was_off():
    readings = [(100, W, "a", True), (10, 500.0, "b", False), (70, W + 3600, "b", True), (80, W + YEAR, "b", True)]
    assert after(*readings[:2]) == 10
    assert after(*readings[:3]) == 3600
    assert after(*readings) == 3610, "a second jump in the same boot counts nothing"


def test_a_clock_that_runs_behind_after_a_reboot_takes_nothing_away():
    assert after((100, W, "a", True), (200, W, "a", True), (30, W - YEAR, "b", True)) == 130


@given(
    st.lists(
        st.tuples(st.floats(0, 1e6), st.floats(0, 4e9), st.sampled_from("ab"), st.booleans()),
        max_size=12,
    )
)
def test_it_never_runs_backwards_whatever_it_is_shown(readings):
    clock = START
    for monotonic, wall, boot, synced in readings:
        read = clock.read(Instant(monotonic, wall), boot, synced)
        assert read.seconds >= clock.seconds
        clock = read
