"""The clock's quality, with clocks that the test turns."""

import time

import pytest

from edge_runtime.clock import EARLIEST, FREE, SETTLE_SECONDS, STEPPED, SYNCED, Clock, instant, iso, kernel_synced


class Hands:
    """A wall clock and a monotonic one."""

    def __init__(self) -> None:
        self.wall, self.monotonic, self.synced = EARLIEST + 100_000.0, 50.0, True
        self.clock = Clock(lambda: self.wall, lambda: self.monotonic, lambda: self.synced)

    def pass_time(self, seconds: float, step: float = 0.0) -> str:
        self.wall += seconds + step
        self.monotonic += seconds
        return self.clock.read().clock


def test_a_disciplined_clock_is_synced_and_another_is_free():
    hands = Hands()
    assert hands.pass_time(0) == SYNCED
    hands.synced = False
    assert hands.pass_time(60) == FREE


@pytest.mark.parametrize("step", [3600.0, -3600.0, 1.5, -1.5, 315_360_000.0])
def test_a_step_is_told_until_it_has_settled(step):
    hands = Hands()
    hands.pass_time(0)
    assert hands.pass_time(60, step) == STEPPED
    assert hands.pass_time(SETTLE_SECONDS - 1) == STEPPED
    assert hands.pass_time(1) == SYNCED


def test_slewing_is_no_step_however_long_nobody_looked():
    hands = Hands()
    hands.pass_time(0)
    assert hands.pass_time(86_400, step=0.0005 * 86_400) == SYNCED
    assert hands.pass_time(0.01, step=0.9) == SYNCED


def test_a_clock_that_was_never_set_is_free_whatever_the_kernel_says():
    hands = Hands()
    hands.wall = 60.0
    assert hands.pass_time(0) == FREE


def test_time_is_utc_with_milliseconds():
    assert iso(0.0625) == "1970-01-01T00:00:00.062Z"
    assert Clock().read().time[:4] == str(time.gmtime().tm_year)


def test_a_captured_moment_is_told_by_the_wall_time_of_its_capture():
    hands = Hands()
    hands.pass_time(100)
    moment = hands.clock.read(captured=hands.monotonic - 12.5)
    assert (moment.time, moment.recorded) == (iso(hands.wall - 12.5), iso(hands.wall))
    assert hands.clock.read().time == hands.clock.read().recorded


def test_an_instant_of_the_past_has_the_wall_time_of_then():
    past = instant(time.monotonic() - 60)
    assert abs(time.time() - 60 - past.wall) < 0.5


def test_the_kernel_answers():
    assert kernel_synced() in (True, False)
